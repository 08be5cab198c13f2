"""The tissue fields of one region, pixel by pixel: soft weights and hard codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.slides.synthetic_fields import (
    BACKGROUND,
    BASAL,
    FAT,
    LUMINAL,
    LYMPHOCYTES,
    NECROSIS,
    STROMA,
    TissueFields,
    thresholds,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_mmsubtype.slides.synthetic_noise import Doubles, Floats

LATTICE_PX = 8
"""Level-0 px between the points where fields are evaluated at level 0."""

_EDGE_PX = 10.0  # a cut fades over about this much tissue, the outline over half


@dataclass(frozen=True, slots=True)
class TissueMap:
    """What tissue lies where in a region.

    Attributes
    ----------
    box : Box
        The region, in px of its level.
    downsample : int
        Level-0 px per px of the level.
    weights : mapping of int to ndarray of float32, shape (height, width)
        Share of each phenotype at each pixel; absent ones are zero everywhere.
    codes : ndarray of uint8, shape (height, width)
        The phenotype of each pixel.
    warp : ndarray of float32, shape (height, width)
        How far fibres bend sideways, in level-0 px.
    """

    box: Box
    downsample: int
    weights: Mapping[int, Floats]
    codes: NDArray[np.uint8]
    warp: Floats

    def cropped(self, box: Box) -> TissueMap:
        """Cut out a smaller region.

        Parameters
        ----------
        box : Box
            Inside `box` of the map, in px of the same level.

        Returns
        -------
        TissueMap
            Views of the same arrays.
        """
        top, left = box.y - self.box.y, box.x - self.box.x
        window = np.s_[top : top + box.height, left : left + box.width]
        kept = {code: weight[window] for code, weight in self.weights.items()}
        return TissueMap(
            box,
            self.downsample,
            {code: weight for code, weight in kept.items() if weight.any()},
            self.codes[window],
            self.warp[window],
        )


T = TypeVar("T")


class Memberships(NamedTuple, Generic[T]):
    """How far each pixel belongs to each kind of tissue, or what leads to it.

    Attributes
    ----------
    tissue, tumor, basal, necrosis, lymphocytes, fat : T
        From 0 to 1 where they are numbers. Basal counts within tumour, necrosis within
        basal-like tumour, lymphocytes outside of tumour, and fat in what is left.
    """

    tissue: T
    tumor: T
    basal: T
    necrosis: T
    lymphocytes: T
    fat: T


def mix_weights(found: Memberships[Floats]) -> dict[int, Floats]:
    """Give the share of every phenotype.

    Parameters
    ----------
    found : Memberships of ndarray of float32
        All of one shape.

    Returns
    -------
    dict of int to ndarray of float32
        Shares that add up to 1, by code.
    """
    tissue, tumor, basal, necrosis, lymph, fat = found
    other = tissue * (1 - tumor)
    tumor_basal = tissue * tumor * basal
    return {
        BACKGROUND: 1 - tissue,
        LUMINAL: tissue * tumor * (1 - basal),
        BASAL: tumor_basal * (1 - necrosis),
        NECROSIS: tumor_basal * necrosis,
        LYMPHOCYTES: other * lymph,
        FAT: other * (1 - lymph) * fat,
        STROMA: other * (1 - lymph) * (1 - fat),
    }


def leading_codes(found: Memberships[Floats]) -> NDArray[np.uint8]:
    """Name the phenotype of every pixel.

    Parameters
    ----------
    found : Memberships of ndarray of float32
        All of one shape.

    Returns
    -------
    ndarray of uint8
        Codes, in that shape.
    """
    tissue, tumor, basal, necrosis, lymph, fat = found
    half = np.float32(0.5)
    codes = np.full(tissue.shape, STROMA, np.uint8)
    codes[fat > half] = FAT
    codes[lymph > half] = LYMPHOCYTES
    codes[tumor > half] = LUMINAL
    is_basal = (tumor > half) & (basal > half)
    codes[is_basal] = BASAL
    codes[is_basal & (necrosis > half)] = NECROSIS
    codes[tissue <= half] = BACKGROUND
    return codes


def enlarge(lattice: Floats, factor: int) -> Floats:
    """Interpolate linearly between lattice points.

    Parameters
    ----------
    lattice : ndarray of float32, shape (n + 1, m + 1)
        Values at every ``factor``-th pixel.
    factor : int
        Pixels between lattice points.

    Returns
    -------
    ndarray of float32, shape (n * factor, m * factor)
        Pixel ``(0, 0)`` is the first lattice point.
    """
    if factor == 1:
        return lattice[:-1, :-1]
    t = np.arange(factor, dtype=np.float32) / np.float32(factor)
    start, step = lattice[:-1, None, :], np.diff(lattice, axis=0)[:, None, :]
    rows = (start + step * t[None, :, None]).reshape(-1, lattice.shape[1])
    start, step = rows[:, :-1, None], np.diff(rows, axis=1)[:, :, None]
    return np.asarray((start + step * t).reshape(rows.shape[0], -1), np.float32)


def lattice_factor(downsample: int) -> int:
    """Say how many px of a level lie between lattice points.

    Parameters
    ----------
    downsample : int
        Level-0 px per px of the level.

    Returns
    -------
    int
        8 at level 0 and 4 elsewhere, where edges may be less ragged.
    """
    return LATTICE_PX if downsample == 1 else LATTICE_PX // 2


def lattice_points(box: Box, downsample: int) -> tuple[Box, Doubles, Doubles]:
    """Place the lattice over a region.

    Parameters
    ----------
    box : Box
        The region in px of the level; may reach beyond the slide.
    downsample : int
        Level-0 px per px of the level.

    Returns
    -------
    outer : Box
        The whole lattice cells that the region touches, in px of the level.
    y, x : ndarray of float64, shape (n + 1, m + 1)
        The corners of these ``n`` x ``m`` cells, in level-0 px.
    """
    factor = lattice_factor(downsample)
    top, left = box.y // factor, box.x // factor
    down = -(-(box.y + box.height) // factor)
    right = -(-(box.x + box.width) // factor)
    rows = (np.arange(top, down + 1) * factor + 0.5) * downsample - 0.5
    cols = (np.arange(left, right + 1) * factor + 0.5) * downsample - 0.5
    y, x = np.meshgrid(rows, cols, indexing="ij")
    outer = Box(
        top * factor, left * factor, (down - top) * factor, (right - left) * factor
    )
    return outer, y, x


def map_region(fields: TissueFields, box: Box, downsample: int) -> TissueMap:
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
    TissueMap
        The same at each pixel, whichever region it was asked in.
    """
    factor = lattice_factor(downsample)
    outer, y, x = lattice_points(box, downsample)
    weights, codes, warp = _evaluate(fields, y, x, factor)
    whole = TissueMap(outer, downsample, weights, codes, warp)
    return whole.cropped(box)


def _evaluate(
    fields: TissueFields, y: Doubles, x: Doubles, factor: int
) -> tuple[dict[int, Floats], NDArray[np.uint8], Floats]:
    """Evaluate fields on a lattice, cut them there and between."""
    cut = thresholds(fields)
    softness = membership_softness(fields)
    outline_field = fields.outline(y, x)
    tissue = _cut(outline_field, cut.outline, softness / 2, factor)
    blank = np.zeros_like(tissue)
    if not tissue.any():
        codes = np.full(tissue.shape, BACKGROUND, np.uint8)
        return {BACKGROUND: blank + np.float32(1)}, codes, blank

    tumor_field = fields.tumor(y, x, outline_field)
    margin = tumor_field - np.float32(cut.tumor)
    tumor = _cut(tumor_field, cut.tumor, softness, factor)
    basal = necrosis = lymph = fat = blank
    if tumor.any():
        basal = _cut(fields.basal_like(y, x), cut.basal, softness, factor)
        if basal.any():
            necrosis = _cut(fields.necrosis(y, x), cut.necrosis, softness, factor)
    if not (tumor == 1).all():
        lymph_field = fields.lymphocytes(y, x, margin)
        lymph = _cut(lymph_field, cut.lymphocytes, 0.08, factor)
        fat = _cut(fields.fat(y, x, margin), cut.fat, softness, factor)

    found = Memberships(tissue, tumor, basal, necrosis, lymph, fat)
    warp = enlarge(fields.warp(y, x), factor)
    return mix_weights(found), leading_codes(found), warp


def membership_softness(fields: TissueFields) -> float:
    """Say over how much of a field a cut fades.

    Parameters
    ----------
    fields : TissueFields
        The slide.

    Returns
    -------
    float
        Half of the fade, in units of the field; that of the outline is half as soft.
    """
    return _EDGE_PX * 3.0 / fields.region_px


def limit(field: Floats, threshold: float, softness: float) -> Floats:
    """Express a field in units of the fade of its cut.

    Parameters
    ----------
    field : ndarray of float32
        The field on a lattice.
    threshold : float
        Where it is cut; may be infinite.
    softness : float
        Half of the fade, in units of the field.

    Returns
    -------
    ndarray of float32
        The fade runs from -0.5 to 0.5; clipped, so that an infinite threshold does not
        give NaN when interpolated.
    """
    scaled = (field - np.float32(threshold)) / np.float32(2 * softness)
    return np.asarray(np.clip(scaled, -4, 4), np.float32)


def ease(scaled: Floats) -> Floats:
    """Turn a field in units of its fade into a membership.

    Parameters
    ----------
    scaled : ndarray of float32
        From `limit`, interpolated.

    Returns
    -------
    ndarray of float32
        From 0 to 1, exactly 0 and 1 outside the fade.
    """
    t = np.clip(np.clip(scaled, -0.5, 0.5) + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _cut(field: Floats, threshold: float, softness: float, factor: int) -> Floats:
    """Turn a field on a lattice into a soft membership of every pixel."""
    return ease(enlarge(limit(field, threshold, softness), factor))
