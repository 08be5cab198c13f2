from __future__ import annotations

import re

import pytest

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.text_damage import (
    check_bytes,
    check_cells,
    check_lines,
    describe_irregular,
    is_formula,
)

DELIMITERS = {"\t": "tab", ",": "comma", " ": "space"}


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"id,a\nx,1\ny\x00,2\n", "1 NUL bytes among its text .the first in line 3"),
        (bytes(range(256)), "binary file"),
        (b"\x00" * 50, "binary file"),
        (b"##fileformat=VCFv4.2\n#CHROM\tPOS\n", "list of variants .VCF."),
        (b"X\n\x00\x00\x00\x03", "write.csv"),
        (b"RDX3\nX\n\x00", "write.csv"),
        (b"\x89HDF\r\n\x1a\n", "packed HDF5"),
    ],
)
def test_bytes_that_are_no_text(head, words):
    with pytest.raises(TableReadError, match=f"'t'.*{words}"):
        check_bytes("t", head)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("<!DOCTYPE html>", "web page"),
        ("<html><head>", "web page"),
        ('{"data": []}', "JSON"),
        ("[", "JSON"),
        ('  [{"a": 1}]', "JSON"),
        ("id\tfilename\tmd5\tsize\tstate", "manifest"),
    ],
)
def test_lines_that_begin_something_else(line, words):
    with pytest.raises(TableReadError, match=f"'t'.*{words}"):
        check_lines("t", [line])


@pytest.mark.parametrize("line", ["id,a", "[Not Available],x", "{x},y", "gene\tP<1"])
def test_lines_of_tables_pass(line):
    check_lines("t", [line])


@pytest.mark.parametrize(
    "cell", ["=A1+B2", "=SUM(A1:A9)", "#REF!", "#DIV/0!", "#NAME?"]
)
def test_formulas_are_known(cell):
    assert is_formula(cell)


@pytest.mark.parametrize("cell", ["#N/A", "= 5", "a=b", "", "-1", "#1"])
def test_other_cells_are_no_formulas(cell):
    assert not is_formula(cell)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (("", "0", "1", "2"), ("index", "ESR1", "PGR", "TP53")),
        (("", "V1", "V2", "V3"), ("x", "ESR1", "PGR", "TP53")),
    ],
)
def test_header_that_counts_above_the_true_one(header, row):
    with pytest.raises(TableReadError, match=r"only counts.*ESR1, PGR"):
        check_cells("t", header, [row])


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (("gene", "1", "2", "3"), ("ESR1", "0.5", "7", "8")),
        (("id", "2099", "2064"), ("x", "word", "word")),
        (("", "7", "9"), ("x", "word", "word")),
        (("id", "a"), ("x", "word")),
    ],
)
def test_other_headers_pass(header, row):
    check_cells("t", header, [row])


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["a,b,c", "1,2"], "ragged: line 2 has 2 cells, the header 3 .comma"),
        (["a,b,c", "1\t2\t3"], "mixes separators: line 1 is comma.*line 2 tab"),
        (["a", "b"], "one column"),
        (["a,b", '"x,1', "y,2"], "quotation mark in line 2 is not closed"),
        (["a,b", "title"], "line 2 .'title'. has one cell only"),
    ],
)
def test_irregular_lines_are_explained(lines, words):
    widths = {d: [line.count(d) + 1 for line in lines] for d in DELIMITERS}
    assert re.search(words, describe_irregular("t", lines, widths, DELIMITERS))


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("2,104.0", "'2,104.0' in row 2.*without thousands separators"),
        ("1.002.104,5", "without thousands separators"),
        ("4.1%", "'4.1%' in row 2.*percent sign"),
        ("12,5 %", "percent sign"),
    ],
)
def test_numbers_dressed_up_for_people_are_refused(cell, words):
    with pytest.raises(TableReadError, match=words):
        check_cells("t", ("id", "a"), [("x", cell)])


@pytest.mark.parametrize("cell", ["2,5", "1,104", "2104.5", "100", "a,b", "50% Müller"])
def test_plain_cells_pass(cell):
    check_cells("t", ("id", "a"), [("x", cell)])
