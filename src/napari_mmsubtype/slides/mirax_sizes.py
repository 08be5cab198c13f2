"""Check the sizes that a MIRAX slide tells before OpenSlide believes them."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import SlideOpenError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_IMAGE_PX = 16_384
"""Side of one image of the camera; real ones have a few hundred to 4096 px."""

LARGEST_DOCUMENT_BYTES = 1024**2
LARGEST_RECORD_BYTES = 1024**3
"""A record beside the images is a photograph or a table of places."""

MOST_RECORDS = 1000
_NUMBER = re.compile(
    rb"^\s*(DIGITIZER_WIDTH|DIGITIZER_HEIGHT|IMAGENUMBER_X|IMAGENUMBER_Y"
    rb"|CameraImageDivisionsPerSide)\s*=\s*(\d+)",
    re.MULTILINE,
)
_RECORDS = re.compile(rb"^\s*NONHIER_\d+_COUNT\s*=\s*(\d+)", re.MULTILINE)
_VERSION = b"01.02"


def check_mirax(path: Path) -> None:
    """Refuse a MIRAX slide whose images have a size that no camera makes.

    OpenSlide 4.0.1 ends the process where there is no memory for one image, or where
    an image is divided into more parts than there are.

    Parameters
    ----------
    path : Path
        The ``.mrxs`` file; other files are left alone.

    Raises
    ------
    SlideOpenError
        If Slidedat.ini or the index is damaged.
    """
    document = path.with_suffix("") / "Slidedat.ini"
    if path.suffix.lower() != ".mrxs" or not document.is_file():
        return
    with document.open("rb") as file:
        text = file.read(LARGEST_DOCUMENT_BYTES)
    counts = []
    divisions = 1
    for name, digits in _NUMBER.findall(text):
        # A run of digits without end would take long to become a number.
        value = int(digits[:20])
        if name.startswith(b"DIGITIZER") and value > LARGEST_IMAGE_PX:
            _refuse(document, f"{name.decode()} is {value:,}", f"{LARGEST_IMAGE_PX:,}")
        elif name.startswith(b"IMAGENUMBER"):
            counts.append(value)
        elif name.startswith(b"Camera"):
            divisions = value
    if counts and divisions > min(counts):
        found = f"CameraImageDivisionsPerSide is {divisions:,}"
        _refuse(document, found, f"{min(counts):,}, the images of a side,")
    _check_index(document.parent, text)


def _check_index(folder: Path, text: bytes) -> None:
    """Refuse an index that gives a record beside the images an impossible size.

    The index begins with its version and the slide's identifier; two numbers follow,
    the second of which is where the table of such records begins.
    """
    identifier = _value(text, rb"SLIDE_ID")
    index = folder / _value(text, rb"INDEXFILE").decode("utf-8", "replace")
    if not identifier or not index.is_file():
        return
    records = sum(int(n[:4]) for n in _RECORDS.findall(text))
    with index.open("rb") as file:

        def number(at: int) -> int:
            file.seek(max(at, 0))
            found = file.read(4)
            return struct.unpack("<i", found)[0] if len(found) == 4 else 0

        table = number(len(_VERSION) + len(identifier) + 4)
        for record in range(min(records, MOST_RECORDS)):
            # A record is an empty page that points to the one with place and size.
            page = number(number(table + 4 * record) + 4)
            size = number(page + 20)
            if not 0 <= size <= LARGEST_RECORD_BYTES:
                found = f"record {record} has {size:,} bytes"
                _refuse(index, found, f"{LARGEST_RECORD_BYTES:,}")


def _value(text: bytes, key: bytes) -> bytes:
    """Find a value of Slidedat.ini; empty where there is none."""
    found = re.search(rb"^\s*" + key + rb"\s*=\s*(.*?)\s*$", text, re.MULTILINE)
    return found.group(1) if found else b""


def _refuse(document: Path, found: str, most: str) -> None:
    """Say that the document is damaged."""
    msg = (
        f"{str(document)!r} is damaged: {found}, at most {most} expected; copy the "
        "slide and its folder again"
    )
    raise SlideOpenError(msg)
