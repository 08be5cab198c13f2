from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics import delimited
from napari_mmsubtype.omics.delimited import read_delimited

TEXT = "id,a,b\nx,1,2.5\ny,,-3e2\n"


def zipped(path, **members: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)


def check(table) -> None:
    assert table.corner == "id"
    assert table.columns == ("a", "b")
    assert table.text.iloc[:, 0].tolist() == ["x", "y"]
    np.testing.assert_array_equal(
        table.values, np.array([[1, 2.5], [np.nan, -300]], np.float32)
    )


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=str
)
def test_compression_is_known_by_content(tmp_path, pack):
    path = tmp_path / "table.txt"
    path.write_bytes(pack(TEXT.encode()))
    check(read_delimited(path))


def test_zip_with_one_table_is_read(tmp_path):
    zipped(tmp_path / "t.zip", **{"t.csv": TEXT, "__MACOSX/t.csv": "junk"})
    check(read_delimited(tmp_path / "t.zip"))


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
        (b"\x89HDF\r\n\x1a\n----", "HDF5"),
        (b"PAR1----", "Parquet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
        (b"PK\x03\x04 and no more", "truncated"),
        (b"<!DOCTYPE html>\n<html></html>\n", "web page"),
        (b"just words\nand more words\n", "not a table"),
        (b"id,a,b\n", "no row below"),
        (b"id,a,b\nx,1,2\ny,1\n", "ragged"),
        (b"id,a,b\n" + b"x,1,2\n" * 30 + b"y,1\n", "Expected 3 columns"),
        (b"id,a,b\n" + b"x,1,2\n" * 30 + b"y,1,#REF!\n", "'b'.*#REF!"),
        (gzip.compress(TEXT.encode() * 500)[:-40], "truncated"),
    ],
)
def test_what_is_no_table_is_refused_with_its_name(tmp_path, content, words):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(TableReadError, match=words) as caught:
        read_delimited(path)
    assert "'table.csv'" in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(TableReadError, match="no table at"):
        read_delimited(tmp_path / "none.csv")
    with pytest.raises(TableReadError, match="is a folder"):
        read_delimited(tmp_path)


def test_workbooks_and_full_archives_are_refused(tmp_path):
    zipped(tmp_path / "b.xlsx", **{"[Content_Types].xml": "", "xl/sheet1.xml": ""})
    with pytest.raises(TableReadError, match="Excel workbook"):
        read_delimited(tmp_path / "b.xlsx")
    zipped(tmp_path / "two.zip", **{"a.csv": TEXT, "b.csv": TEXT})
    with pytest.raises(TableReadError, match="holds 2 files"):
        read_delimited(tmp_path / "two.zip")


def test_archives_that_declare_too_much_are_refused(tmp_path, monkeypatch):
    zipped(tmp_path / "bomb.zip", **{"a.csv": TEXT})
    monkeypatch.setattr(delimited, "MAX_UNPACKED_BYTES", 5)
    with pytest.raises(TableReadError, match="declares"):
        read_delimited(tmp_path / "bomb.zip")
