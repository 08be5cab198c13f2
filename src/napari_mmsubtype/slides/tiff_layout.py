"""Which pages of a TIFF are the levels of a slide, and whether the file is whole."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.qptiff import sort_qptiff_pages

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

REDUCED, MASK = 1, 4
"""Bits of the NewSubfileType tag."""

NDPI_TAG = 65420
"""Tag that every page of a Hamamatsu NDPI has."""

SUB_DIRECTORIES_TAG = 330
OFFSETS = {4: "I", 13: "I", 16: "Q", 18: "Q"}
"""Types of values that may point to a directory, as struct names them."""

VALUE_BYTES = dict.fromkeys((1, 2, 6, 7), 1) | dict.fromkeys((3, 8), 2)
VALUE_BYTES |= dict.fromkeys((4, 9, 11, 13), 4)
VALUE_BYTES |= dict.fromkeys((5, 10, 12, 16, 17, 18), 8)
"""Length of one value of each type."""

MOST_ENTRIES = 4096
"""A directory of more is no directory; tifffile refuses it."""

ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class TiffLayout:
    """The pages of a TIFF by what they show.

    Attributes
    ----------
    levels : tuple of tuple of TiffPage
        Per level one page, or one page per color channel.
    associated : dict of str to TiffPage
        Further images by name.
    """

    levels: tuple[tuple[Any, ...], ...]
    associated: dict[str, Any] = field(default_factory=dict)


def check_directories(path: Path) -> bool:
    """Walk the directories of all pages and refuse a file that is cut short.

    Parameters
    ----------
    path : Path
        A file.

    Returns
    -------
    bool
        Whether it is a Hamamatsu NDPI, whose offsets have 64 bits.

    Raises
    ------
    BackendRefusal
        If the file is no TIFF.
    SlideOpenError
        If a page directory or a value of one lies beyond the end of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        if head[:4] in (b"II*\0", b"MM\0*"):
            order, entry, count, word, at = head[:2], 12, "H", "I", 4
        elif head[:4] in (b"II+\0", b"MM\0+"):
            order, entry, count, word, at = head[:2], 20, "Q", "Q", 8
        else:
            msg = f"no TIFF file (it begins with {head[:4]!r})"
            raise BackendRefusal(msg)
        is_ndpi = head[:4] == b"II*\0" and _points_to_ndpi(file, head, size)
        if is_ndpi:
            word = "Q"
        sign = "<" if order == b"II" else ">"
        width, counter = struct.calcsize(sign + word), struct.calcsize(sign + count)
        offset, seen = _number(sign + word, head[at : at + width]), set()
        if offset is None:
            raise SlideOpenError(_cut_short(path, at + width, size, "the header"))
        ahead = [offset]
        while ahead:
            offset = ahead.pop()
            if not offset or offset in seen:
                continue
            seen.add(offset)
            # At the end nothing is read; far beyond it, nothing can be sought.
            file.seek(min(offset, size))
            entries = _number(sign + count, file.read(counter))
            end = offset + counter + (entries or 0) * entry
            # In NDPI the upper half of every entry's value follows.
            last = end + width + (4 * (entries or 0) if is_ndpi else 0)
            if entries is None or last > size:
                raise SlideOpenError(_cut_short(path, last, size, "a page directory"))
            # Those of NDPI are in two halves.
            is_read = entries <= MOST_ENTRIES and not is_ndpi
            data = file.read(entries * entry if is_read else 0)
            file.seek(end)
            ahead.append(_number(sign + word, file.read(width)) or 0)
            ahead += _check_values(file, path, data, sign, word)
    return is_ndpi


def _check_values(
    file: BinaryIO, path: Path, data: bytes, sign: str, word: str
) -> list[int]:
    """Refuse values beyond the end of the file; give the directories below this one."""
    size, width = path.stat().st_size, struct.calcsize(sign + word)
    below: list[int] = []
    for tag, kind, count, value in struct.iter_unpack(f"{sign}HH{word}{width}s", data):
        length = count * VALUE_BYTES.get(kind, 0)
        if length > width:
            start = _number(sign + word, value) or 0
            if start + length > size:
                what = f"the value of tag {tag}"
                raise SlideOpenError(_cut_short(path, start + length, size, what))
            if tag == SUB_DIRECTORIES_TAG:
                file.seek(start)
                value = file.read(length)
        if tag == SUB_DIRECTORIES_TAG and kind in OFFSETS:
            below += struct.unpack(f"{sign}{count}{OFFSETS[kind]}", value[:length])
    return below


def _points_to_ndpi(file: BinaryIO, head: bytes, size: int) -> bool:
    """Say whether a header's offset of 64 bits leads to a directory of NDPI."""
    offset = _number("<Q", head[4:12])
    if offset is None or not 8 <= offset < size:
        return False
    file.seek(offset)
    entries = _number("<H", file.read(2)) or 0
    data = file.read(entries * 12)
    tags = [data[at : at + 2] for at in range(0, len(data), 12)]
    return struct.pack("<H", NDPI_TAG) in tags


def check_segments(path: Path, page: Any) -> None:
    """Refuse a page whose tiles or strips are not all inside the file.

    Parameters
    ----------
    path : Path
        The file.
    page : TiffPage
        A page of a level.

    Raises
    ------
    SlideOpenError
        If a segment ends beyond the file or segments are missing from the index.
    """
    size = path.stat().st_size
    offsets = np.asarray(page.dataoffsets, dtype=np.int64)
    counts = np.asarray(page.databytecounts, dtype=np.int64)
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    if page.is_tiled:
        expected = -(-page.imagelength // page.tilelength)
        expected *= -(-page.imagewidth // page.tilewidth)
    else:
        expected = -(-page.imagelength // max(page.rowsperstrip, 1))
    kind = "tile" if page.is_tiled else "strip"
    if len(offsets) < expected * planes or len(offsets) != len(counts):
        msg = (
            f"{str(path)!r} is damaged: a page of {page.imagelength} x "
            f"{page.imagewidth} px lists {len(offsets)} {kind}s where "
            f"{expected * planes} are expected; fetch or export the file again"
        )
        raise SlideOpenError(msg)
    end = int((offsets + counts).max(initial=0))
    if end > size:
        index = int((offsets + counts).argmax())
        what = f"{kind} {index + 1} of {len(offsets)}"
        raise SlideOpenError(_cut_short(path, end, size, what))


def lay_out(tif: Any) -> TiffLayout:
    """Sort the pages of a TIFF into levels and further images.

    Parameters
    ----------
    tif : TiffFile
        The open file.

    Returns
    -------
    TiffLayout
        At least one level.

    Raises
    ------
    BackendRefusal
        If the pages are a stack, channels or a layout that another backend knows.
    SlideOpenError
        If the file is a QPTIFF of fluorescence.
    """
    for flag, maker in (
        ("is_ndpi", "Hamamatsu NDPI"),
        ("is_scn", "Leica SCN"),
        ("is_bif", "Ventana BIF"),
        ("is_philips", "Philips TIFF"),
    ):
        if getattr(tif, flag):
            msg = f"{maker} stores its levels in a way of its own"
            raise BackendRefusal(msg)
    if not len(tif.pages):
        msg = "the TIFF holds no page"
        raise BackendRefusal(msg)
    if tif.is_qpi:
        pages, further = sort_qptiff_pages(tif)
        return TiffLayout(tuple((page,) for page in pages), further)
    if tif.pages[0].software.startswith("MedScan"):
        msg = "Trestle TIFF has overlapping tiles"
        raise BackendRefusal(msg)
    return _lay_out_ome(tif) if tif.is_ome else _lay_out_pages(tif)


def _lay_out_pages(tif: Any) -> TiffLayout:
    """Find the levels among ordinary pages and sub-pages."""
    pages = [page.aspage() for page in tif.pages]
    tiled = [page for page in pages if page.is_tiled]
    base = max(tiled, key=_area) if tiled else pages[0]
    below = [page.aspage() for page in base.pages or ()]
    others = [page for page in pages if page is not base]
    same = [p for p in others if _size(p) == _size(base) and not p.subfiletype & MASK]
    images = (tif.imagej_metadata or {}).get("images", 1) if tif.is_imagej else 1
    if same or images > 1:
        msg = (
            f"the TIFF is a stack of {max(len(same) + 1, images)} images of one size; "
            "one image in several resolutions is expected"
        )
        raise BackendRefusal(msg)
    levels, used = [base], {id(base)}
    for page in sorted(below + others, key=_area, reverse=True):
        if _area(page) < _area(levels[-1]) and _is_level(page, base):
            levels.append(page)
            used.add(id(page))
    rest = [page for page in others if id(page) not in used]
    return TiffLayout(tuple((page,) for page in levels), _name(rest, tif))


def _is_level(page: Any, base: Any) -> bool:
    """Say whether a page shows the same as the largest one, only smaller."""
    if page.subfiletype & MASK or page.is_tiled != base.is_tiled:
        return False
    if not page.is_tiled and not page.subfiletype & REDUCED:
        return False
    if page.samplesperpixel != base.samplesperpixel or page.dtype != base.dtype:
        return False
    (h, w), (h0, w0) = _size(page), _size(base)
    whole = round((h0 / h + w0 / w) / 2)
    if abs(h0 / whole - h) <= 1 and abs(w0 / whole - w) <= 1:
        return True
    return bool(abs((h0 / h) / (w0 / w) - 1) <= ASPECT_TOLERANCE)


def _name(pages: list[Any], tif: Any) -> dict[str, Any]:
    """Name the pages that are no level."""
    named: dict[str, Any] = {}
    for page in pages:
        words = (page.description or "").splitlines()[-1:] or [""]
        first = words[0].split(" ", 1)[0].lower()
        if tif.is_svs and first in ("label", "macro"):
            name = first
        elif tif.is_svs and not page.is_tiled and page.index == 1:
            name = "thumbnail"
        else:
            name = f"page {page.index}"
        named.setdefault(name, page)
    return named


def _lay_out_ome(tif: Any) -> TiffLayout:
    """Find the levels of the largest image of an OME-TIFF."""
    series = list(tif.series)
    base = max(series, key=lambda s: _extent(s, "Y") * _extent(s, "X"))
    for axis in "ZT":
        if _extent(base, axis) > 1:
            msg = (
                f"the OME-TIFF holds {_extent(base, axis)} planes along {axis}; "
                "a single plane is expected"
            )
            raise BackendRefusal(msg)
    channels = _extent(base, "C")
    if channels not in (1, 3) or (channels == 3 and _extent(base, "S") > 1):
        msg = (
            f"the OME-TIFF holds {channels} channels, as fluorescence does; a "
            "brightfield image in RGB or grey is expected"
        )
        raise BackendRefusal(msg)
    levels = []
    for level in base.levels:
        pages = [page.aspage() for page in level.pages if page is not None]
        if len(pages) < channels:
            msg = "the OME-TIFF refers to pages in other files; one file is expected"
            raise BackendRefusal(msg)
        levels.append(tuple(pages[:channels]))
    levels.sort(key=lambda pages: -_area(pages[0]))
    rest = {
        (image.name or f"image {index}").lower(): image.pages[0].aspage()
        for index, image in enumerate(series)
        if image is not base and image.pages and image.pages[0] is not None
    }
    return TiffLayout(tuple(levels), rest)


def _extent(series: Any, axis: str) -> int:
    """Give the length of a series along one of its axes."""
    return int(series.shape[series.axes.index(axis)]) if axis in series.axes else 1


def _size(page: Any) -> tuple[int, int]:
    """Give the height and width of a page."""
    return int(page.imagelength), int(page.imagewidth)


def _area(page: Any) -> int:
    """Give the pixels of a page."""
    return int(page.imagelength * page.imagewidth)


def _number(layout: str, data: bytes) -> int | None:
    """Unpack one number, None where the file ended before it."""
    if len(data) < struct.calcsize(layout):
        return None
    return int(struct.unpack(layout, data)[0])


def _cut_short(path: Path, end: int, size: int, what: str) -> str:
    """Say that a file is truncated."""
    return (
        f"{str(path)!r} is truncated: {what} should end at byte {end:,} but the file "
        f"has only {size:,}; copy or download it again"
    )
