"""A kind of slide file: who writes it and what it must tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from builders.slides import draw_scene

IMAGE = draw_scene(500, 700)
EXACT = 0.0
DECODER = 0.05
"""Mean difference between two decoders of the same JPEG, in levels of 8 bits."""
LOSSY = 3.0
"""Mean difference that JPEG at high quality may make."""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    `write(path, image)` gives the levels that an independent reader sees, or None where
    the file holds the image itself in one level.
    """

    id: str
    backend: str
    write: Callable | None
    name: str
    vendor: str
    levels: int = 1
    tolerance: float = EXACT
    source: str = "vendor"
    mpp: float | None = 0.5
    objective: str | None = None
    compression: str = ""
    associated: tuple[str, ...] = ()
