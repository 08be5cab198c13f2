"""Which patches lie in the regions that a user drew, the smallest included."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.slides.regions import Region, restrict_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.core.patch_grid import PatchGrid
    from napari_mmsubtype.core.units import PixelSize

    Mask = NDArray[np.bool_]


def patches_within(
    regions: Sequence[Region],
    tissue: Mask,
    slide_shape: tuple[int, int],
    pixel_size: PixelSize,
    lay: Callable[[Mask], PatchGrid],
) -> tuple[Mask, PatchGrid, tuple[str, ...]]:
    """Restrict tissue and patches to regions, without losing a small one.

    Parameters
    ----------
    regions : sequence of Region
        What to analyse and what to leave out.
    tissue : ndarray of bool, shape (y, x)
        Tissue over the whole slide.
    slide_shape : tuple of int
        Height and width of level 0 in pixels.
    pixel_size : PixelSize
        Microns per pixel of level 0.
    lay : callable
        Lays the grid of patches over a mask.

    Returns
    -------
    mask : ndarray of bool, shape (y, x)
        Tissue within the regions.
    grid : PatchGrid
        Patches with enough tissue within the regions. A region too small to fill any
        patch that far gets the one patch about its middle, if that holds tissue enough.
    warnings : tuple of str
        One for every region that got its patch in this way, or none at all.

    Raises
    ------
    ConfigurationError
        If there are no regions, or all lie outside the slide.
    """
    mask = restrict_mask(tissue, regions, slide_shape)
    grid = lay(mask)
    wanted = [region for region in regions if not region.is_excluded]
    left_out = [region for region in regions if region.is_excluded]
    lost = [region for region in wanted if not _is_represented(region, grid)]
    if not lost:
        return mask, grid, ()
    allowed = restrict_mask(tissue, left_out, slide_shape) if left_out else tissue
    every = lay(allowed)
    # Laid over more tissue, `every` holds all patches of `grid`, in the same order.
    columns = every.shape[1]
    numbers = every.cell.astype(np.int64) @ [columns, 1]
    kept = np.isin(numbers, grid.cell.astype(np.int64) @ [columns, 1])
    share = np.array(every.tissue)
    share[kept] = grid.tissue
    warnings = []
    for region in lost:
        nearest = _patch_about(region, every)
        what = _describe(region, pixel_size)
        if nearest is None:
            warnings.append(f"{what} got no patch: too little tissue about its middle")
            continue
        kept[nearest] = True
        warnings.append(
            f"{what} fills no patch as far as asked; the patch about its middle was "
            "taken"
        )
    grid = replace(
        every, origin=every.origin[kept], cell=every.cell[kept], tissue=share[kept]
    )
    return mask, grid, tuple(warnings)


def _span(region: Region) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the upper left and lower right corner of a region's box."""
    return region.outline.min(axis=0), region.outline.max(axis=0)


def _is_represented(region: Region, grid: PatchGrid) -> bool:
    """Tell whether a patch has its middle in the region's box, or the other way."""
    low, high = _span(region)
    middle = grid.origin + np.asarray(grid.extent) / 2
    within = ((middle >= low) & (middle <= high)).all(axis=1)
    return bool(within.any()) or _patch_about(region, grid) is not None


def _patch_about(region: Region, grid: PatchGrid) -> int | None:
    """Find the patch whose middle is nearest to the region's, of those that hold it."""
    low, high = _span(region)
    far = np.abs(grid.origin + np.asarray(grid.extent) / 2 - (low + high) / 2)
    holds = (far <= np.asarray(grid.extent) / 2).all(axis=1)
    if not holds.any():
        return None
    return int(np.argmin(np.where(holds, (far**2).sum(axis=1), np.inf)))


def _describe(region: Region, pixel_size: PixelSize) -> str:
    """Name a region by class, size and place."""
    low, high = _span(region)
    height, width = (high - low) * [pixel_size.y, pixel_size.x]
    y, x = ((low + high) / 2).round().astype(int)
    name = f" {region.name!r}" if region.name else ""
    return f"region{name} of {height:.0f} x {width:.0f} um at y {y}, x {x} px"
