"""Decode what lies around the part of a slide that is looked at."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.errors import SlideReadError
from napari_mmsubtype.slides.tile_cache import shared_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_mmsubtype.slides.slide import Slide

logger = logging.getLogger(__name__)

SWITCH_VARIABLE = "MMSUBTYPE_PREFETCH"
"""Environment variable; ``0`` switches prefetching off."""

RING_PX = 512
"""Width of the ring around the viewport that is decoded ahead."""

PIECE_PX = 256
"""Side of what is decoded before asking again whether somebody waits."""

QUIET_S = 0.03
"""Pause after the last read that tells that the viewport is complete."""

MEMORY_SHARE = 0.5
"""Share of the tile memory beyond which a ring would push out what is looked at."""

STOP_S = 2.0
"""Time that the end of the process leaves for the piece being decoded."""


class Prefetcher:
    """Read a ring around the last viewport in a daemon thread of low claims.

    It starts once no read has come for `QUIET_S`, and any read stops it after the piece
    being decoded. Tiles go where all reads find them, into the shared tile memory.

    """

    def __init__(self) -> None:
        self._is_enabled = os.environ.get(SWITCH_VARIABLE, "1").strip() != "0"
        self._change = threading.Condition()
        self._readers = 0
        self._request = 0
        self._seen: dict[tuple[int, int], tuple[weakref.ref[Slide], Box]] = {}
        self._thread: threading.Thread | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether anything is read ahead; may be switched at any time."""
        return self._is_enabled

    @is_enabled.setter
    def is_enabled(self, value: bool) -> None:
        """Switch it on or off.

        Parameters
        ----------
        value : bool
            Whether anything is read ahead from now on.
        """
        with self._change:
            self._is_enabled = value
            self._change.notify()

    def stop(self) -> None:
        """Read nothing more ahead, and wait a moment for what is being decoded."""
        self.is_enabled = False
        thread = self._thread
        if thread is not None:
            thread.join(STOP_S)

    @contextmanager
    def watch(self, slide: Slide, level: int, box: Box) -> Iterator[None]:
        """Surround a read that somebody waits for.

        Parameters
        ----------
        slide : Slide
            The slide that is read; not kept alive.
        level : int
            The level that is read.
        box : Box
            What is read, in pixels of the level.

        Yields
        ------
        None
            While the read lasts, nothing is read ahead.
        """
        with self._change:
            self._readers += 1
            self._request += 1
        try:
            yield
        finally:
            with self._change:
                self._readers -= 1
                if self._is_enabled and level < slide.native_levels:
                    self._note(slide, level, box)
                    self._change.notify()

    def _note(self, slide: Slide, level: int, box: Box) -> None:
        """Join a read to the viewport it belongs to; the lock is held."""
        key = (id(slide), level)
        before = self._seen.pop(key, None)
        whole = box if before is None else _join(before[1], box)
        self._seen[key] = (weakref.ref(slide), whole)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._run, name="slide-prefetch", daemon=True
            )
            self._thread.start()

    def _run(self) -> None:
        """Wait for viewports and read around them, until it is switched off."""
        while True:
            with self._change:
                self._change.wait_for(
                    lambda: not self._is_enabled or (self._seen and not self._readers)
                )
                request = self._request
                if self._is_enabled:
                    self._change.wait(QUIET_S)
                if not self._is_enabled:
                    return
                if self._request != request:
                    continue
                views, self._seen = self._seen, {}
            # What was read last is looked at; before it napari may read a thumbnail.
            for (_, level), (slide, box) in reversed(views.items()):
                self._read_ring(slide, level, box, request)

    def _read_ring(
        self, reference: weakref.ref[Slide], level: int, box: Box, request: int
    ) -> None:
        """Read around one viewport until a newer request comes."""
        slide = reference()
        if slide is None or not _fits(box, slide.tile_shapes[level]):
            return
        for piece in ring(box, slide.levels[level].shape):
            if self._request != request or slide.is_closed or not self._is_enabled:
                return
            try:
                slide.read_view(level, piece.y, piece.x, piece.height, piece.width)
            except (SlideReadError, MemoryError) as err:
                # Whoever looks there is told; nobody has looked yet.
                logger.debug("reading ahead: %s", err)


def ring(view: Box, shape: tuple[int, int]) -> list[Box]:
    """Cut the surroundings of a viewport into pieces, the nearest first.

    Parameters
    ----------
    view : Box
        The viewport.
    shape : tuple of int
        Height and width of the level.

    Returns
    -------
    list of Box
        Pieces of at most `PIECE_PX` that lie within `RING_PX` of the viewport and in
        the level; none lies within the viewport.
    """
    outer = Box(
        view.y - RING_PX,
        view.x - RING_PX,
        view.height + 2 * RING_PX,
        view.width + 2 * RING_PX,
    )
    pieces = []
    for y in range(outer.y, outer.y + outer.height, PIECE_PX):
        for x in range(outer.x, outer.x + outer.width, PIECE_PX):
            piece = Box(y, x, PIECE_PX, PIECE_PX).clipped(*shape)
            inner = _join(view, piece) == view
            if not piece.is_empty and not inner:
                pieces.append(piece)

    return sorted(pieces, key=lambda piece: _distance(view, piece))


def _fits(view: Box, tile: tuple[int, int]) -> bool:
    """Say whether a viewport and its ring, in whole tiles, leave the memory room."""
    height, width = (
        (-(-(side + 2 * RING_PX) // part) + 1) * part
        for side, part in zip((view.height, view.width), tile, strict=True)
    )
    return 3 * height * width <= MEMORY_SHARE * shared_memory().limit_bytes


def _distance(view: Box, piece: Box) -> int:
    """Give how far the view must move to hold a piece; corners take two moves."""
    down = max(view.y - piece.y, piece.y + piece.height - view.y - view.height, 0)
    right = max(view.x - piece.x, piece.x + piece.width - view.x - view.width, 0)
    return down + right


def _join(a: Box, b: Box) -> Box:
    """Give the smallest box around two."""
    y, x = min(a.y, b.y), min(a.x, b.x)
    bottom = max(a.y + a.height, b.y + b.height)
    right = max(a.x + a.width, b.x + b.width)
    return Box(y, x, bottom - y, right - x)


def shared_prefetcher() -> Prefetcher:
    """Give the prefetcher of this process.

    Returns
    -------
    Prefetcher
        The same object until the process forks.
    """
    return _shared


_shared = Prefetcher()


@atexit.register
def _end() -> None:
    """Leave no decoder at work while its library is taken down."""
    _shared.stop()


def _begin_fork() -> None:
    """Start anew in a forked process, which has none of the threads."""
    global _shared
    _shared = Prefetcher()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_fork)
