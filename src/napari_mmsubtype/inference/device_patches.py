"""Patches put together on a device, from tiles that were decoded there."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.errors import DamagedTileError
from napari_mmsubtype.inference.batch_limit import is_out_of_memory
from napari_mmsubtype.inference.device_loss import is_device_lost
from napari_mmsubtype.inference.device_resize import resize_area_on_device
from napari_mmsubtype.inference.jpeg_decoder import decode_streams
from napari_mmsubtype.inference.lane import stream_of
from napari_mmsubtype.inference.tile_pool import WHITE, Place, TilePool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.core.geometry import Box
    from napari_mmsubtype.slides.jpeg_tiles import JpegTiles
    from napari_mmsubtype.slides.patch_source import PatchSource

logger = logging.getLogger(__name__)

LIMIT_BYTES = 512 * 1024**2
"""Memory of the device for decoded tiles: two rows of blocks of a wide slide."""
AT_ONCE = 256
"""Tiles decoded by one call."""
PIXELS_AT_ONCE = 2**23
"""Pixels put together by one step, which takes some 20 bytes for each."""


class DevicePatches:
    """Patches of one slide whose tiles are decoded on a device.

    `load` is for one thread at a time; `read` gives a patch as the CPU reads it, from
    any thread.

    Parameters
    ----------
    source : PatchSource
        The patches.
    tiles : JpegTiles
        Of the grid's level.
    device : torch.device
        Where to decode.
    limit_bytes : int, default: 536870912
        Memory of the device for decoded tiles, which each are decoded once as long as
        they fit.

    Attributes
    ----------
    device : torch.device
        Where tiles are decoded.
    tile_shape : tuple of int
        Height and width of a tile.
    failure : str
        Why the CPU had to take over; empty as long as it had not.

    Raises
    ------
    ValueError
        If the tiles of a single patch do not fit.
    """

    def __init__(
        self,
        source: PatchSource,
        tiles: JpegTiles,
        device: torch.device,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.device = device
        self.failure = ""
        self.tile_shape = tiles.tile_shape
        self._source = source
        self._tiles = tiles
        (height, width), (tile_h, tile_w) = tiles.shape, tiles.tile_shape
        every = -(-height // tile_h) * -(-width // tile_w)
        self._count = min(limit_bytes // (3 * tile_h * tile_w) - 1, every)
        read_h, read_w = source.grid.read_shape
        # Two more along each axis, of which a patch may have just a row of pixels.
        most = (read_h // tile_h + 2) * (read_w // tile_w + 2)
        if self._count < min(most, every):
            msg = (
                f"{most} tiles of {tile_h} x {tile_w} px under a patch do not fit into "
                f"{limit_bytes:,} bytes"
            )
            raise ValueError(msg)
        self._pool: TilePool | None = None
        self._blank: set[Place] = set()
        is_cuda = device.type == "cuda"
        self._stream = stream_of(device, "tiles") if is_cuda else None

    def __len__(self) -> int:
        return len(self._source)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read one patch by the CPU.

        Parameters
        ----------
        index : int
            Row of the grid's arrays.

        Returns
        -------
        ndarray of uint8, shape (size_px, size_px, 3)
            As `PatchSource.read` gives it.
        """
        return self._source.read(index)

    def load(self, indices: range) -> tuple[torch.Tensor, NDArray[np.bool_]]:
        """Put patches together on the device.

        Parameters
        ----------
        indices : range
            Rows of the grid's arrays.

        Returns
        -------
        pixels : Tensor of uint8, shape (n, size_px, size_px, 3)
            RGB on the device, finished for any stream; white where a patch cannot be
            read.
        readable : ndarray of bool, shape (n,)
            Which patches could be read, just as `PatchSource.read` reads them or not.

        Raises
        ------
        SlideChangedError
            If the file has changed.
        RuntimeError
            If the device does not decode what the CPU does.
        """
        boxes = [self._source.box(index) for index in indices]
        readable = np.ones(len(boxes), bool)
        done: list[torch.Tensor] = []
        with self._beside():
            pool = self._pool = self._pool or self._make_pool()
            for part in self._parts(boxes):
                wanted = [self._places(box) for box in boxes[part]]
                broken = self._fetch(pool, set().union(*wanted))
                patches = self._gather(pool, boxes[part])
                for i, places in enumerate(wanted):
                    reason = next((broken[p] for p in places if p in broken), None)
                    if reason is not None:
                        at = part.start + i
                        readable[at] = False
                        patches[i] = 255
                        logger.warning("patch %d skipped: %s", indices[at], reason)
                done.append(patches)
            pixels = done[0] if len(done) == 1 else torch.cat(done)
        return pixels, readable

    def copy(self, pixels: torch.Tensor) -> NDArray[np.uint8]:
        """Copy patches back, without waiting for the network.

        Parameters
        ----------
        pixels : Tensor of uint8, shape (n, y, x, 3)
            What `load` gave.

        Returns
        -------
        ndarray of uint8, shape (n, y, x, 3)
            The same pixels in the memory of the computer.
        """
        with self._beside():
            copied: NDArray[np.uint8] = pixels.cpu().numpy()
        return copied

    def give_up(self, reason: str) -> None:
        """Leave the rest to the CPU, and say so once.

        Parameters
        ----------
        reason : str
            What went wrong.
        """
        if not self.failure:
            logger.warning(
                "tiles of slide %s are decoded by the CPU from now on; on %s: %s",
                self._source.slide.name,
                self.device,
                reason,
            )
        self.failure = reason
        self.release()

    def release(self) -> None:
        """Let go of the decoded tiles; the next `load` begins anew."""
        self._pool = None

    @contextmanager
    def _beside(self) -> Iterator[None]:
        """Work beside the network, and be done at the end."""
        if self._stream is None:
            yield
            return
        with torch.cuda.device(self.device), torch.cuda.stream(self._stream):
            yield
            self._stream.synchronize()

    def _parts(self, boxes: Sequence[Box]) -> Iterator[slice]:
        """Cut a batch where its tiles or pixels would be too many at once."""
        start, held = 0, set[Place]()
        height, width = self._source.grid.read_shape
        most = max(PIXELS_AT_ONCE // (height * width), 1)
        for i, box in enumerate(boxes):
            more = held | self._places(box)
            if i > start and (len(more) > self._count or i - start >= most):
                yield slice(start, i)
                start, more = i, self._places(box)
            held = more
        yield slice(start, len(boxes))

    def _places(self, box: Box) -> set[Place]:
        """List the tiles under a box."""
        inside = box.clipped(*self._tiles.shape)
        if inside.is_empty:
            return set()
        tile_h, tile_w = self._tiles.tile_shape
        bottom, right = inside.y + inside.height, inside.x + inside.width
        rows = range(inside.y // tile_h, -(-bottom // tile_h))
        cols = range(inside.x // tile_w, -(-right // tile_w))
        return {(row, col) for row in rows for col in cols}

    def _make_pool(self) -> TilePool:
        """Take the memory for decoded tiles."""
        return TilePool(self._count, self._tiles.tile_shape, self.device)

    def _fetch(
        self, pool: TilePool, wanted: set[Place]
    ) -> dict[Place, DamagedTileError]:
        """Decode what the pool lacks; give the tiles that nobody can decode."""
        missing = pool.make_room(wanted - self._blank)
        streams, odd = self._read(missing)
        places = list(streams)
        refused: list[tuple[Place, ...]] = []
        error: RuntimeError | None = None
        for start in range(0, len(places), AT_ONCE):
            some = places[start : start + AT_ONCE]
            try:
                tiles = decode_streams([streams[p] for p in some], self.device)
                pool.put(some, tiles)
            except RuntimeError as err:
                if is_out_of_memory(err) or is_device_lost(err):
                    raise
                refused.append(tuple(some))
                error = err
        left = [*odd, *(place for some in refused for place in some)]
        broken = self._read_by_cpu(pool, left)
        # A damaged tile takes the others of its call with it; without one, the device
        # is at fault, and would be again.
        if any(broken.keys().isdisjoint(some) for some in refused):
            msg = f"the device does not decode tiles that the CPU does: {error}"
            raise RuntimeError(msg) from error
        return broken

    def _read(self, missing: Sequence[Place]) -> tuple[dict[Place, bytes], list[Place]]:
        """Read streams; give those and the tiles that are no stream for a device."""
        streams: dict[Place, bytes] = {}
        odd = []
        for place in missing:
            try:
                stream = self._tiles.read(*place)
            except (OSError, ValueError) as err:
                # The CPU's decoder has the last word on it.
                logger.debug("tile %s is not decoded on the device: %s", place, err)
                odd.append(place)
                continue
            if stream is None:
                self._blank.add(place)
            else:
                streams[place] = stream
        return streams, odd

    def _read_by_cpu(
        self, pool: TilePool, places: Sequence[Place]
    ) -> dict[Place, DamagedTileError]:
        """Put tiles into the pool as the CPU decodes them, and give the others."""
        broken: dict[Place, DamagedTileError] = {}
        height, width = self._tiles.tile_shape
        level = self._source.grid.level
        for row, col in places:
            corner = (row * height, col * width)
            try:
                tile = self._source.slide.read_region(level, *corner, height, width)
            except DamagedTileError as err:
                broken[row, col] = err
            else:
                pool.put([(row, col)], torch.from_numpy(tile)[None])
        return broken

    def _gather(self, pool: TilePool, boxes: Sequence[Box]) -> torch.Tensor:
        """Cut boxes out of the tiles in the pool and bring them to size."""
        size = self._source.grid.spec.size_px
        rows = self._axis([box.y for box in boxes], boxes[0].height, axis=0)
        cols = self._axis([box.x for box in boxes], boxes[0].width, axis=1)
        (top, bottom, row, y, is_row), (left, right, col, x, is_col) = rows, cols
        table = torch.from_numpy(pool.table((top, left), (bottom, right)))
        slot = table.to(self.device)[row[:, :, None], col[:, None, :]]
        slot = slot.where(is_row[:, :, None] & is_col[:, None, :], WHITE)
        region = pool.tiles[slot, y[:, :, None], x[:, None, :]]
        return resize_area_on_device(region, size, size)

    def _axis(
        self, starts: list[int], length: int, *, axis: int
    ) -> tuple[int, int, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Find along one axis the tiles of boxes, and every pixel in its tile.

        Gives the first and the last tile, and of shape (n, length) the tile counted
        from the first, the pixel in it, and whether it lies on the slide.
        """
        end, tile = self._tiles.shape[axis], self._tiles.tile_shape[axis]
        start = torch.tensor(starts, device=self.device)
        at = start[:, None] + torch.arange(length, device=self.device)
        is_inside = (at >= 0) & (at < end)
        at = at.clamp(0, end - 1)
        first = min(max(min(starts), 0), end - 1) // tile
        last = min(max(max(starts) + length - 1, 0), end - 1) // tile
        return first, last, at // tile - first, at % tile, is_inside


def open_device_patches(
    source: PatchSource, device: torch.device
) -> DevicePatches | None:
    """Prepare to decode the tiles of a slide on a device.

    Parameters
    ----------
    source : PatchSource
        The patches to do.
    device : torch.device
        Where to decode.

    Returns
    -------
    DevicePatches or None
        None where the slide does not store JPEG tiles that a device decodes; the log
        tells why.
    """
    name = source.slide.name
    if not len(source):
        return None
    tiles = source.slide.jpeg_tiles(source.grid.level)
    if tiles is None:
        logger.debug("slide %s stores no JPEG tiles for a device", name)
        return None
    try:
        patches = DevicePatches(source, tiles, device)
    except ValueError as err:
        logger.debug("tiles of slide %s are not for a device: %s", name, err)
        return None
    # A tile speaks for the others, which a scanner writes alike, if it is not damaged.
    for part in (1 / 2, 1 / 4, 3 / 4):
        inside = source.box(int(len(source) * part)).clipped(*tiles.shape)
        try:
            tiles.read(inside.y // tiles.tile_shape[0], inside.x // tiles.tile_shape[1])
        except (OSError, ValueError) as err:
            logger.debug("tiles of slide %s are not for a device: %s", name, err)
        else:
            return patches
    return None


__all__ = ["DevicePatches", "open_device_patches"]
