"""Tiles of computed levels, kept on disk between sessions."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import struct
import threading
import time
import uuid
import zlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

from napari_mmsubtype.slides.cache_folder import cache_folder, cache_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.slides.backend import Level

logger = logging.getLogger(__name__)

FORMAT = 1
"""Raised whenever tiles of an older version must not be read any more."""

MAGIC = b"mmsubtype tile 1"
HEADER = struct.Struct(f"<{len(MAGIC)}sIIIQ")

ROOM = 0.9
"""Share of the limit to which the cache shrinks once it is full."""

SETTLED_NS = 2_000_000_000
"""A file must be this much older than its opening: opening takes time, and clocks of
file systems are coarse."""


class OverviewCache:
    """The computed tiles of one slide on disk.

    Safe between threads and processes: a tile appears whole or not at all, and one
    that is damaged or gone is computed again.

    Parameters
    ----------
    path : str
        The slide; only files and folders of this machine are kept.
    backend : str
        Name of what reads it.
    levels : sequence of Level
        All levels of the slide, stored and computed.
    is_srgb : bool
        Whether the profile of the slide changes its colors.
    """

    def __init__(
        self, path: str, backend: str, levels: Sequence[Level], *, is_srgb: bool
    ) -> None:
        self._path = Path(path)
        self._key = [FORMAT, backend, is_srgb]
        self._key += [[*level.shape, level.downsample] for level in levels]
        self._opened_ns = time.time_ns()

    def get(
        self,
        place: tuple[int, int, int],
        shape: tuple[int, int],
        compute: Callable[[], NDArray[np.uint8]],
    ) -> NDArray[np.uint8]:
        """Give a tile from disk, or compute and keep it.

        Parameters
        ----------
        place : tuple of int
            Level, row and column of the tile.
        shape : tuple of int
            Height and width of the tile in pixels.
        compute : callable
            Makes the tile; where it raises, nothing is kept.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            The tile.

        Raises
        ------
        ConfigurationError
            If the environment asks for a limit that is no number.
        """
        folder = self._folder
        if folder is None:
            return compute()
        file = folder / "{}_{}_{}.tile".format(*place)
        tile = _read_tile(file, shape)
        if tile is None:
            tile = compute()
            _store.write(file, tile)
        return tile

    @cached_property
    def _folder(self) -> Path | None:
        """The folder of this slide, marked as used; None for no cache."""
        if cache_limit() == 0 or (top := cache_folder()) is None:
            return None
        key = self._fingerprint()
        if key is None:
            return None
        folder = top / "overviews" / key
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.utime(folder)  # the one used longest ago makes room first
        except OSError as err:
            logger.warning("computed levels are not kept on disk: %s", err)
            return None
        return folder

    def _fingerprint(self) -> str | None:
        """Hash what the pixels follow from; None where that cannot be told.

        A file that changed since the slide was opened may not be what was read, so
        nothing is kept in this session.
        """
        digest = hashlib.sha256(json.dumps(self._key).encode())
        since = self._opened_ns - SETTLED_NS
        try:
            for file in _files_of(self._path.resolve(strict=True)):
                state = file.stat()
                if max(state.st_mtime_ns, state.st_ctime_ns) >= since:
                    logger.info("%s is new: its levels are not kept on disk", file)
                    return None
                entry = (str(file), state.st_size, state.st_mtime_ns)
                digest.update(json.dumps(entry).encode())
        except OSError as err:
            logger.info("computed levels are not kept on disk: %s", err)
            return None
        return digest.hexdigest()[:40]


def _files_of(path: Path) -> Iterator[Path]:
    """List the files that hold the pixels of a slide, in a fixed order."""
    if path.is_dir():
        yield from _walk(path)
        return
    yield path
    match path.suffix.lower():
        case ".mrxs":
            yield from _walk(path.with_suffix(""))
        case ".dzi":
            yield from _walk(path.with_name(f"{path.stem}_files"))
        case "" | ".dcm" | ".vms" | ".vmu":  # the other levels may lie beside
            yield from sorted(file for file in path.parent.iterdir() if file.is_file())


def _walk(folder: Path) -> Iterator[Path]:
    """List all files in a folder and below."""
    for parent, names, files in os.walk(folder):
        names.sort()
        yield from (Path(parent) / name for name in sorted(files))


def _read_tile(file: Path, shape: tuple[int, int]) -> NDArray[np.uint8] | None:
    """Read a tile; None where there is none that can be trusted."""
    try:
        data = file.read_bytes()
        magic, height, width, check, size = HEADER.unpack_from(data)
        packed = data[HEADER.size :]
        sound = magic == MAGIC and (height, width) == shape and len(packed) == size
        if not sound or zlib.crc32(packed) != check:
            logger.warning("%s is damaged; the tile is computed again", file)
            return None
        flat = imagecodecs.zstd_decode(packed, out=height * width * 3)
        steps = np.frombuffer(flat, np.uint8).reshape(height, width, 3)
        return np.asarray(imagecodecs.delta_decode(steps, axis=1))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, struct.error, imagecodecs.ZstdError) as err:
        logger.warning("%s cannot be read (%s); the tile is computed again", file, err)
        return None


def _pack_tile(tile: NDArray[np.uint8]) -> bytes:
    """Compress a tile without loss and say how to check it."""
    steps = imagecodecs.delta_encode(np.ascontiguousarray(tile), axis=1)
    packed = imagecodecs.zstd_encode(steps.tobytes(), 1)
    height, width = tile.shape[:2]
    return HEADER.pack(MAGIC, height, width, zlib.crc32(packed), len(packed)) + packed


class _Store:
    """Writes tiles of all slides and keeps them below the limit."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was measured, and start with a fresh lock."""
        self._lock = threading.Lock()
        self._sizes: dict[Path, int] = {}
        self._full: set[Path] = set()

    def write(self, file: Path, tile: NDArray[np.uint8]) -> None:
        """Keep a tile; a full or broken disk costs no more than the tile."""
        data = _pack_tile(tile)
        draft = file.with_name(f"{file.stem}.{uuid.uuid4().hex}.draft")
        try:
            if not self._make_room(file.parent, len(data)):
                return
            # Another process may just have removed the folder to make room.
            file.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(data)
            draft.replace(file)
        except OSError as err:
            logger.warning("a computed tile is not kept on disk: %s", err)
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)

    def _make_room(self, folder: Path, more: int) -> bool:
        """Count a tile, removing the slides used longest ago where it is too much."""
        top, limit = folder.parent, cache_limit()
        with self._lock:
            if folder in self._full:
                return False
            # What other processes add meanwhile is counted when the limit is reached.
            size = self._sizes.get(top)
            if size is None or size + more > limit:
                size = self._shrink(top, folder, limit, more)
            self._sizes[top] = size + more
            if size + more > limit:
                self._full.add(folder)
                logger.warning(
                    "the cache for computed levels is full (%d MiB); the rest of this "
                    "slide is computed in every session",
                    limit // 1024**2,
                )
                return False
            return True

    def _shrink(self, top: Path, keep: Path, limit: int, more: int) -> int:
        """Measure the cache and remove slides until there is room, but one."""
        found = []
        for folder in (f for f in top.iterdir() if f.is_dir()):
            sizes = (_size_of(file) for file in folder.iterdir())
            found.append((folder.stat().st_mtime_ns, folder, sum(sizes)))
        total = sum(size for _, _, size in found)
        if total + more <= limit:
            return total
        for _, folder, size in sorted(found):
            if folder == keep or total + more <= ROOM * limit:
                continue
            shutil.rmtree(folder, ignore_errors=True)
            total -= size
        return total


def _size_of(file: Path) -> int:
    """Give the bytes of a file, 0 for one that another process just removed."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


_store = _Store()

if hasattr(os, "register_at_fork"):
    # A thread that the forked process does not have may have held the lock.
    os.register_at_fork(after_in_child=_store.reset)
