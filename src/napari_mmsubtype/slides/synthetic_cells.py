"""The tissue fields of coarse levels, worked out only where one tissue meets another.

Seen from afar nearly every cell of the lattice lies wholly in one phenotype. Only the
others are interpolated, and a field is only evaluated where it decides something. The
shares are those of `map_region`, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from napari_mmsubtype.slides.synthetic_fields import thresholds
from napari_mmsubtype.slides.synthetic_map import (
    Memberships,
    ease,
    lattice_factor,
    lattice_points,
    leading_codes,
    limit,
    membership_softness,
    mix_weights,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_mmsubtype.core.geometry import Box
    from napari_mmsubtype.slides.synthetic_fields import TissueFields
    from napari_mmsubtype.slides.synthetic_noise import Doubles, Floats, Ints

    Bools = NDArray[np.bool_]


_Value = TypeVar("_Value", np.bool_, np.float32)


@dataclass(frozen=True, slots=True)
class TissueCells:
    """What tissue lies where in a region, cell by cell of the lattice.

    Attributes
    ----------
    box : Box
        Whole cells around the region asked for, in px of its level.
    factor : int
        Side of a cell, in px of the level.
    codes : ndarray of uint8, shape (n, m)
        The phenotype of each cell; of no meaning for mixed ones.
    mixed : tuple of two ndarray of int64, shape (k,)
        Row and column of the cells that hold more than one phenotype.
    weights : mapping of int to ndarray of float32, shape (k, factor, factor)
        Share of each phenotype at each pixel of the mixed cells.
    """

    box: Box
    factor: int
    codes: NDArray[np.uint8]
    mixed: tuple[Ints, Ints]
    weights: Mapping[int, Floats]

    def split(self, plane: Floats) -> Floats:
        """View the pixels of `box` cell by cell.

        Parameters
        ----------
        plane : ndarray of float32, shape (n * factor, m * factor)
            One value per pixel of `box`.

        Returns
        -------
        ndarray of float32, shape (n, m, factor, factor)
            A view.
        """
        rows, cols = self.codes.shape
        cells = plane.reshape(rows, self.factor, cols, self.factor)
        return cells.transpose(0, 2, 1, 3)

    def spread(self, values: Floats) -> Floats:
        """Give every pixel the value of its cell.

        Parameters
        ----------
        values : ndarray of float32, shape (n, m)
            One value per cell.

        Returns
        -------
        ndarray of float32, shape (n * factor, m * factor)
            One value per pixel of `box`.
        """
        return values.repeat(self.factor, axis=0).repeat(self.factor, axis=1)


def cell_region(fields: TissueFields, box: Box, downsample: int) -> TissueCells:
    """Evaluate the tissue of a region.

    Parameters
    ----------
    fields : TissueFields
        The slide.
    box : Box
        The region in px of the level; may reach beyond the slide.
    downsample : int
        Level-0 px per px of the level.

    Returns
    -------
    TissueCells
        Of the lattice cells that touch the region.
    """
    factor = lattice_factor(downsample)
    outer, y, x = lattice_points(box, downsample)
    lattice = _Lattice(y, x, membership_softness(fields))
    cut = thresholds(fields)

    outline = fields.outline(y, x)
    tissue = lattice.field(outline, cut.outline, lattice.softness / 2)
    anywhere = np.ones_like(tissue.low, np.bool_)
    tumor_field = lattice.evaluate(fields.tumor, tissue.some, outline)
    tumor = lattice.field(tumor_field, cut.tumor)
    in_tumor = tissue.some & tumor.some
    beside = tissue.some & ~tumor.full
    margin = tumor_field - np.float32(cut.tumor)
    basal = lattice.field(lattice.evaluate(fields.basal_like, in_tumor), cut.basal)
    in_basal = in_tumor & basal.some
    necrosis = lattice.field(lattice.evaluate(fields.necrosis, in_basal), cut.necrosis)
    lymph_field = lattice.evaluate(fields.lymphocytes, beside, margin)
    lymph = lattice.field(lymph_field, cut.lymphocytes, 0.08)
    in_fat = beside & ~lymph.full
    fat = lattice.field(lattice.evaluate(fields.fat, in_fat, margin), cut.fat)

    found = Memberships(tissue, tumor, basal, necrosis, lymph, fat)
    places = (anywhere, tissue.some, in_tumor, in_basal, beside, in_fat)
    mixed = np.zeros_like(anywhere)
    for field, place in zip(found, places, strict=True):
        mixed |= place & field.some & ~field.full
    row, col = np.nonzero(mixed)
    shares = Memberships(*(ease(field.inside(row, col, factor)) for field in found))
    codes = leading_codes(
        Memberships(*(field.full.astype(np.float32) for field in found))
    )
    return TissueCells(outer, factor, codes, (row, col), mix_weights(shares))


@dataclass(frozen=True, slots=True)
class _Cut:
    """A field relative to its threshold, in units of the softness of the cut.

    `low` and `high` are the extremes of the four corners of each cell.
    """

    values: Floats
    low: Floats
    high: Floats

    @property
    def some(self) -> Bools:
        """Cells that may have pixels above the cut."""
        return np.asarray(self.high > np.float32(-0.5))

    @property
    def full(self) -> Bools:
        """Cells that lie above the cut throughout."""
        return np.asarray(self.low >= np.float32(0.5))

    def inside(self, row: Ints, col: Ints, factor: int) -> Floats:
        """Interpolate in some cells, in the very steps of `enlarge`."""
        t = np.arange(factor, dtype=np.float32) / np.float32(factor)
        values = self.values
        left, right = (
            start[:, None] + (values[row + 1, side] - start)[:, None] * t
            for side in (col, col + 1)
            for start in (values[row, side],)
        )
        inner = left[:, :, None] + (right - left)[:, :, None] * t
        return np.asarray(inner, np.float32)


@dataclass(frozen=True, slots=True)
class _Lattice:
    """The points at the corners of all cells."""

    y: Doubles
    x: Doubles
    softness: float

    def evaluate(
        self, field: Callable[..., Floats], cells: Bools, *given: Floats
    ) -> Floats:
        """Evaluate a field at the corners of some cells, and give 0 elsewhere."""
        at = np.zeros(self.y.shape, np.bool_)
        for corner in _corners(at):
            corner |= cells
        values = np.zeros(self.y.shape, np.float32)
        if at.any():
            values[at] = field(self.y[at], self.x[at], *(more[at] for more in given))
        return values

    def field(
        self, values: Floats, threshold: float, softness: float | None = None
    ) -> _Cut:
        """Cut a field at its threshold."""
        softness = self.softness if softness is None else softness
        scaled = limit(values, threshold, softness)
        corners = list(_corners(scaled))
        low = np.minimum.reduce(corners)
        return _Cut(scaled, low, np.maximum.reduce(corners))


def _corners(lattice: NDArray[_Value]) -> tuple[NDArray[_Value], ...]:
    """View the four corners of every cell."""
    return lattice[:-1, :-1], lattice[:-1, 1:], lattice[1:, :-1], lattice[1:, 1:]
