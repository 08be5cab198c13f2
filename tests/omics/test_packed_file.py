from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile

import pytest

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics import packed_file
from napari_mmsubtype.omics.packed_file import (
    UNPACKING_FAULTS,
    check_file,
    open_packed,
    read_head,
)

TEXT = "id,a\nx,1\n"


def zipped(path, **members: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress],
    ids=["plain", "gzip", "bzip2", "xz"],
)
def test_packed_files_open_as_what_they_hold(tmp_path, pack):
    path = tmp_path / "table"
    path.write_bytes(pack(TEXT.encode()))
    check_file(path)
    with open_packed(path) as stream:
        assert stream.read() == TEXT.encode()


def test_zip_with_one_file_opens_as_that_file(tmp_path):
    zipped(tmp_path / "t.zip", **{"t.csv": TEXT, "__MACOSX/t.csv": "junk"})
    with open_packed(tmp_path / "t.zip") as stream:
        assert stream.read() == TEXT.encode()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_truncated_files_raise_a_listed_fault(tmp_path, pack):
    path = tmp_path / "table"
    path.write_bytes(pack(TEXT.encode() * 500)[:-20])
    with pytest.raises(UNPACKING_FAULTS), open_packed(path) as stream:
        stream.read()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
    ],
)
def test_files_that_hold_no_text_are_refused(tmp_path, content, words):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(TableReadError, match=f"'table.csv'.*{words}"):
        check_file(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(TableReadError, match="no table at"):
        check_file(tmp_path / "none.csv")
    with pytest.raises(TableReadError, match="is a folder"):
        check_file(tmp_path)


def test_workbooks_and_full_archives_are_refused(tmp_path):
    zipped(tmp_path / "b.xlsx", **{"[Content_Types].xml": "", "xl/sheet1.xml": ""})
    with pytest.raises(TableReadError, match=r"Excel workbook \(xlsx\); .*CSV UTF-8"):
        open_packed(tmp_path / "b.xlsx")
    zipped(tmp_path / "two.zip", **{"a.csv": TEXT, "b.csv": TEXT})
    with pytest.raises(TableReadError, match="holds 2 files"):
        open_packed(tmp_path / "two.zip")


def test_archives_that_declare_too_much_are_refused(tmp_path, monkeypatch):
    zipped(tmp_path / "bomb.zip", **{"a.csv": TEXT})
    monkeypatch.setattr(packed_file, "MAX_UNPACKED_BYTES", 5)
    with pytest.raises(TableReadError, match="declares"):
        open_packed(tmp_path / "bomb.zip")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_files_that_unpack_to_too_much_are_stopped(tmp_path, monkeypatch, pack):
    path = tmp_path / "bomb"
    path.write_bytes(pack(bytes(100_000)))
    monkeypatch.setattr(packed_file, "MAX_UNPACKED_BYTES", 50_000)
    with (
        pytest.raises(TableReadError, match="'bomb' unpacks to more than"),
        open_packed(path) as stream,
    ):
        stream.read()


def test_locked_archives_are_refused(tmp_path):
    path = tmp_path / "locked.zip"
    zipped(path, **{"a.csv": TEXT})
    packed = bytearray(path.read_bytes())
    # The bit that says the member is encrypted, in both of its headers.
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(packed)
    with pytest.raises(TableReadError, match="locked by a password"):
        open_packed(path)


def test_zip_of_a_newer_kind_raises_a_listed_fault(tmp_path):
    path = tmp_path / "new.zip"
    zipped(path, **{"a.csv": TEXT})
    packed = bytearray(path.read_bytes())
    packed[packed.index(b"PK\x01\x02") + 6] = 149
    path.write_bytes(packed)
    with pytest.raises(TableReadError, match=r"'new.zip' cannot be unpacked.*14\.9"):
        read_head(path)


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress],
    ids=["plain", "gzip", "bzip2", "xz"],
)
def test_head_is_unpacked(tmp_path, pack):
    path = tmp_path / "table"
    path.write_bytes(pack(TEXT.encode() * 10_000))
    assert read_head(path) == (TEXT.encode() * 10_000)[: 2**16]


def test_damaged_head_is_said(tmp_path):
    path = tmp_path / "t.gz"
    path.write_bytes(gzip.compress(TEXT.encode() * 50)[:-20])
    with pytest.raises(TableReadError, match=r"'t.gz'.*truncated"):
        read_head(path)
