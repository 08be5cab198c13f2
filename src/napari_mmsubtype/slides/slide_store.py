"""A slide as a read-only zarr store, and its levels as dask arrays."""

from __future__ import annotations

import asyncio
import json
import uuid
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import zarr
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import StorePath

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.slides.prefetch import shared_prefetcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from numpy.typing import NDArray

    from napari_mmsubtype.slides.slide import Slide

CHUNK_PX = 512
"""Side of a chunk; large enough for few requests, small enough for a viewport."""


class SlideStore(Store):
    """The levels of a slide as zarr arrays ``0``, ``1``, … of uncompressed chunks.

    Chunks come into being when they are asked for. Decoding blocks, so it is moved to
    a thread and leaves the event loop free. Who reads here looks: damaged tiles are
    shown as such, and what lies around is read ahead.

    Parameters
    ----------
    slide : Slide
        The open slide.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, slide: Slide) -> None:
        super().__init__(read_only=True)
        self._slide = slide

    def __eq__(self, value: object) -> bool:
        return isinstance(value, SlideStore) and value._slide is self._slide

    def __hash__(self) -> int:
        return hash((SlideStore, id(self._slide)))

    def __str__(self) -> str:
        return f"slide://{self._slide.name}"

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Give the bytes of a metadata document or of a chunk.

        Parameters
        ----------
        key : str
            Such as ``zarr.json``, ``0/zarr.json`` or ``0/c/3/5/0``.
        prototype : BufferPrototype or None, default: None
            Kind of buffer to make.
        byte_range : ByteRequest or None, default: None
            Part of the value to give.

        Returns
        -------
        Buffer or None
            None where there is no such key.
        """
        prototype = prototype or default_buffer_prototype()
        document = self._documents.get(key)
        if document is not None:
            data = np.frombuffer(json.dumps(document).encode(), np.uint8)
        else:
            chunk = self._locate(key)
            if chunk is None:
                return None
            data = await asyncio.to_thread(self._read_chunk, *chunk)
        return prototype.buffer.from_array_like(_part(data, byte_range))

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Give parts of several values.

        Parameters
        ----------
        prototype : BufferPrototype
            Kind of buffer to make.
        key_ranges : iterable of (str, ByteRequest or None)
            Keys and the parts of their values.

        Returns
        -------
        list of Buffer or None
            In the order of the request.
        """
        parts = (self.get(key, prototype, part) for key, part in key_ranges)
        return list(await asyncio.gather(*parts))

    async def exists(self, key: str) -> bool:
        """Say whether a key has a value.

        Parameters
        ----------
        key : str
            As in `get`.

        Returns
        -------
        bool
            True for the metadata and every chunk that touches a level.
        """
        return key in self._documents or self._locate(key) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse to write.

        Parameters
        ----------
        key : str
            Not used.
        value : Buffer
            Not used.
        """
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse to delete.

        Parameters
        ----------
        key : str
            Not used.
        """
        self._check_writable()

    async def list(self) -> AsyncIterator[str]:
        """List the metadata documents.

        Yields
        ------
        str
            Keys; chunks exist without being listed.
        """
        for key in self._documents:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List the metadata documents under a prefix.

        Parameters
        ----------
        prefix : str
            Beginning of the keys.

        Yields
        ------
        str
            Keys; chunks exist without being listed.
        """
        for key in self._documents:
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List what lies directly under a prefix.

        Parameters
        ----------
        prefix : str
            Path of a group or array; empty for the root.

        Yields
        ------
        str
            Names of documents and arrays.
        """
        start = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
        names = (k[len(start) :] for k in self._documents if k.startswith(start))
        for name in dict.fromkeys(name.split("/")[0] for name in names):
            yield name

    @cached_property
    def _documents(self) -> dict[str, dict[str, object]]:
        """Give the metadata of the group and of every array."""
        documents: dict[str, dict[str, object]] = {
            "zarr.json": {"zarr_format": 3, "node_type": "group", "attributes": {}}
        }
        for index, level in enumerate(self._slide.levels):
            documents[f"{index}/zarr.json"] = {
                "zarr_format": 3,
                "node_type": "array",
                "shape": [*level.shape, 3],
                "data_type": "uint8",
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": [CHUNK_PX, CHUNK_PX, 3]},
                },
                "chunk_key_encoding": {
                    "name": "default",
                    "configuration": {"separator": "/"},
                },
                "fill_value": 255,
                "codecs": [{"name": "bytes"}],
                "attributes": {"downsample": level.downsample},
                "dimension_names": ["y", "x", "c"],
            }
        return documents

    def _locate(self, key: str) -> tuple[int, int, int] | None:
        """Turn ``level/c/row/column/0`` into numbers, None where there is no chunk."""
        parts = key.split("/")
        if len(parts) != 5 or parts[1] != "c" or parts[4] != "0":
            return None
        if not all(part.isdecimal() for part in (parts[0], parts[2], parts[3])):
            return None
        level, row, col = int(parts[0]), int(parts[2]), int(parts[3])
        if level >= len(self._slide.levels):
            return None
        height, width = self._slide.levels[level].shape
        if row * CHUNK_PX >= height or col * CHUNK_PX >= width:
            return None
        return level, row, col

    def read_box(self, level: int, box: Box) -> NDArray[np.uint8]:
        """Read pixels to look at, past the event loop and the chunks.

        Parameters
        ----------
        level : int
            Index of the level.
        box : Box
            What to read, in pixels of the level.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            As `Slide.read_view` gives it.
        """
        with shared_prefetcher().watch(self._slide, level, box):
            return self._slide.read_view(level, box.y, box.x, box.height, box.width)

    def _read_chunk(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Decode one chunk, white beyond the border, as flat bytes."""
        box = Box(row * CHUNK_PX, col * CHUNK_PX, CHUNK_PX, CHUNK_PX)
        return self.read_box(level, box).reshape(-1)


class LevelArray(zarr.Array[Any]):
    """A zarr array of a `SlideStore` that reads plain boxes directly.

    zarr decodes whole chunks and takes each through its event loop and a thread, which
    for a viewport of decoded tiles costs twenty times as much as copying them. So a box
    is read as one piece, and only its own tiles; any other selection is left to zarr.
    """

    def __getitem__(self, selection: Any) -> Any:
        box = _as_box(selection, self.shape)
        store = self.store
        if box is None or not isinstance(store, SlideStore):
            return super().__getitem__(selection)
        region = store.read_box(int(self.basename), box)
        return region if len(selection) < 3 else region[:, :, selection[2]]


def lazy_pyramid(slide: Slide) -> list[da.Array]:
    """Give every level of a slide as a dask array over a `SlideStore`.

    Parameters
    ----------
    slide : Slide
        The open slide; the arrays keep it open.

    Returns
    -------
    list of dask.array.Array of uint8, shape (y, x, 3)
        One per level, in chunks of 512 x 512 x 3.
    """
    store = SlideStore(slide)
    # A name of its own: dask would otherwise hash the array, and two slides that were
    # opened at one path at different times must not share cached chunks.
    token = uuid.uuid4().hex
    return [
        da.from_array(
            LevelArray.open(StorePath(store, str(index))),
            chunks=(CHUNK_PX, CHUNK_PX, 3),
            name=f"slide-{token}-{index}",
            inline_array=True,
            meta=np.empty((0, 0, 0), np.uint8),
        )
        for index in range(len(slide.levels))
    ]


def _as_box(selection: Any, shape: tuple[int, ...]) -> Box | None:
    """Turn slices of rows and columns into a box; None for any other selection."""
    if not isinstance(selection, tuple) or len(selection) not in (2, 3):
        return None
    if not all(isinstance(part, slice) for part in selection):
        return None
    if any(part.step not in (None, 1) for part in selection):
        return None
    top, bottom, _ = selection[0].indices(shape[0])
    left, right, _ = selection[1].indices(shape[1])
    return Box(top, left, max(bottom - top, 0), max(right - left, 0))


def _part(data: np.ndarray, byte_range: ByteRequest | None) -> np.ndarray:
    """Cut the requested bytes out of a value."""
    match byte_range:
        case None:
            return data
        case RangeByteRequest(start, end):
            return data[start:end]
        case OffsetByteRequest(offset):
            return data[offset:]
        case SuffixByteRequest(suffix):
            return data[max(len(data) - suffix, 0) :]
