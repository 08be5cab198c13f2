"""What `against_peers.py` asks of each program, and what it is told.

This file is read by the Python of every program that is compared: it imports nothing
but the standard library.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass
class Task:
    """One run.

    Attributes
    ----------
    slide : str
        Path of the slide.
    weights : str
        Weights of torchvision's ResNet-50: a file that holds nothing but tensors.
    script : str
        The same network as TorchScript.
    bundle : str
        The same network as a bundle of napari-mmsubtype.
    folder : str
        Empty; receives what the program writes.
    size_px : int
        Side of a patch.
    mpp : float
        Microns per pixel of a patch.
    slide_mpp : float
        Microns per pixel of the slide.
    shape : tuple of int
        Height and width of the slide in pixels.
    settings : dict
        What differs from the program's defaults.
    """

    slide: str
    weights: str
    script: str
    bundle: str
    folder: str
    size_px: int
    mpp: float
    slide_mpp: float
    shape: tuple[int, int]
    settings: dict[str, Any]

    @property
    def origins(self) -> list[tuple[int, int]]:
        """Upper left corners (y, x), in pixels of the slide, of all whole patches."""
        side = self.size_px * self.mpp / self.slide_mpp
        rows, cols = (int(length / side + 1e-6) for length in self.shape)
        return [
            (round(row * side), round(col * side))
            for row in range(rows)
            for col in range(cols)
        ]


class Report:
    """What one run tells."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seconds = 0.0

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Time the part from the first patch read to the last embedding."""
        start = time.perf_counter()
        yield
        self.seconds = time.perf_counter() - start

    def finish(self, *, patches: int, version: str) -> None:
        """Write the report: the last thing a runner does."""
        told = {"patches": patches, "seconds": self.seconds, "version": version}
        self._path.write_text(json.dumps(told), encoding="utf-8")


def begin() -> tuple[Task, Report]:
    """Read the task that the command line names, and begin its report."""
    _, task, report = sys.argv
    entries = json.loads(Path(task).read_text(encoding="utf-8"))
    return Task(**entries), Report(Path(report))
