from __future__ import annotations

import bz2
import gzip
import lzma

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.delimited import read_delimited, read_header, read_rows
from napari_mmsubtype.omics.text_layout import Layout

TEXT = "id,a,b\nx,1,2.5\ny,,-3e2\n"


def check(table) -> None:
    assert table.corner == "id"
    assert table.columns == ("a", "b")
    assert table.text.iloc[:, 0].tolist() == ["x", "y"]
    np.testing.assert_array_equal(
        table.values, np.array([[1, 2.5], [np.nan, -300]], np.float32)
    )


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress],
    ids=["plain", "gzip", "bzip2", "xz"],
)
def test_compression_is_known_by_content(tmp_path, pack):
    path = tmp_path / "table.txt"
    path.write_bytes(pack(TEXT.encode()))
    check(read_delimited(path))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (TEXT.replace(",", "\t"), "utf-8"),
        (TEXT.replace(",", ";"), "utf-8"),
        (TEXT.replace(",", ";").replace(".", ","), "utf-8"),
        (TEXT.replace("\n", "\r\n"), "utf-8"),
        (TEXT, "utf-8-sig"),
        (TEXT, "utf-16"),
        ("# made by a portal\n#\n\n" + TEXT, "utf-8"),
        (TEXT.replace("x", '"x"').replace("2.5", '"2.5"'), "utf-8"),
        (TEXT.replace(",,", ",NA,"), "utf-8"),
        (TEXT.replace(",,", ",'--,"), "utf-8"),
        (TEXT.replace(",,", ",NA,").replace(",", " "), "utf-8"),
        (TEXT.replace("2.5", '"2,5"'), "utf-8"),
    ],
)
def test_common_layouts_read_alike(tmp_path, text, encoding):
    path = tmp_path / "table"
    path.write_bytes(text.encode(encoding))
    check(read_delimited(path))


def test_latin_1_names_survive(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("id,a\nMüller,1\n".encode("latin-1"))
    assert read_delimited(path).text.iloc[0, 0] == "Müller"


def test_header_without_a_name_for_the_rows_is_understood(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('"a","b"\n"x",1,2\n"y",3,4\n')
    table = read_delimited(path)
    assert table.corner == ""
    assert table.columns == ("a", "b")


def test_identifiers_of_digits_stay_text(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("Hugo_Symbol\tEntrez_Gene_Id\tS1\nESR1\t100506658\t1.5\n")
    table = read_delimited(path)
    assert table.text.iloc[0].tolist() == ["ESR1", "100506658"]
    assert table.columns == ("S1",)


@pytest.mark.parametrize("quote", ["", '"'])
def test_lines_of_many_columns_are_read(tmp_path, quote):
    labels = [f"{quote}ENSG{i:011d}.1{quote}" for i in range(20_000)]
    path = tmp_path / "t.tsv"
    path.write_text("\t".join(["id", *labels]) + "\nx" + "\t2.5" * len(labels) + "\n")
    assert read_delimited(path).values.shape == (1, 20_000)


def test_only_columns_asked_for_are_read(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("id\tname\tkind\ta\tb\nx\tX\tk\t1\t2\n\tY\tk\t3\t\n")
    layout = Layout("utf-8", "\t", ("id", "name", "kind", "a", "b"), 1, ())
    table = read_rows(path, layout, [0, 1], [4])
    assert table.text["name"].tolist() == ["X", "Y"]
    assert table.text["id"].isna().tolist() == [False, True]
    assert table.columns == ("b",)
    np.testing.assert_array_equal(table.values, np.float32([[2], [np.nan]]))


def test_header_is_read_alone(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('# note\n"a","b"\nx,1,2\n')
    assert read_header(path) == ["", "a", "b"]


def test_every_column_can_be_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,code\nx,007\n")
    assert read_delimited(path, numeric=False).text.iloc[0].tolist() == ["x", "007"]


@given(
    values=arrays(
        np.float32, (3, 4), elements=st.floats(-1e6, 1e6, width=32), fill=st.just(0)
    ),
    delimiter=st.sampled_from("\t,;"),
)
def test_numbers_come_back_as_written(tmp_path_factory, values, delimiter):
    path = tmp_path_factory.mktemp("t") / "t"
    lines = [delimiter.join(["id", *"abcd"])]
    lines += [
        delimiter.join([f"r{i}", *(repr(float(v)) for v in row)])
        for i, row in enumerate(values)
    ]
    path.write_text("\n".join(lines))
    np.testing.assert_array_equal(read_delimited(path).values, values)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n# only a comment\n", "blank or comment"),
        (bytes(range(256)) * 20, "binary"),
        (b"PK\x03\x04 and no more", "truncated"),
        (b"<!DOCTYPE html>\n<html></html>\n", "web page"),
        (b"just words\nand more words\n", "not a table"),
        (b"id,a,b\n", "no row below"),
        (b"id,a,b\nx,1,2\ny,1\n", "ragged"),
        (b"id,a,b\n" + b"x,1,2\n" * 30 + b"y,1\n", "2 cells where the header has 3"),
        (b"id,a,b\n" + b"x,1,2\n" * 30 + b"y,1,#REF!\n", "#REF!.*'b'.*formula"),
        (b"id,a,b\n" + b"x,1,2\n" * 30 + b"y,1,<0.1\n", "'b': '<0.1'"),
        (gzip.compress(TEXT.encode() * 500, mtime=0)[:-40], "truncated"),
    ],
)
def test_what_is_no_table_is_refused_with_its_name(tmp_path, content, words):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(TableReadError, match=words) as caught:
        read_delimited(path)
    assert "'table.csv'" in str(caught.value)
