"""What kind of file a table comes in, told by its content."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_mmsubtype.core.table_files import FileKind
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.feature_names import is_known_feature
from napari_mmsubtype.omics.packed_file import (
    UNPACKING_FAULTS,
    check_file,
    open_packed,
    read_head,
)
from napari_mmsubtype.omics.quantifier import find_quantifier

if TYPE_CHECKING:
    from pathlib import Path

_STAR = re.compile(r"^gene_id\tgene_name\tgene_type\t", re.MULTILINE)
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?|NA")
_PAIRS_LOOKED_AT = 5
_BINARY = (b"PAR1", b"\x89HDF")

SMALL_BYTES = 2**20
"""Text up to this size, unpacked, is read within a blink of a window."""


def is_hdf5(path: Path) -> bool:
    """Tell whether a file is HDF5, which damage can send round in circles.

    Parameters
    ----------
    path : Path
        Anything.

    Returns
    -------
    bool
        False for whatever `recognize` refuses.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(4) == b"\x89HDF"
    except OSError:
        return False


def is_small_text(path: Path) -> bool:
    """Tell whether a file is read in a moment: short text, packed or not.

    Parameters
    ----------
    path : Path
        Anything.

    Returns
    -------
    bool
        False for folders, and for what cannot be opened or unpacked.
    """
    try:
        if not path.is_file() or path.stat().st_size > SMALL_BYTES:
            return False
        with open_packed(path) as stream:
            content = stream.read(SMALL_BYTES + 1)
    except (*UNPACKING_FAULTS, TableReadError):
        return False
    is_binary = b"\0" in content or content.startswith(_BINARY)
    return len(content) <= SMALL_BYTES and not is_binary


def recognize(path: Path) -> FileKind:
    """Recognise the kind of a file, never by its name.

    Parameters
    ----------
    path : Path
        A file, plain or packed, or a folder.

    Returns
    -------
    FileKind
        ``DELIMITED`` for every text without a mark of its own.

    Raises
    ------
    TableReadError
        If the file is missing, empty, damaged or a workbook.
    """
    if path.is_dir():
        return FileKind.FOLDER
    check_file(path)
    if is_hdf5(path):
        return FileKind.HDF5
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic.startswith(b"PAR1"):
        return FileKind.PARQUET
    return _of_text(read_head(path))


def _of_text(head: bytes) -> FileKind:
    """Recognise the formats that are text."""
    text = head.decode("latin-1").removeprefix("ï»¿").replace("\r\n", "\n")
    if re.match(r"#1\.[23]\s*\n", text):
        return FileKind.GCT
    if _STAR.search(text[:2000]):
        return FileKind.STAR
    if text.startswith("File ID\tFile Name\t"):
        return FileKind.SAMPLE_SHEET
    if find_quantifier(text.partition("\n")[0]) is not None:
        return FileKind.QUANTIFIER
    # The last line may be cut.
    lines = text.split("\n")[:_PAIRS_LOOKED_AT]
    if len(lines) > 1 and all(map(_is_pair, lines[:-1])):
        return FileKind.PAIRS
    return FileKind.DELIMITED


def _is_pair(line: str) -> bool:
    """Tell whether a line is a feature and its value, as in GDC files of one sample."""
    cells = line.split("\t")
    return (
        len(cells) == 2
        and is_known_feature(cells[0])
        and _NUMBER.fullmatch(cells[1].strip()) is not None
    )
