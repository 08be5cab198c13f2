"""Zeiss CZI: where its tiles, its metadata and its further images lie in the file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.backend import BackendRefusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

HEAD_BYTES = 32
"""Every segment begins with a name of 16 bytes and two sizes."""

FILE, TILE = b"ZISRAWFILE", b"ZISRAWSUBBLOCK"
TILES, METADATA = b"ZISRAWDIRECTORY", b"ZISRAWMETADATA"
ATTACHMENT, ATTACHMENTS = b"ZISRAWATTACH", b"ZISRAWATTDIR"

ENTRY = struct.Struct("<2siqiib5si")
DIMENSION = struct.Struct("<4siifi")
ATTACHMENT_ENTRY = struct.Struct("<2s10sqi16s8s80s")

LARGEST_SLIDE_PX, LARGEST_TILE_PX = 4_000_000, 16_384
"""Sides of a slide and of a tile that only a damaged directory exceeds."""

PLACES = ("X", "Y", "M", "S")
"""Dimensions that place a tile in the mosaic; along others one plane is read."""


@dataclass(frozen=True, slots=True)
class CziTile:
    """One stored tile.

    Attributes
    ----------
    y, x : int
        Upper left corner in pixels of level 0, counted from anywhere.
    shape : tuple of int
        Height and width in stored pixels.
    factor : int
        Level-0 pixels per stored pixel.
    order : int
        Number in the mosaic; of two that overlap the higher one is seen.
    scene : int
        Which of the regions on the glass it is of.
    kind, compression : int
        Codes of the sample type and of the encoding.
    offset : int
        Where its segment begins.
    """

    y: int
    x: int
    shape: tuple[int, int]
    factor: int
    order: int
    scene: int
    kind: int
    compression: int
    offset: int


@dataclass(frozen=True, slots=True)
class CziLayout:
    """What a CZI holds.

    Attributes
    ----------
    tiles : tuple of CziTile
        All tiles of all levels.
    xml : str
        The metadata document.
    attachments : mapping of str to (str, int, int)
        Type, place and size of what is attached, by name.
    """

    tiles: tuple[CziTile, ...]
    xml: str
    attachments: Mapping[str, tuple[str, int, int]]


def read_layout(file: BinaryIO, start: int = 0) -> CziLayout:
    """Read the directories of a CZI without decoding a pixel.

    Parameters
    ----------
    file : binary file
        The open file.
    start : int, default: 0
        Where the CZI begins, as one may be attached to another.

    Returns
    -------
    CziLayout
        At least one tile.

    Raises
    ------
    BackendRefusal
        If the file is no CZI, or one of planes, channels or parts.
    SlideOpenError
        If the file is a CZI that is cut short.
    """
    size = file.seek(0, 2)
    file.seek(start)
    head = file.read(HEAD_BYTES + 80)
    if not head.startswith(FILE):
        msg = f"no CZI file (it begins with {head[:4]!r})"
        raise BackendRefusal(msg)
    if len(head) < HEAD_BYTES + 80:
        raise SlideOpenError(_cut_short(file, start + HEAD_BYTES + 80, size))
    part, tiles_at, xml_at, _, attachments_at = struct.unpack_from("<iqqiq", head, 80)
    if part != 0:
        msg = "the CZI is one part of several; the first part in a file is expected"
        raise BackendRefusal(msg)
    tiles = _read_tiles(file, start, tiles_at, size)
    xml = b""
    if xml_at:
        data = _segment(file, start + xml_at, METADATA, size)
        length = struct.unpack_from("<i", data)[0]
        xml = data[256 : 256 + length]
    attachments = {}
    if attachments_at:
        attachments = _read_attachments(file, start, attachments_at, size)
    return CziLayout(tiles, xml.decode("utf-8", "replace").strip("\0"), attachments)


def read_tile_data(file: BinaryIO, tile: CziTile) -> bytes:
    """Read the encoded bytes of a tile.

    Parameters
    ----------
    file : binary file
        The open file.
    tile : CziTile
        One of the layout.

    Returns
    -------
    bytes
        The encoded tile.

    Raises
    ------
    ValueError
        If there is no tile at its place.
    """
    file.seek(tile.offset)
    head = file.read(HEAD_BYTES + 16 + ENTRY.size)
    if not head.startswith(TILE) or len(head) < HEAD_BYTES + 16 + ENTRY.size:
        msg = f"no tile at byte {tile.offset:,}"
        raise ValueError(msg)
    notes, _, length = struct.unpack_from("<iiq", head, HEAD_BYTES)
    dimensions = ENTRY.unpack_from(head, HEAD_BYTES + 16)[-1]
    described = max(256, 16 + ENTRY.size + dimensions * DIMENSION.size)
    file.seek(tile.offset + HEAD_BYTES + described + notes)
    data = file.read(max(length, 0))
    if len(data) != length:
        msg = f"the tile at byte {tile.offset:,} does not end within the file"
        raise ValueError(msg)
    return data


def _read_tiles(
    file: BinaryIO, start: int, place: int, size: int
) -> tuple[CziTile, ...]:
    """Read the directory of the tiles and refuse what is no single plane."""
    data = _segment(file, start + place, TILES, size)
    count = struct.unpack_from("<i", data)[0]
    tiles: list[CziTile] = []
    planes: dict[str, set[int]] = {}
    at = 128
    try:
        for _ in range(count):
            entry = ENTRY.unpack_from(data, at)
            at += ENTRY.size
            found = {}
            for _ in range(entry[-1]):
                name, first, length, _, stored = DIMENSION.unpack_from(data, at)
                found[name.strip(b"\0").decode("ascii")] = (first, length, stored)
                at += DIMENSION.size
            for name in found.keys() - set(PLACES):
                planes.setdefault(name, set()).add(found[name][0])
            tiles.append(_tile(start, entry, found))
    except (struct.error, KeyError, UnicodeDecodeError, ZeroDivisionError) as err:
        msg = f"the directory of tiles cannot be understood after {len(tiles)} tiles"
        raise BackendRefusal(msg) from err
    if not tiles:
        msg = "the CZI holds no tile"
        raise BackendRefusal(msg)
    for name, seen in planes.items():
        if len(seen) > 1:
            what = "channels, as fluorescence has" if name == "C" else "planes"
            msg = f"{len(seen)} {what} along {name!r}; a single one is expected"
            raise BackendRefusal(msg)
    last = max(tile.offset for tile in tiles) + HEAD_BYTES
    if last > size:
        raise SlideOpenError(_cut_short(file, last, size))
    _refuse_nonsense(tiles)
    return tuple(tiles)


def _refuse_nonsense(tiles: Sequence[CziTile]) -> None:
    """Refuse tiles in places and of sizes that no scanner makes."""
    for first, side, axis in (("y", 0, "high"), ("x", 1, "wide")):
        starts = [getattr(tile, first) for tile in tiles]
        ends = [getattr(tile, first) + tile.shape[side] * tile.factor for tile in tiles]
        extent = max(ends) - min(starts)
        largest = max(tile.shape[side] for tile in tiles)
        if extent > LARGEST_SLIDE_PX or largest > LARGEST_TILE_PX:
            msg = (
                f"a slide {extent:,} px {axis} of tiles up to {largest:,} px; no more "
                f"than {LARGEST_SLIDE_PX:,} px and {LARGEST_TILE_PX:,} px expected"
            )
            raise BackendRefusal(msg)
    if min(tile.offset for tile in tiles) < 0:
        msg = "a tile begins before the file"
        raise BackendRefusal(msg)


def _tile(
    start: int,
    entry: tuple[bytes, int, int, int, int, int, bytes, int],
    found: Mapping[str, tuple[int, int, int]],
) -> CziTile:
    """Make a tile of its directory entry."""
    x, wide, stored_x = found["X"]
    y, tall, stored_y = found["Y"]
    stored_x, stored_y = stored_x or wide, stored_y or tall
    # The longer side has the smaller error by rounding.
    factor = round(wide / stored_x if stored_x >= stored_y else tall / stored_y)
    _, kind, offset, part, compression, *_ = entry
    if part != 0:
        msg = "the CZI keeps tiles in further files; one file is expected"
        raise BackendRefusal(msg)
    if min(stored_x, stored_y, factor) < 1:
        msg = f"a tile of {stored_y} x {stored_x} px for {tall} x {wide} px of level 0"
        raise BackendRefusal(msg)
    return CziTile(
        y=y,
        x=x,
        shape=(stored_y, stored_x),
        factor=factor,
        order=found.get("M", (0, 1, 1))[0],
        scene=found.get("S", (0, 1, 1))[0],
        kind=kind,
        compression=compression,
        offset=start + offset,
    )


def _read_attachments(
    file: BinaryIO, start: int, place: int, size: int
) -> dict[str, tuple[str, int, int]]:
    """Read the directory of what is attached."""
    data = _segment(file, start + place, ATTACHMENTS, size)
    count = struct.unpack_from("<i", data)[0]
    found: dict[str, tuple[str, int, int]] = {}
    for number in range(count):
        at = 256 + number * ATTACHMENT_ENTRY.size
        if at + ATTACHMENT_ENTRY.size > len(data):
            break
        _, _, offset, _, _, kind, name = ATTACHMENT_ENTRY.unpack_from(data, at)
        if not 0 <= offset < size:
            continue
        file.seek(start + offset)
        head = file.read(HEAD_BYTES + 4)
        if not head.startswith(ATTACHMENT) or len(head) < HEAD_BYTES + 4:
            continue
        length = struct.unpack_from("<i", head, HEAD_BYTES)[0]
        if not 0 <= length <= size:
            continue
        words = [
            word.partition(b"\0")[0].decode("utf-8", "replace") for word in (name, kind)
        ]
        found.setdefault(
            words[0], (words[1], start + offset + HEAD_BYTES + 256, length)
        )
    return found


def _segment(file: BinaryIO, at: int, name: bytes, size: int) -> bytes:
    """Read what a segment holds."""
    if not 0 <= at < size:
        raise SlideOpenError(_cut_short(file, at + HEAD_BYTES, size))
    file.seek(at)
    head = file.read(HEAD_BYTES)
    if len(head) < HEAD_BYTES:
        raise SlideOpenError(_cut_short(file, at + HEAD_BYTES, size))
    if head[:16].strip(b"\0") != name:
        msg = f"{name.decode()} expected at byte {at:,}, found {head[:16]!r}"
        raise BackendRefusal(msg)
    allocated, used = struct.unpack_from("<qq", head, 16)
    length = used or allocated
    if length < 4 or at + HEAD_BYTES + length > size:
        raise SlideOpenError(_cut_short(file, at + HEAD_BYTES + length, size))
    return file.read(length)


def _cut_short(file: BinaryIO, end: int, size: int) -> str:
    """Say that a file is truncated."""
    return (
        f"{getattr(file, 'name', 'the CZI')!r} is truncated: a part should end at byte "
        f"{end:,} but the file has only {size:,}; copy or download it again"
    )
