"""The straight path of a patient's tables from a baseline, and gradients along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.inference.fuse import CaseTensors

POINTS = 8
"""Points at which gradients are taken in each part of the path."""
# What the activations of a bag take, in floats: wide models keep dozens of layers.
_FLOATS_PER_PATCH = 8192
_MAX_FLOATS = 2**26
# What bends most is what leaves the baseline: the part there is cut unevenly.
_FIRST_CUT, _CUT = 0.125, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class PathPart:
    """Attributions along a part of the path.

    Attributes
    ----------
    start, end : float
        Where it lies, 0 being the baseline and 1 the patient.
    values : tuple of Tensor of float, shape (class, feature)
        What the features of each table add along it.
    gap : float
        The largest difference between their sum and what the logits change along it.
    """

    start: float
    end: float
    values: tuple[torch.Tensor, ...]
    gap: float


class TablePath:
    """The logits of the classes along the path, the image staying as it is.

    Parameters
    ----------
    case : CaseTensors
        Model, on the device, and tables.
    embeddings : ndarray of float16, shape (n, d)
        The patches.
    baselines : mapping of str to Tensor of float, shape (g,)
        Where the tables that move begin, by modality, on the device.
    """

    def __init__(
        self,
        case: CaseTensors,
        embeddings: NDArray[np.float16],
        baselines: Mapping[str, torch.Tensor],
    ) -> None:
        device = next(iter(baselines.values())).device
        self.model = case.model
        self.classes = case.classes
        self.names = tuple(baselines)
        self.omics = {m: v.to(device) for m, v in case.omics.items()}
        self.baselines = baselines
        self.bag = torch.from_numpy(embeddings.astype(np.float32))[None].to(device)
        self.present = case.present(case.available).to(device)
        self._known: dict[float, torch.Tensor] = {}

    def at(self, place: float) -> torch.Tensor:
        """Give the logits at a place of the path.

        Parameters
        ----------
        place : float
            0 to 1.

        Returns
        -------
        Tensor of float, shape (class,)
            Kept, so that neighboring parts do not ask twice.
        """
        if place not in self._known:
            with torch.no_grad():
                self._known[place] = self._logits(self._tables(place, 1))[0]
        return self._known[place]

    def part(self, start: float, end: float) -> PathPart:
        """Attribute the change of the logits along a part.

        Parameters
        ----------
        start, end : float
            From 0 to 1.

        Returns
        -------
        PathPart
            By integrated gradients at `POINTS` points.
        """
        floats = self.bag.shape[1] * max(self.bag.shape[2], _FLOATS_PER_PATCH)
        at_once = min(max(_MAX_FLOATS // max(floats, 1), 1), POINTS)
        if self.model.image_apart:
            at_once = POINTS
        # It loads matplotlib and takes half a second to import: only once it is needed.
        from captum.attr import IntegratedGradients

        values: tuple[torch.Tensor, ...] = IntegratedGradients(self).attribute(
            self._tables(end, self.classes),
            self._tables(start, self.classes),
            n_steps=POINTS,
            internal_batch_size=at_once * self.classes,
        )
        total = torch.stack([value.sum(dim=1) for value in values]).sum(dim=0)
        gap = total - (self.at(end) - self.at(start))
        return PathPart(start, end, values, float(gap.abs().max()))

    def refine(
        self, parts: Sequence[PathPart], limit: float, points: int
    ) -> list[PathPart]:
        """Divide parts until their gaps are small enough.

        Parameters
        ----------
        parts : sequence of PathPart
            The whole path.
        limit : float
            What their gaps may come to together.
        points : int
            Points that may still be taken.

        Returns
        -------
        list of PathPart
            The whole path.
        """
        parts = list(parts)
        while sum(part.gap for part in parts) > limit and points >= 2 * POINTS:
            worst = max(parts, key=lambda part: part.gap)
            parts.remove(worst)
            share = _CUT if worst.start else _FIRST_CUT
            cut = worst.start + share * (worst.end - worst.start)
            parts += [self.part(worst.start, cut), self.part(cut, worst.end)]
            points -= 2 * POINTS
        return parts

    def __call__(self, *rows: torch.Tensor) -> torch.Tensor:
        """Give the ``i``-th logit for the ``i``-th of each ``c`` rows, shape (s c,).

        The rows of one point on the path are equal, so the model, which is what takes
        time, runs once for all classes. What is returned has its value and gradient.
        """
        with torch.enable_grad():
            points = [row[:: self.classes].detach().requires_grad_() for row in rows]
            logits = self._logits(points)
            slopes = [
                torch.autograd.grad(logits[:, c].sum(), points, retain_graph=True)
                for c in range(self.classes)
            ]
            values = logits.detach().reshape(-1)
            for row, slope in zip(rows, zip(*slopes, strict=True), strict=True):
                gradient = torch.stack(slope, dim=1).reshape(row.shape)
                values = values + ((row - row.detach()) * gradient).sum(dim=1)
        return values

    def _tables(self, place: float, count: int) -> tuple[torch.Tensor, ...]:
        """Give the tables at a place, ``count`` times, shape (count, g)."""
        return tuple(
            torch.lerp(self.baselines[m], self.omics[m][0], place).expand(count, -1)
            for m in self.names
        )

    def _logits(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        """Run the model on ``s`` versions of the tables, shape (s, c)."""
        count = len(rows[0])
        omics = {m: v.expand(count, -1) for m, v in self.omics.items()}
        omics |= dict(zip(self.names, rows, strict=True))
        bag = self.bag.expand(count, -1, -1)
        mask = torch.ones(bag.shape[:2], dtype=torch.bool, device=bag.device)
        present = self.present.expand(count, -1)
        result: torch.Tensor = self.model(bag, mask, omics, present).logits
        return result[:, : self.classes]
