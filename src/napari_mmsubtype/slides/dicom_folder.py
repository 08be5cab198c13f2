"""Find the whole-slide images among the files of a DICOM folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHOLE_SLIDE_CLASS = b"1.2.840.10008.5.1.4.1.1.77.1.6"
"""SOP class UID of VL Whole Slide Microscopy Image Storage."""

META_BYTES = 2048
"""The file's meta information, which names the class, comes first and is short."""

SERIES_BYTES = 64 * 1024
"""The series is named among the first elements, before profiles and pixels."""


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
        if not file.is_file():
            continue
        with file.open("rb") as opened:
            head = opened.read(META_BYTES)
        if head[128:132] == b"DICM" and WHOLE_SLIDE_CLASS in head:
            yield file


def names_series(file: Path, series: str) -> bool:
    """Say whether a file is of a series.

    Parameters
    ----------
    file : Path
        A DICOM file.
    series : str
        Series instance UID.

    Returns
    -------
    bool
        Whether the UID stands in the first part of the file.
    """
    with file.open("rb") as opened:
        head = opened.read(SERIES_BYTES)
    # A UID of odd length is padded; without the check "1.2" would be found in "1.23".
    uid = series.encode()
    at = head.find(uid)
    while at >= 0:
        if head[at + len(uid) : at + len(uid) + 1] not in _UID_CHARACTERS:
            return True
        at = head.find(uid, at + 1)
    return False


_UID_CHARACTERS = tuple(bytes([code]) for code in b"0123456789.")
