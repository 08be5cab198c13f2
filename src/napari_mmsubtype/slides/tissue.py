"""Where the tissue of a slide lies."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import DamagedTileError
from napari_mmsubtype.slides.area_resize import resize_area
from napari_mmsubtype.slides.tissue_texture import find_texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.slides.slide import Slide

THRESHOLD_RANGE = (0.05, 0.20)
"""Glass stays below the lower saturation, stained tissue mostly above the upper."""

GLASS_SATURATION = (0.07, 0.15)
"""A class that is paler on average may be glass; up to the second only if tinted
evenly."""

EVEN_TINT = 8.0
"""Distance of tinted glass from tissue, in standard deviations of the glass."""

FAINT_THRESHOLD = 0.1
"""A lower threshold of saturation tells of a stain so faint that it misses tissue."""

DARK_LEVEL = 64
"""Darker pixels than this have no meaningful saturation."""

MEDIAN_UM = 40.0
CLOSING_UM = 32.0
SMALL_UM2 = 20_000.0
"""Pieces and holes below this area (about 140 um squared) are dropped and filled."""

SMALL_SHARE = 0.02
"""In a small region, pieces and holes are small relative to the image instead."""

LARGEST_MASK_PX = 3200
"""Longest side of a mask; a very large slide gets coarser pixels instead."""

BLOCK_PX = 256
STRIP_PX = 256
LOST_PX = 32
"""Side of what is read again at once from a level that may be far finer."""

Block = tuple[int, int, int, int]
"""Top, left, bottom and right of a part of the mask."""


@dataclass(frozen=True, slots=True, eq=False)
class TissueMask:
    """Tissue over the whole slide.

    Attributes
    ----------
    mask : ndarray of bool, shape (y, x)
        True on tissue; covers the slide exactly.
    pixel_size : PixelSize
        Microns per pixel of the mask.
    threshold : float
        Saturation, 0 to 1, above which a pixel counts as tissue.
    """

    mask: NDArray[np.bool_]
    pixel_size: PixelSize
    threshold: float


def find_tissue(slide: Slide, *, mpp: float = 8.0) -> TissueMask:
    """Find stained tissue by its saturation, and faint tissue by its texture.

    Parameters
    ----------
    slide : Slide
        An open slide with known pixel size.
    mpp : float, default: 8.0
        Microns per pixel of the mask, met up to rounding; coarser where the mask
        would be longer than `LARGEST_MASK_PX`.

    Returns
    -------
    TissueMask
        All False where the slide is blank. What is damaged counts as tissue, so that
        patches there are tried and reported and not passed over in silence.

    Raises
    ------
    MissingPixelSizeError
        If the pixel size of the slide is unknown.
    SlideReadError
        If the slide is closed, has changed or is out of reach.

    Notes
    -----
    Otsu's threshold on HSV saturation, kept within `THRESHOLD_RANGE`. A region that is
    tissue throughout has no glass to find, so where Otsu's paler class is too colorful
    for glass, everything above the lower bound is tissue. Where the threshold falls
    below `FAINT_THRESHOLD`, what is textured as tissue is counts as well. Then median,
    closing, and removal of small pieces and holes. The slide is read block by block
    from the coarsest level that is fine enough; memory does not grow with its size.
    What a damaged tile holds is looked for in finer levels.

    References
    ----------
    .. [1] Otsu, "A threshold selection method from gray-level histograms", IEEE
       Transactions on Systems, Man, and Cybernetics 9(1), 1979.
    """
    shape, pixel_size = mask_grid(slide, mpp=mpp)
    saturation, brightness, unread = _read_slide(slide, shape)
    threshold = choose_threshold(saturation[~unread] if unread.any() else saturation)
    strong = saturation > threshold
    del saturation
    side = 2 * max(round(MEDIAN_UM / pixel_size.mean / 2), 1) + 1
    stained = _take_median(strong, side)
    if threshold < FAINT_THRESHOLD and not stained.all():
        stained |= find_texture(brightness) & ~unread
    # Only then what is damaged: closing and filling of holes would carry it on into
    # glass that was read.
    mask = _clean(stained, pixel_size) | unread
    return TissueMask(mask, pixel_size, threshold)


def mask_grid(slide: Slide, *, mpp: float = 8.0) -> tuple[tuple[int, int], PixelSize]:
    """Choose the pixels of a mask that covers a slide exactly.

    Parameters
    ----------
    slide : Slide
        An open slide with known pixel size.
    mpp : float, default: 8.0
        Microns per pixel of the mask, met up to rounding; coarser where the mask
        would be longer than `LARGEST_MASK_PX`.

    Returns
    -------
    tuple of ((int, int), PixelSize)
        Height and width of the mask, and microns per pixel of it.

    Raises
    ------
    MissingPixelSizeError
        If the pixel size of the slide is unknown.
    """
    size = slide.require_pixel_size()
    height, width = slide.levels[0].shape
    mpp = max(mpp, max(height * size.y, width * size.x) / LARGEST_MASK_PX)
    shape = (
        max(round(height * size.y / mpp), 1),
        max(round(width * size.x / mpp), 1),
    )
    return shape, PixelSize(height * size.y / shape[0], width * size.x / shape[1])


def choose_threshold(saturation: NDArray[np.floating]) -> float:
    """Choose the saturation that divides glass from tissue.

    Parameters
    ----------
    saturation : ndarray of float
        Saturation of the slide's pixels, 0 to 1.

    Returns
    -------
    float
        Otsu's threshold within `THRESHOLD_RANGE`, its lower bound where there is no
        glass or nothing to divide.
    """
    low, high = THRESHOLD_RANGE
    is_number = np.isfinite(saturation)
    values = saturation if is_number.all() else saturation[is_number]
    counts, edges = np.histogram(values, bins=256, range=(0.0, 1.0))
    center = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    inner = np.cumsum(counts * center)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = inner[:-1] / below - (inner[-1] - inner[:-1]) / above
        between = np.where((below > 0) & (above > 0), below * above * gap**2, -1.0)
    best = int(np.argmax(between))
    if between[best] <= 0:
        return low
    pale, strong = values[values <= edges[best + 1]], values[values > edges[best + 1]]
    pale_mean, even_limit = pale.mean(), EVEN_TINT * pale.std()
    certain, tinted = GLASS_SATURATION
    is_even = pale_mean <= tinted and strong.mean() - pale_mean > even_limit
    if pale_mean > certain and not is_even:
        return low
    lower = max(low, float(pale_mean) * 1.2) if is_even else low
    return float(np.clip(edges[best + 1], lower, high))


def _saturation(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Give the HSV saturation, damped where a pixel is nearly black."""
    # Reducing over an axis of three is many times slower than comparing planes.
    red, green, blue = (rgb[:, :, channel] for channel in range(3))
    top = np.maximum(np.maximum(red, green), blue).astype(np.float32)
    spread = top - np.minimum(np.minimum(red, green), blue)
    return np.asarray(spread / np.maximum(top, np.float32(DARK_LEVEL)), np.float32)


def _read_slide(
    slide: Slide, shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Read saturation and brightness of the whole slide and what could not be read."""
    height, width = slide.levels[0].shape
    factor = min(height / shape[0], width / shape[1])
    fine = [level for level in slide.levels if level.downsample <= factor * 1.01]
    level = len(fine) - 1 if fine else 0
    saturation = np.zeros(shape, np.float32)
    brightness = np.full(shape, 255, np.float32)
    unread = np.ones(shape, np.bool_)

    def fill(level: int, block: Block) -> bool:
        try:
            thumbnail, is_whole = _read_block(slide, level, shape, block), True
        except DamagedTileError:
            # Blank where a tile is damaged, right beside it.
            thumbnail = _read_block(slide, level, shape, block, is_view=True)
            is_whole = False
        top, left, bottom, right = block
        saturation[top:bottom, left:right] = _saturation(thumbnail)
        brightness[top:bottom, left:right] = thumbnail.mean(axis=2, dtype=np.float32)
        return is_whole

    blocks = _cut((0, 0, *shape), BLOCK_PX)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        while not all(list(pool.map(partial(fill, level), blocks))):
            # What a computed level lacks, the stored one below it tells more closely.
            level = min(level, slide.native_levels - 1)
            lost = np.zeros(shape, np.bool_)
            damaged = _outline_damaged(slide, level, shape)
            for top, left, bottom, right in damaged:
                lost[top:bottom, left:right] = True
            unread &= lost
            if level == 0:
                break
            # A finer level may hold what a tile of a coarse one has lost.
            level -= 1
            blocks = [
                piece
                for block in damaged
                for piece in _cut(block, LOST_PX)
                if unread[piece[0] : piece[2], piece[1] : piece[3]].any()
            ]
        else:
            unread[:] = False
    if unread.any() and not unread.all():
        # Of another brightness than what lies around, the gap would have texture.
        nearest = ndimage.distance_transform_edt(
            unread, return_distances=False, return_indices=True
        )
        brightness = brightness[tuple(nearest)]
    return saturation, brightness, unread


def _cut(block: Block, side: int) -> list[Block]:
    """Cut a block of the mask into blocks that are no longer than a side."""
    top, left, bottom, right = block
    return [
        (y, x, min(y + side, bottom), min(x + side, right))
        for y in range(top, bottom, side)
        for x in range(left, right, side)
    ]


def _outline_damaged(slide: Slide, level: int, shape: tuple[int, int]) -> list[Block]:
    """Give what each damaged tile of a stored level touches of the mask."""
    (height, width), (tile_h, tile_w) = (
        slide.levels[level].shape,
        slide.tile_shapes[level],
    )
    steps = tile_h * shape[0] / height, tile_w * shape[1] / width
    return [
        (
            math.floor(row * steps[0]),
            math.floor(col * steps[1]),
            min(math.ceil((row + 1) * steps[0]), shape[0]),
            min(math.ceil((col + 1) * steps[1]), shape[1]),
        )
        for number, row, col in slide.unreadable_tiles
        if number == level
    ]


def _read_block(
    slide: Slide,
    level: int,
    shape: tuple[int, int],
    block: Block,
    *,
    is_view: bool = False,
) -> NDArray[np.uint8]:
    """Read one block of the mask from a level, averaged to the mask's pixels."""
    height, width = slide.levels[level].shape
    ratio_y, ratio_x = height / shape[0], width / shape[1]
    top, left, bottom, right = block
    y0, y1 = round(top * ratio_y), max(round(bottom * ratio_y), 1)
    x0, x1 = round(left * ratio_x), max(round(right * ratio_x), 1)
    read = slide.read_view if is_view else slide.read_region
    region = read(level, y0, x0, max(y1 - y0, 1), max(x1 - x0, 1))
    return resize_area(region, bottom - top, right - left)


def _take_median(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Give each pixel the value of most of the square about it, strip by strip.

    That is the median filter, at the cost of a box filter. A square of odd side cannot
    be undecided, so that how a strip's sums are rounded changes nothing.
    """
    half = side // 2
    median = np.empty_like(mask)
    for top in range(0, len(mask), STRIP_PX):
        first, last = max(top - half, 0), top + STRIP_PX + half
        part = mask[first:last].astype(np.float32)
        share = ndimage.uniform_filter(part, side, mode="nearest")
        inside = share[top - first : top - first + STRIP_PX]
        median[top : top + STRIP_PX] = inside > 0.5
    return median


def _clean(mask: NDArray[np.bool_], pixel_size: PixelSize) -> NDArray[np.bool_]:
    """Close gaps, then drop small pieces and fill small holes."""
    if not mask.any() or mask.all():
        return mask
    radius = max(round(CLOSING_UM / pixel_size.mean), 1)
    side = 2 * radius + 1
    # Without a margin the erosion would eat tissue at the border of the slide.
    closed = np.pad(mask.astype(np.uint8), radius, mode="edge")
    closed = ndimage.minimum_filter(ndimage.maximum_filter(closed, side), side)
    mask = mask | (closed[radius:-radius, radius:-radius] > 0)
    small = min(SMALL_UM2 / (pixel_size.y * pixel_size.x), SMALL_SHARE * mask.size)
    kept = mask & ~_small_parts(mask, small, keep_border=False)
    return kept | _small_parts(~kept, small, keep_border=True)


def _small_parts(
    mask: NDArray[np.bool_], area: float, *, keep_border: bool
) -> NDArray[np.bool_]:
    """Mark connected parts below an area in pixels, but holes open to the border."""
    labels, count = ndimage.label(mask)
    sizes = np.zeros(count + 1, np.int64)
    for top in range(0, len(labels), STRIP_PX):
        # In strips: to count, numpy makes a copy of twice the size.
        strip = labels[top : top + STRIP_PX].ravel()
        sizes += np.bincount(strip, minlength=count + 1)
    is_small = sizes < area
    is_small[0] = False
    if keep_border:
        border = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
        is_small[np.concatenate(border)] = False
    marked: NDArray[np.bool_] = is_small[labels]
    return marked
