"""Where the patches of a slide lie, which hold tissue, and how to read them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.errors import SlideTooSmallError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.core.units import PixelSize

LEVEL_TOLERANCE = 1.05
"""A level counts as fine enough up to this much coarser than the target."""

EDGES = ("cover", "inside")
"""What becomes of patches that reach beyond the slide: padded with white, or left out.
"""


_AT_ONCE = 65536
"""Positions looked at together: enough to be fast, little memory."""


@dataclass(frozen=True, slots=True)
class PatchSpec:
    """What a model wants a patch to be.

    Attributes
    ----------
    size_px : int
        Side of the square patch that the model sees.
    mpp : float
        Microns per pixel that the model sees.
    stride_px : int
        Step between patches, in pixels that the model sees.
    min_tissue : float
        Fraction of a patch that must be tissue, 0 to 1.
    """

    size_px: int
    mpp: float
    stride_px: int
    min_tissue: float = 0.5

    def __post_init__(self) -> None:
        if self.size_px <= 0 or self.stride_px <= 0 or not 0 < self.mpp < math.inf:
            msg = f"patch size, stride and mpp must be positive, found {self}"
            raise ValueError(msg)
        if not 0 <= self.min_tissue <= 1:
            msg = f"the least share of tissue must be 0 to 1, found {self}"
            raise ValueError(msg)
        if self.stride_px > self.size_px:
            msg = (
                f"stride {self.stride_px} px is larger than the patch "
                f"({self.size_px} px) and would skip tissue"
            )
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class PatchGrid:
    """The tissue patches of one slide, in the order in which storage is read best.

    Attributes
    ----------
    spec : PatchSpec
        What the patches are.
    shape : tuple of int
        Rows and columns of the whole grid, tissue or not.
    step : tuple of float
        Distance between neighbours, ``(y, x)`` in level-0 px.
    extent : tuple of float
        Side of a patch, ``(y, x)`` in level-0 px.
    level : int
        Pyramid level to read.
    downsample : float
        Factor of that level to level 0.
    origin : ndarray of int64, shape (n, 2)
        Upper left corners, ``(y, x)`` in level-0 px.
    cell : ndarray of int32, shape (n, 2)
        Row and column of each patch in the grid.
    tissue : ndarray of float32, shape (n,)
        Tissue fraction of each patch.
    """

    spec: PatchSpec
    shape: tuple[int, int]
    step: tuple[float, float]
    extent: tuple[float, float]
    level: int
    downsample: float
    origin: NDArray[np.int64]
    cell: NDArray[np.int32]
    tissue: NDArray[np.float32]

    def __post_init__(self) -> None:
        sizes = (*self.step, *self.extent, self.downsample)
        if not all(0 < size < math.inf for size in sizes):
            msg = f"step, extent and downsample must be positive, found {sizes}"
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.origin)

    @property
    def positions(self) -> int:
        """Number of grid positions, tissue or not."""
        return self.shape[0] * self.shape[1]

    @property
    def read_shape(self) -> tuple[int, int]:
        """Height and width to read at the level, in its pixels."""
        return (
            max(round(self.extent[0] / self.downsample), 1),
            max(round(self.extent[1] / self.downsample), 1),
        )

    def to_attributes(self) -> dict[str, Any]:
        """Give everything but the arrays as plain JSON types.

        Returns
        -------
        dict
            Specification, shape, step, extent, level and downsample.
        """
        return {
            "size_px": self.spec.size_px,
            "mpp": self.spec.mpp,
            "stride_px": self.spec.stride_px,
            "min_tissue": self.spec.min_tissue,
            "shape": list(self.shape),
            "step": list(self.step),
            "extent": list(self.extent),
            "level": self.level,
            "downsample": self.downsample,
        }


def lay_grid(
    spec: PatchSpec,
    shape: tuple[int, int],
    pixel_size: PixelSize,
    downsamples: Sequence[float],
    tissue_mask: NDArray[np.bool_],
    *,
    storage_tile: tuple[int, int] = (1024, 1024),
    edge: str = "cover",
) -> PatchGrid:
    """Lay square patches over a slide and keep those with enough tissue.

    The grid starts at the slide's corner and covers it wholly; what a border patch sees
    beyond the slide is white and counts as no tissue.

    Parameters
    ----------
    spec : PatchSpec
        Patch size, target microns per pixel, stride and tissue threshold.
    shape : tuple of int
        Height and width of level 0 in pixels.
    pixel_size : PixelSize
        Microns per pixel of level 0.
    downsamples : sequence of float
        Factor of each level to level 0, ascending, the first being 1.
    tissue_mask : ndarray of bool, shape (y, x)
        Tissue over the whole slide at any resolution.
    storage_tile : tuple of int, default: (1024, 1024)
        Height and width of the file's tiles in level-0 px; patches are ordered so that
        those of one tile follow each other.
    edge : {"cover", "inside"}, default: "cover"
        With ``cover`` the last row and column reach beyond the slide, where there is
        white and no tissue, so that every pixel of the slide lies in a patch; with
        ``inside`` only patches wholly within the slide are laid.

    Returns
    -------
    PatchGrid
        Possibly empty where no patch holds enough tissue.

    Raises
    ------
    SlideTooSmallError
        If the slide is smaller than one patch along an axis.

    Notes
    -----
    Vectorised: the tissue fraction is exact area averaging of the mask, taken from an
    integral image with linear interpolation, many positions at once: time is
    O(positions), memory that of the integral image and of the patches kept.
    """
    factor = (spec.mpp / pixel_size.y, spec.mpp / pixel_size.x)
    extent = (spec.size_px * factor[0], spec.size_px * factor[1])
    step = (spec.stride_px * factor[0], spec.stride_px * factor[1])
    if shape[0] + 0.5 < extent[0] or shape[1] + 0.5 < extent[1]:
        msg = (
            f"the slide is {shape[0]} x {shape[1]} px (height x width) but one patch "
            f"of {spec.size_px} px at {spec.mpp:g} um/px covers {extent[0]:.0f} x "
            f"{extent[1]:.0f} px of it; check the pixel size or use a larger region"
        )
        raise SlideTooSmallError(msg)
    rows, cols = (
        1 + _steps((size - ext) / st, edge)
        for size, ext, st in zip(shape, extent, step, strict=True)
    )
    integral = _integrate(tissue_mask)
    kept = []
    for first in range(0, rows * cols, _AT_ONCE):
        number = np.arange(first, min(first + _AT_ONCE, rows * cols), dtype=np.int64)
        row, col = np.divmod(number, cols)
        corner = np.stack([row * step[0], col * step[1]], axis=1)
        # The integral image leaves noise of 1e-8, which would make bare glass tissue.
        share = np.round(_area_mean(integral, corner, extent, shape), 6)
        keep = (share >= spec.min_tissue) & (share > 0)
        kept.append((number[keep], corner[keep], share[keep]))
    number, corner, fraction = (np.concatenate(p) for p in zip(*kept, strict=True))
    origin = np.rint(corner).astype(np.int64)
    cell = np.stack(np.divmod(number, cols), axis=1).astype(np.int32)
    tile = origin // np.asarray(storage_tile, dtype=np.int64)
    order = np.lexsort((origin[:, 1], origin[:, 0], tile[:, 1], tile[:, 0]))
    level = _choose_level(downsamples, max(min(factor), 1e-9))
    return PatchGrid(
        spec=spec,
        shape=(rows, cols),
        step=step,
        extent=extent,
        level=level,
        downsample=float(downsamples[level]),
        origin=origin[order],
        cell=cell[order],
        tissue=fraction[order].astype(np.float32),
    )


def _steps(room: float, edge: str) -> int:
    """Count the steps to the last patch, ``room`` being those to the slide's end."""
    if edge not in EDGES:
        msg = f"edge must be one of {', '.join(EDGES)}, found {edge!r}"
        raise ValueError(msg)
    if edge == "cover":
        return max(math.ceil(room - 1e-6), 0)
    return max(math.floor(room + 1e-6), 0)


def _choose_level(downsamples: Sequence[float], factor: float) -> int:
    """Pick the coarsest level that is still fine enough for the target."""
    fine = [
        i for i, value in enumerate(downsamples) if value <= factor * LEVEL_TOLERANCE
    ]
    return max(fine, default=0, key=lambda i: downsamples[i])


def _integrate(mask: NDArray[np.bool_]) -> NDArray[np.unsignedinteger[Any]]:
    """Give the number of true pixels above and left of every corner of a pixel."""
    kind = np.uint32 if mask.size < 2**32 else np.uint64
    integral = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), kind)
    inner = integral[1:, 1:]
    np.cumsum(mask, axis=0, dtype=kind, out=inner)
    np.cumsum(inner, axis=1, out=inner)
    return integral


def _area_mean(
    integral: NDArray[np.unsignedinteger[Any]],
    corner: NDArray[np.float64],
    extent: tuple[float, float],
    shape: tuple[int, int],
) -> NDArray[np.float64]:
    """Average a whole-slide mask over boxes given in level-0 px."""
    height, width = integral.shape[0] - 1, integral.shape[1] - 1
    scale = np.array([height / shape[0], width / shape[1]])
    low = corner * scale
    high = (corner + np.asarray(extent)) * scale

    def at(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
        y = np.clip(y, 0, height)
        x = np.clip(x, 0, width)
        y0 = np.minimum(y.astype(np.int64), height - 1)
        x0 = np.minimum(x.astype(np.int64), width - 1)
        fy, fx = y - y0, x - x0
        top = integral[y0, x0] * (1 - fx) + integral[y0, x0 + 1] * fx
        bottom = integral[y0 + 1, x0] * (1 - fx) + integral[y0 + 1, x0 + 1] * fx
        value: NDArray[np.float64] = top * (1 - fy) + bottom * fy
        return value

    covered = (
        at(high[:, 0], high[:, 1])
        - at(low[:, 0], high[:, 1])
        - at(high[:, 0], low[:, 1])
        + at(low[:, 0], low[:, 1])
    )
    area = float(np.prod(np.asarray(extent) * scale))
    return np.clip(covered / area, 0.0, 1.0)
