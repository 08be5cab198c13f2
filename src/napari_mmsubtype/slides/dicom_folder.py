"""Find the whole-slide images among the files of a DICOM folder."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

WHOLE_SLIDE_CLASS = b"1.2.840.10008.5.1.4.1.1.77.1.6"
"""SOP class UID of VL Whole Slide Microscopy Image Storage."""

META_BYTES = 2048
"""The file's meta information, which names the class, comes first and is short."""

TRANSFER_SYNTAX, SERIES = (0x0002, 0x0010), (0x0020, 0x000E)
ITEM, ITEM_END, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
IMPLICIT = "1.2.840.10008.1.2"
UNREADABLE = ("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
"""Transfer syntaxes with the bytes the other way round, or deflated."""

LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Types of values whose length takes four bytes."""

UNDEFINED = 0xFFFFFFFF
DEEPEST = 16
"""How many sequences may lie within each other."""


def whole_slide_files(folder: Path) -> Iterator[Path]:
    """Give the DICOM whole-slide images that lie in a folder.

    Parameters
    ----------
    folder : Path
        A folder; what lies deeper is not looked at.

    Yields
    ------
    Path
        Files in the order of their names, whatever their ending; only the first bytes
        of each are read.
    """
    for file in sorted(folder.iterdir()):
        if file.is_file() and is_whole_slide(file):
            yield file


def is_whole_slide(file: Path) -> bool:
    """Tell a DICOM whole-slide image by its first bytes.

    Parameters
    ----------
    file : Path
        Any file, whatever its ending.

    Returns
    -------
    bool
        Whether its meta information names the class.
    """
    with file.open("rb") as opened:
        head = opened.read(META_BYTES)
    return head[128:132] == b"DICM" and WHOLE_SLIDE_CLASS in head


def series_of(file: Path) -> str | None:
    """Tell which series a file is of.

    Parameters
    ----------
    file : Path
        A DICOM file.

    Returns
    -------
    str or None
        Series instance UID, however much comes before it; None where the file does not
        tell or cannot be understood.
    """
    with file.open("rb") as opened:
        opened.seek(132)
        try:
            return _find_series(opened)
        except (struct.error, UnicodeDecodeError, RecursionError):
            return None


def _find_series(file: BinaryIO) -> str | None:
    """Walk the elements up to the series, which are in the order of their tags."""
    implicit = False
    syntax = ""
    while True:
        start = file.tell()
        group = struct.unpack("<H", file.read(2))[0]
        file.seek(start)
        if group != TRANSFER_SYNTAX[0]:
            # The meta information is explicit always, what follows as it says.
            if syntax in UNREADABLE:
                return None
            implicit = syntax == IMPLICIT
        tag, length = _read_head(file, implicit=implicit)
        if tag in (TRANSFER_SYNTAX, SERIES):
            text = file.read(length).decode("ascii").strip("\0 ")
            if tag == SERIES:
                return text
            syntax = text
        elif tag > SERIES:
            return None
        else:
            _skip(file, length, implicit=implicit)


def _read_head(file: BinaryIO, *, implicit: bool) -> tuple[tuple[int, int], int]:
    """Read the tag of an element and the length of its value."""
    group, number = struct.unpack("<HH", file.read(4))
    # Items have no type, whatever the rest of the file has.
    if implicit or group == ITEM[0]:
        return (group, number), struct.unpack("<I", file.read(4))[0]
    kind = file.read(2)
    if kind in LONG:
        return (group, number), struct.unpack("<2xI", file.read(6))[0]
    return (group, number), struct.unpack("<H", file.read(2))[0]


def _skip(file: BinaryIO, length: int, *, implicit: bool, depth: int = 0) -> None:
    """Go behind a value; one of undefined length is a sequence with a mark behind."""
    if length != UNDEFINED:
        file.seek(length, 1)
        return
    if depth > DEEPEST:
        raise RecursionError
    while True:
        tag, inner = _read_head(file, implicit=implicit)
        if tag in (SEQUENCE_END, ITEM_END):
            return
        _skip(file, inner, implicit=implicit, depth=depth + 1)
