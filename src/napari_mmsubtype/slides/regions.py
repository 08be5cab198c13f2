"""Regions drawn on a slide: what to analyse and what to leave out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours

from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_mmsubtype.core.units import PixelSize

    Ring = NDArray[np.float64]

EXCLUDED_NAMES = frozenset(
    {"exclude", "excluded", "ignore", "ignore*", "artefact", "artifact"}
)
"""Classes, in lower case, whose regions are left out; all others are analysed."""

FARTHEST_PX = 1e9
"""No slide is that large: farther corners are a mistake."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One polygon on a slide.

    Attributes
    ----------
    outline : ndarray of float64, shape (n, 2)
        Corners ``(y, x)`` in level-0 px from the slide's upper left corner; the last
        one joins the first.
    holes : tuple of ndarray of float64, shape (m, 2)
        Outlines within, whose inside does not belong to the region.
    name : str
        Class of the region, such as ``"Tumor"``; empty where it has none.
    """

    outline: Ring
    holes: tuple[Ring, ...] = field(default=())
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "outline", _as_ring(self.outline))
        object.__setattr__(self, "holes", tuple(_as_ring(h) for h in self.holes))

    @classmethod
    def from_um(
        cls, outline: ArrayLike, pixel_size: PixelSize, *, name: str = ""
    ) -> Region:
        """Make a region of corners in microns, as drawn in the viewer.

        Parameters
        ----------
        outline : array_like of float, shape (n, 2)
            Corners ``(y, x)`` in um, the center of the first pixel being the origin.
        pixel_size : PixelSize
            Microns per pixel of level 0.
        name : str, default: ""
            Class of the region.

        Returns
        -------
        Region
            The same polygon in level-0 px.

        Raises
        ------
        ConfigurationError
            If the corners are no polygon.
        """
        step = np.array([pixel_size.y, pixel_size.x])
        return cls(_as_ring(outline) / step + 0.5, name=name)

    @property
    def is_excluded(self) -> bool:
        """Whether the class says to leave the region out."""
        return self.name.strip().lower() in EXCLUDED_NAMES

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The outline followed by the holes."""
        return (self.outline, *self.holes)

    def to_um(self, pixel_size: PixelSize) -> tuple[Ring, ...]:
        """Give outline and holes in microns, as the viewer places them.

        Parameters
        ----------
        pixel_size : PixelSize
            Microns per pixel of level 0.

        Returns
        -------
        tuple of ndarray of float64, shape (n, 2)
            Corners ``(y, x)`` in um, the center of the first pixel being the origin.
        """
        step = np.array([pixel_size.y, pixel_size.x])
        return tuple((ring - 0.5) * step for ring in self.rings)


def _as_ring(points: ArrayLike) -> Ring:
    """Check the corners of a polygon."""
    try:
        ring = np.array(points, dtype=np.float64)
    except (TypeError, ValueError) as err:
        msg = f"a region's outline must be pairs of numbers: {err}"
        raise ConfigurationError(msg) from err
    if ring.ndim != 2 or ring.shape[1] != 2:
        msg = f"a region's outline must be pairs of numbers, found shape {ring.shape}"
        raise ConfigurationError(msg)
    if not np.isfinite(ring).all():
        msg = "a region's outline holds NaN or infinity; draw it again"
        raise ConfigurationError(msg)
    if np.abs(ring).max(initial=0) > FARTHEST_PX:
        msg = f"a region's outline reaches {np.abs(ring).max():.3g} px; draw it again"
        raise ConfigurationError(msg)
    if len(ring) > 1 and (ring[0] == ring[-1]).all():
        ring = ring[:-1]
    corners = len(np.unique(ring, axis=0))
    if corners < 3:
        msg = f"a region needs at least 3 different corners, found {corners}"
        raise ConfigurationError(msg)
    ring.flags.writeable = False
    return ring


def draw_region(
    region: Region, slide_shape: tuple[int, int], mask_shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Draw one region on a mask of the whole slide.

    Parameters
    ----------
    region : Region
        The polygon.
    slide_shape : tuple of int
        Height and width of level 0 in pixels.
    mask_shape : tuple of int
        Height and width of the mask.

    Returns
    -------
    ndarray of bool, shape (y, x)
        True where the center of the mask's pixel lies in the region.
    """
    scale = np.asarray(mask_shape) / np.asarray(slide_shape)
    mask = np.zeros(mask_shape, np.bool_)
    for number, ring in enumerate(region.rings):
        rows, cols, inside = _fill(ring * scale - 0.5, mask_shape)
        mask[rows, cols][inside] = number == 0
    return mask


def _fill(ring: Ring, shape: tuple[int, int]) -> tuple[slice, slice, NDArray[np.bool_]]:
    """Fill a ring, by the even-odd rule, within the part of a mask that it spans.

    Pixels have their centers at whole numbers. Time grows with the edges' rows plus the
    pixels, not with their product, so that outlines of thousands of corners are cheap.
    """
    limit = np.asarray(shape)
    top, left = np.clip(np.ceil(ring.min(axis=0)), 0, limit).astype(np.int64)
    bottom, right = np.clip(np.ceil(ring.max(axis=0)), 0, limit).astype(np.int64)
    height, width = int(bottom - top), int(right - left)
    start, end = ring, np.roll(ring, -1, axis=0)
    # An edge owns the rows from its upper end, included, to its lower end, excluded:
    # corners are crossed once and level edges never.
    low, high = np.sort([start[:, 0], end[:, 0]], axis=0)
    first = np.clip(np.ceil(low), top, bottom).astype(np.int64)
    count = np.clip(np.ceil(high), top, bottom).astype(np.int64) - first
    edge = np.repeat(np.arange(len(ring)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count - first, count)
    (y0, x0), (y1, x1) = start[edge].T, end[edge].T
    crossing = x0 + (row - y0) / (y1 - y0) * (x1 - x0)
    col = np.clip(np.ceil(crossing), left, right).astype(np.int64) - left
    flips = np.bincount(
        (row - top) * (width + 1) + col, minlength=height * (width + 1)
    ).reshape(height, width + 1)
    inside = np.cumsum(flips, axis=1)[:, :-1] % 2 == 1
    return slice(top, bottom), slice(left, right), inside


def restrict_mask(
    mask: NDArray[np.bool_],
    regions: Sequence[Region],
    slide_shape: tuple[int, int],
) -> NDArray[np.bool_]:
    """Keep of a mask what lies in the regions and not in excluded ones.

    Parameters
    ----------
    mask : ndarray of bool, shape (y, x)
        Tissue over the whole slide, at any resolution.
    regions : sequence of Region
        Where only excluded ones are given, the rest of the slide is kept.
    slide_shape : tuple of int
        Height and width of level 0 in pixels.

    Returns
    -------
    ndarray of bool, shape (y, x)
        A new mask.

    Raises
    ------
    ConfigurationError
        If there are no regions, or all lie outside the slide.
    """
    if not regions:
        msg = "no regions are given; draw at least one, or leave the regions out"
        raise ConfigurationError(msg)
    corners = np.concatenate([region.outline for region in regions])
    low = np.array([region.outline.min(axis=0) for region in regions])
    high = np.array([region.outline.max(axis=0) for region in regions])
    touches = (high > 0).all(axis=1) & (low < np.asarray(slide_shape)).all(axis=1)
    if not touches.any():
        (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0)
        msg = (
            f"all {len(regions)} regions lie outside the slide: they span y "
            f"{top:.0f} to {bottom:.0f} and x {left:.0f} to {right:.0f}, the slide has "
            f"{slide_shape[0]} x {slide_shape[1]} px (height x width); were they drawn "
            "on another slide, or are they not in pixels of its full resolution?"
        )
        raise ConfigurationError(msg)
    shape = (mask.shape[0], mask.shape[1])
    included = [region for region in regions if not region.is_excluded]
    inside = _draw_all(included, slide_shape, shape) if included else True
    left_out = [region for region in regions if region.is_excluded]
    kept: NDArray[np.bool_] = mask & inside & ~_draw_all(left_out, slide_shape, shape)
    return kept


def _draw_all(
    regions: Iterable[Region], slide_shape: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Draw the union of regions."""
    drawn = np.zeros(shape, np.bool_)
    for region in regions:
        drawn |= draw_region(region, slide_shape, shape)
    return drawn


def outline_mask(
    mask: NDArray[np.bool_], slide_shape: tuple[int, int], *, name: str = ""
) -> tuple[Region, ...]:
    """Trace a mask of the whole slide as regions.

    Parameters
    ----------
    mask : ndarray of bool, shape (y, x)
        What to trace, at any resolution.
    slide_shape : tuple of int
        Height and width of level 0 in pixels.
    name : str, default: ""
        Class of the regions.

    Returns
    -------
    tuple of Region
        One per connected part; drawn at the mask's resolution they give it back.
    """
    scale = np.asarray(slide_shape) / np.asarray(mask.shape)
    labels, _ = ndimage.label(mask)
    regions = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        corner = np.array([box[0].start, box[1].start])
        part = np.pad(labels[box] == number, 1)
        # Contours pass between pixel centers; "low" parts what meets at a corner only,
        # as the labels do.
        traced = find_contours(part.astype(np.float32), 0.5, fully_connected="low")
        rings = [(ring[:-1] + corner - 0.5) * scale for ring in traced]
        rings.sort(key=_area, reverse=True)
        regions.append(Region(rings[0], tuple(rings[1:]), name))
    return tuple(regions)


def _area(ring: Ring) -> float:
    """Give the area within a ring."""
    y, x = ring.T
    return abs(float(np.dot(y, np.roll(x, 1)) - np.dot(x, np.roll(y, 1)))) / 2
