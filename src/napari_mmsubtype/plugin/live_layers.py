"""Class and evidence of a running analysis, patch by patch, as napari layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_mmsubtype.core.partial_patches import PartialPatches
from napari_mmsubtype.plugin.placement import (
    LayerTuple,
    map_placement,
    patch_sizes,
)
from napari_mmsubtype.results.colors import evidence_colors, label_colors
from napari_mmsubtype.results.map_scale import symmetric_limit
from napari_mmsubtype.results.patch_classes import patch_classes
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.store import open_result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.core.progress import Job
    from napari_mmsubtype.results.store import Result

T = TypeVar("T")

LIVE_CLASS = "live class"
LIVE_EVIDENCE = "live evidence"
LIVE = (LIVE_CLASS, LIVE_EVIDENCE)
"""Kinds of layers, in their metadata."""

SO_FAR = "so far"
"""Is in the name of every layer that is still being filled."""

PROVISIONAL = "provisional"
"""Is in it too where what is shown of a patch may still change."""

WAITING = [0.8, 0.8, 0.8, 1.0]
"""Patches that are done and not judged yet."""


class LiveMaps:
    """Arrays that fill while an analysis runs, and the layers that show them.

    The layers use the arrays themselves: what `place` writes appears at their next
    refresh.

    Parameters
    ----------
    result : Result
        The store that is being written.
    """

    def __init__(self, result: Result) -> None:
        self._result = result
        self.store = str(result.path)
        self.labels = np.zeros(result.grid.shape, np.uint8)
        shape = (len(result.classes), *result.grid.shape)
        self.evidence = np.zeros(shape, np.float32)
        self.placed = np.zeros(len(result.grid), np.int64)

    def place(self, part: PartialPatches) -> None:
        """Draw patches that have just been finished.

        Parameters
        ----------
        part : PartialPatches
            Each patch comes once.
        """
        classes = len(self._result.classes)
        row, col = self._result.grid.cell[part.index].T
        self.placed[part.index] += 1
        bad = part.status == PatchStatus.UNREADABLE
        waiting = np.full(len(bad), classes + 2, np.uint8)
        self.labels[row, col] = np.where(bad, classes + 1, waiting)
        good = ~bad
        if part.scores is not None:
            self._judge(part.index[good], part.scores[good])
        elif part.provisional is not None:
            self._judge(part.provisional.index, part.provisional.scores)

    def _judge(self, index: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Draw what the model makes of patches."""
        classes = len(self._result.classes)
        row, col = self._result.grid.cell[index].T
        found = patch_classes(scores)
        self.labels[row, col] = np.where(found > 0, found, classes + 3)
        mean = scores.mean(axis=1, keepdims=True)
        # Against the mean of the other classes, as in the finished maps.
        against = (scores - mean) * (classes / max(classes - 1, 1))
        self.evidence[:, row, col] = against.T

    def limit(self) -> float:
        """Give the value at which the colors of evidence saturate by now.

        Returns
        -------
        float
            Positive.
        """
        return symmetric_limit(list(self.evidence))

    def layers(self) -> list[LayerTuple]:
        """Show the arrays.

        Returns
        -------
        list of tuple
            Evidence for each class, hidden, and above it the class of each patch. Of
            a model that judges all patches together both are provisional, and said to
            be; patches that it has not judged yet are grey.
        """
        result = self._result
        so_far = SO_FAR if result.exact else f"{SO_FAR}, {PROVISIONAL}"
        layers: list[LayerTuple] = []
        for subtype, canvas in zip(result.classes, self.evidence, strict=True):
            kwargs = {
                "name": f"evidence {so_far}: {subtype.name}",
                "colormap": {
                    "colors": evidence_colors(subtype),
                    "name": f"evidence {subtype.name}",
                },
                "contrast_limits": (-1.0, 1.0),
                "blending": "translucent",
                "visible": False,
                **map_placement(result, LIVE_EVIDENCE, *patch_sizes(result)),
            }
            layers.append((canvas, kwargs, "image"))
        names = " / ".join(subtype.name for subtype in result.classes)
        colors = label_colors(result.classes)
        if not result.exact:
            # No patch is left out before the end: this label says that one waits.
            colors[len(result.classes) + 2] = WAITING
        kwargs = {
            "name": f"class {so_far}: {names}",
            "opacity": 0.4,
            "colormap": colors,
            **map_placement(result, LIVE_CLASS, *patch_sizes(result)),
        }
        return [*layers, (self.labels, kwargs, "labels")]


@dataclass(frozen=True, slots=True, eq=False)
class LiveUpdate:
    """What a viewer needs at one event of a running analysis.

    Attributes
    ----------
    maps : LiveMaps
        Already holds the patches of the event.
    layers : list
        That show the maps; the same at every event of a run.
    limit : float
        Where the colors of evidence saturate.
    """

    maps: LiveMaps
    layers: list[Any]
    limit: float


def follow(job: Job[T], build: Any) -> Job[T]:
    """Draw what a job finishes, in the thread that runs it.

    Parameters
    ----------
    job : generator
        An analysis.
    build : callable
        Makes layers of layer tuples.

    Yields
    ------
    Progress
        The job's; partial patches are replaced by a `LiveUpdate`.

    Returns
    -------
    object
        What the job returns.
    """
    maps: LiveMaps | None = None
    layers: list[Any] = []
    try:
        while True:
            try:
                event = next(job)
            except StopIteration as end:
                value: T = end.value
                return value
            part = event.partial
            if isinstance(part, PartialPatches):
                if maps is None:
                    maps = LiveMaps(open_result(part.store))
                    layers = build(maps.layers())
                maps.place(part)
                event = replace(event, partial=LiveUpdate(maps, layers, maps.limit()))
            yield event
    finally:
        job.close()
