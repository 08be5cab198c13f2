"""Whether the structure of DICOM files is sound enough for a native library.

OpenSlide trusts the lengths and offsets that a DICOM file states: a damaged one makes
it ask for gigabytes of memory or read outside of the file, which ends the process.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.dicom_folder import whole_slide_files

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

EXPLICIT_SYNTAX_ROOT = b"1.2.840.10008.1.2."
NOT_LITTLE_ENDIAN = (b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99")
"""Big-endian and deflated files, which hold no whole slides in practice."""

TRANSFER_SYNTAX, SERIES = (0x0002, 0x0010), (0x0020, 0x000E)
LONG_OFFSETS, PIXELS = (0x7FE0, 0x0001), (0x7FE0, 0x0010)
ITEM, ITEM_END, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
UNDEFINED = 0xFFFFFFFF
LONG_TYPES = "OB OD OF OL OV OW SQ SV UC UN UR UT UV"
SHORT_TYPES = "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US"
KEPT_BYTES = 256

MOST_ELEMENTS = 50_000
"""A slide of sparse tiles lists each of them; what comes after is taken on trust."""


@dataclass(frozen=True, slots=True)
class _Element:
    """The head of one element; `start` is where its value begins."""

    tag: tuple[int, int]
    kind: str
    start: int
    length: int


class _DamagedError(Exception):
    """A length or offset leads nowhere; the message says which."""


class _BadFramesError(_DamagedError):
    """The table of frames leads nowhere, on which a read would end the process."""


class _TrustError(Exception):
    """The rest of the file is not for this check to judge."""


def check_dicom(path: Path) -> None:
    """Refuse a DICOM slide with a length or offset that leads out of its file.

    Parameters
    ----------
    path : Path
        Any file; one that is no DICOM passes. The other whole-slide images in its
        folder that are of the same series belong to the slide.

    Raises
    ------
    SlideOpenError
        If a file of the slide is damaged.
    """
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return
    series = _require_sound(path)
    for other in whole_slide_files(path.parent):
        if other != path:
            _require_sound(other, series)


def _require_sound(path: Path, series: bytes | None = None) -> bytes:
    """Walk one file and give its series; pass over one that is of another series."""
    size = path.stat().st_size
    with path.open("rb") as file:
        walk = _Walk(file, size)
        try:
            walk.run()
        except _TrustError:
            return walk.series
        except _DamagedError as err:
            # OpenSlide itself passes over files beside that it cannot understand.
            is_beside = series is not None
            if not is_beside or (
                series == walk.series and isinstance(err, _BadFramesError)
            ):
                msg = (
                    f"{str(path)!r} is damaged or cut short: {err} (the file has "
                    f"{size:,} bytes); fetch or export it again"
                )
                raise SlideOpenError(msg) from err
    return walk.series


class _Walk:
    """Go through the elements of one file up to its pixels."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._left = MOST_ELEMENTS
        self._has_types = False  # but the meta information has them in any case
        self._long_offsets: _Element | None = None
        self.series = b""

    def run(self) -> None:
        """Walk the meta information, then the rest in the syntax that it names."""
        at, syntax = 132, b""
        while True:
            element = self._head(at)
            if element.tag[0] != 2:
                break
            if element.tag == TRANSFER_SYNTAX:
                syntax = self._value(element)
            at = self._end(element)
        if syntax in NOT_LITTLE_ENDIAN:
            return
        self._has_types = syntax.startswith(EXPLICIT_SYNTAX_ROOT)
        self._elements(at, self._size)

    def _elements(self, at: int, stop: int) -> int:
        """Walk elements up to a place or a mark of the end; give where that is."""
        while at < stop:
            element = self._head(at)
            if element.tag in (ITEM_END, SEQUENCE_END):
                return element.start
            if element.tag == PIXELS:
                self._check_pixels(element)
                return self._size
            if element.tag == SERIES:
                self.series = self._value(element)
            if element.tag == LONG_OFFSETS:
                self._long_offsets = element
            if element.length == UNDEFINED:
                if element.kind not in ("SQ", ""):
                    msg = f"a value of type {element.kind} at byte {at:,} has no end"
                    raise _DamagedError(msg)
                at = self._items(element.start, self._size)
                continue
            at = self._end(element)
            if element.kind == "SQ":
                self._items(element.start, at)
        return at

    def _items(self, at: int, stop: int) -> int:
        """Walk the items of a sequence."""
        while at < stop:
            item = self._head(at)
            if item.tag == SEQUENCE_END:
                return item.start
            if item.tag != ITEM:
                msg = f"no item of a sequence at byte {at:,}"
                raise _DamagedError(msg)
            is_open = item.length == UNDEFINED
            at = self._elements(item.start, self._size if is_open else self._end(item))
        return at

    def _head(self, at: int) -> _Element:
        """Read the head of an element."""
        self._left -= 1
        if self._left < 0:
            raise _TrustError
        self._file.seek(at)
        data = self._file.read(12)
        if len(data) < 8:
            msg = f"an element at byte {at:,} has no head"
            raise _DamagedError(msg)
        group, number, length = struct.unpack_from("<HHI", data)
        tag = (group, number)
        if group == 0xFFFE or not (self._has_types or group == 2):
            return _Element(tag, "", at + 8, length)
        kind = data[4:6].decode("latin-1")
        if kind in SHORT_TYPES.split():
            return _Element(tag, kind, at + 8, length >> 16)
        if kind not in LONG_TYPES.split() or len(data) < 12:
            raise _TrustError
        length = int.from_bytes(data[8:], "little")
        if kind == "UN" and length == UNDEFINED:
            raise _TrustError
        return _Element(tag, kind, at + 12, length)

    def _end(self, element: _Element) -> int:
        """Give where an element ends, which must be in the file."""
        end = element.start + element.length
        if end > self._size:
            msg = f"an element at byte {element.start:,} should end at byte {end:,}"
            raise _DamagedError(msg)
        return end

    def _value(self, element: _Element) -> bytes:
        """Read a short text."""
        self._end(element)
        self._file.seek(element.start)
        return self._file.read(min(element.length, KEPT_BYTES)).rstrip(b"\0 ")

    def _check_pixels(self, pixels: _Element) -> None:
        """Require that all frames begin in the file, one after the other."""
        if pixels.length != UNDEFINED:
            self._end(pixels)
            return
        table = self._head(pixels.start)
        if table.tag != ITEM:
            msg = f"no table of frames at byte {pixels.start:,}"
            raise _DamagedError(msg)
        first = self._end(table)
        for element, kind in ((table, "<u4"), (self._long_offsets, "<u8")):
            if element is None:
                continue
            self._end(element)
            self._file.seek(element.start)
            data = self._file.read(element.length)
            if len(data) % np.dtype(kind).itemsize:
                msg = f"a table of frames of {len(data):,} bytes"
                raise _BadFramesError(msg)
            offsets = np.frombuffer(data, kind).astype(np.uint64)
            if offsets.size:
                self._check_offsets(offsets, first, element)

    def _check_offsets(
        self, offsets: NDArray[np.uint64], first: int, table: _Element
    ) -> None:
        """Require that frames follow one another and the last ends in the file."""
        last = first + int(offsets[-1])
        ascends = bool((offsets[1:] > offsets[:-1]).all())
        if not ascends or offsets[0] != 0 or last > self._size - 8:
            msg = f"the table of frames at byte {table.start:,} is not sound"
            raise _BadFramesError(msg)
        self._end(self._head(last))
