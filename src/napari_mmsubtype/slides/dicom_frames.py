"""Check the places of the frames of a DICOM slide before OpenSlide follows them."""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.dicom_folder import series_of, whole_slide_files

if TYPE_CHECKING:
    from pathlib import Path

ITEM = struct.pack("<HH", 0xFFFE, 0xE000)
FRAMES = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + ITEM
"""Head of the pixel data in compressed frames, and of the table of their places."""

UNPACKED = (b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.2.1\0")
"""Transfer syntaxes without such a table, as the file's first bytes name them."""

META_BYTES = 2048
SEARCHED_BYTES = 256 * 1024**2
"""Before the frames lie the places of sparse tiles, which are some 100 bytes each."""


def check_series(path: Path) -> None:
    """Refuse a DICOM series of which one file has a damaged table of frames.

    OpenSlide 4.0.1 ends the process where such a table points backwards or beyond the
    file.

    Parameters
    ----------
    path : Path
        One file of the series; other files of any kind are left alone.

    Raises
    ------
    SlideOpenError
        If a table is damaged.
    """
    with path.open("rb") as file:
        head = file.read(132)
    if head[128:] != b"DICM":
        return
    check_frames(path)
    series = series_of(path)
    for other in whole_slide_files(path.parent):
        if other != path and series is not None and series_of(other) == series:
            check_frames(other)


def check_frames(path: Path) -> None:
    """Refuse a DICOM file with a damaged table of frames.

    Parameters
    ----------
    path : Path
        A DICOM file.

    Raises
    ------
    SlideOpenError
        If the places of its frames do not follow one another within the file.
    """
    size = path.stat().st_size
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        if any(syntax in data[:META_BYTES] for syntax in UNPACKED):
            return
        start = data.find(FRAMES, 0, SEARCHED_BYTES)
        if start < 0:
            return
        at = start + len(FRAMES)
        length = int.from_bytes(data[at : at + 4], "little")
        first = at + 4 + length
        table = np.frombuffer(data[at + 4 : min(first, size)], np.uint8)
        offsets = table[: len(table) // 4 * 4].view("<u4").astype(np.int64)
        last = first + int(offsets[-1]) + 8 if len(offsets) else first
        end = (
            last + int.from_bytes(data[last - 4 : last], "little") if table.size else 0
        )
    if first > size or length % 4:
        found = f"a table of {length:,} bytes"
    elif len(offsets) and (offsets[0] != 0 or last > size):
        found = f"frames from byte {offsets[0]:,} to {offsets[-1]:,}"
    elif end > size:
        found = f"a last frame that ends at byte {end:,}"
    elif (np.diff(offsets) <= 0).any():
        found = "frames that do not follow one another"
    else:
        return
    msg = (
        f"{str(path)!r} is damaged or truncated: {found} in pixel data that begin at "
        f"byte {first:,} of {size:,}; copy or export it again"
    )
    raise SlideOpenError(msg)
