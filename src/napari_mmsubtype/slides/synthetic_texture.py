"""How much haematoxylin and eosin each phenotype of a synthetic slide takes up."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
)
from napari_mmsubtype.slides.synthetic_map import TissueMap, enlarge
from napari_mmsubtype.slides.synthetic_noise import (
    TABLE_PX,
    Doubles,
    Floats,
    Ints,
    derive_key,
    grain,
    hash_cells,
    noise_table,
    uniform,
)
from napari_mmsubtype.slides.synthetic_nuclei import (
    GLAND_REACH_PX,
    GRID_STYLES,
    REACH_PX,
    SPINDLE,
    Blobs,
    gland_nuclei,
    glands,
    grid_nuclei,
    nucleoli,
    stamp,
)

_FAT_PITCH_PX = 92.0
_SLOPE_PX = 4  # over which the direction of fibres is measured
_LUMEN = 0.56  # nearness above which a tubule is hollow
_FAR = np.float32(-0.3)  # nearness where no tubule is near


@dataclass(frozen=True, slots=True)
class Uptake:
    """Density of the two dyes.

    Attributes
    ----------
    haematoxylin, eosin : ndarray of float32, shape (height, width)
        Unitless, not negative; 1 is a well-stained nucleus or fibre.
    """

    haematoxylin: Floats
    eosin: Floats


def margin_px(downsample: int) -> int:
    """Say how much more of the map than the region `paint` needs.

    Parameters
    ----------
    downsample : int
        Level-0 px per px of the level.

    Returns
    -------
    int
        In px of the level, on each side.
    """
    return -(-(REACH_PX + _SLOPE_PX) // downsample) + 1


def paint(tissue: TissueMap, box: Box, seed: int) -> Uptake:
    """Stain a region.

    Parameters
    ----------
    tissue : TissueMap
        Covers the region and `margin_px` around it.
    box : Box
        The region, in px of the level of the map.
    seed : int
        Of the slide.

    Returns
    -------
    Uptake
        Of the shape of the box.
    """
    step = tissue.downsample
    present = tissue.weights.keys()
    nearness = None
    tubules = None
    if LUMINAL in present:
        tubules = glands(seed, _around(tissue.box, step, GLAND_REACH_PX))
        nearness = _tubule_nearness(tissue.box, step, tubules)
    nuclei = _nuclei(tissue, box, seed, tubules, nearness)
    inner = tissue.cropped(box)
    if nearness is not None:
        top, left = box.y - tissue.box.y, box.x - tissue.box.x
        nearness = nearness[top : top + box.height, left : left + box.width]
    rows = _sampled(box.y, box.height, step)
    cols = _sampled(box.x, box.width, step)
    return _materials(inner, nuclei, nearness, rows, cols, seed)


def _sampled(start: int, count: int, step: int) -> Ints:
    """List the level-0 px at the middle of each px of a level."""
    return np.arange(start, start + count, dtype=np.int64) * step + step // 2


def _around(box: Box, step: int, more_px: int) -> tuple[float, float, float, float]:
    """Widen a box of a level and give its edges in level-0 px."""
    return (
        box.y * step - more_px,
        box.x * step - more_px,
        (box.y + box.height) * step + more_px,
        (box.x + box.width) * step + more_px,
    )


def _tubule_nearness(box: Box, step: int, tubules: Blobs) -> Floats:
    """Draw how deep each pixel of a box lies in a tubule, at half resolution."""
    factor = 2 if step == 1 else 1
    top, left = box.y // factor, box.x // factor
    down = -(-(box.y + box.height) // factor) + 1
    right = -(-(box.x + box.width) // factor) + 1
    canvas = np.full((down - top, right - left), _FAR, np.float32)
    region = Box(top, left, *canvas.shape)
    stamp(canvas, region, factor * step, tubules, nearness=True)
    fine = enlarge(canvas, factor)
    y, x = box.y - top * factor, box.x - left * factor
    return fine[y : y + box.height, x : x + box.width]


def _nuclei(
    tissue: TissueMap,
    box: Box,
    seed: int,
    tubules: Blobs | None,
    nearness: Floats | None,
) -> Floats:
    """Draw every nucleus that touches a box."""
    step = tissue.downsample
    canvas = np.zeros((box.height, box.width), np.float32)
    window = _around(box, step, REACH_PX)
    present = set(tissue.weights)
    for style in GRID_STYLES:
        if present.isdisjoint(style.hosts):
            continue
        blobs = grid_nuclei(style, seed, window)
        row, col = _pixel(blobs, tissue)
        keep = np.isin(tissue.codes[row, col], style.hosts)
        if style is SPINDLE and nearness is not None:
            # Between the tubules, never inside them.
            keep &= (nearness[row, col] < -0.08) | (tissue.codes[row, col] == STROMA)
        if style is SPINDLE:
            turn = 0.3 * blobs.turn + _fibre_turn(tissue, row, col, seed)
            blobs = replace(blobs, turn=turn)
        blobs = blobs.chosen(keep)
        stamp(canvas, box, step, blobs)
        if style.nucleoli:
            stamp(canvas, box, step, nucleoli(style, blobs))
    if tubules is not None:
        blobs = gland_nuclei(seed, tubules)
        top, left, bottom, right = window
        near = (blobs.y >= top) & (blobs.y < bottom)
        near &= (blobs.x >= left) & (blobs.x < right)
        blobs = blobs.chosen(near)
        keep = tissue.codes[_pixel(blobs, tissue)] == LUMINAL
        stamp(canvas, box, step, blobs.chosen(keep))
    return canvas


def _pixel(blobs: Blobs, tissue: TissueMap) -> tuple[Ints, Ints]:
    """Find the pixel of the map in which each centre lies."""
    step = tissue.downsample
    row = np.floor((blobs.y + 0.5) / step).astype(np.int64) - tissue.box.y
    col = np.floor((blobs.x + 0.5) / step).astype(np.int64) - tissue.box.x
    height, width = tissue.codes.shape
    return np.clip(row, 0, height - 1), np.clip(col, 0, width - 1)


def _base_turn(seed: int) -> float:
    """Give the direction of a slide's fibres before they bend, in radians."""
    return math.pi * (derive_key(seed, 31) / 2**64)


def _fibre_turn(tissue: TissueMap, row: Ints, col: Ints, seed: int) -> Doubles:
    """Measure the direction of the fibres at pixels of a map, in radians."""
    base, step = _base_turn(seed), tissue.downsample
    reach = max(_SLOPE_PX // step, 1)
    last_row, last_col = (side - 1 for side in tissue.warp.shape)
    up, down = np.maximum(row - reach, 0), np.minimum(row + reach, last_row)
    left, right = np.maximum(col - reach, 0), np.minimum(col + reach, last_col)
    span = 2.0 * reach * step
    slope_y = (tissue.warp[down, col] - tissue.warp[up, col]).astype(np.float64) / span
    slope_x = (tissue.warp[row, right] - tissue.warp[row, left]).astype(
        np.float64
    ) / span
    turn = np.arctan2(math.sin(base) - slope_x, math.cos(base) + slope_y)
    return np.asarray(turn, np.float64)


def _fibres(rows: Ints, cols: Ints, warp: Floats, seed: int) -> tuple[Floats, Floats]:
    """Look up two grades of noise drawn out along bending lines."""
    turn = _base_turn(seed)
    y, x = rows.astype(np.float32)[:, None], cols.astype(np.float32)[None, :]
    across = y * np.float32(math.cos(turn)) - x * np.float32(math.sin(turn)) + warp
    along = y * np.float32(math.sin(turn)) + x * np.float32(math.cos(turn))
    wrap = TABLE_PX - 1
    v = np.floor(across).astype(np.int32) & wrap
    along *= np.float32(0.11)
    start = np.floor(along)
    part, u = along - start, start.astype(np.int32) & wrap
    grades = []
    for table in (noise_table(8, 1), noise_table(4, 2)):
        # Drawn out tenfold, a lookup without interpolation would show steps.
        here = table[v, u]
        here += part * (table[v, (u + 1) & wrap] - here)
        grades.append(here)
    return grades[0], grades[1]


def _vacuoles(rows: Ints, cols: Ints, step: int, seed: int) -> Floats:
    """Measure how far each pixel is from the wall between fat cells, in level-0 px."""
    if step > 1:
        return _cell_gaps(rows, cols, seed)
    # Half the resolution is enough for walls, and four times as fast.
    top, left = int(rows[0]) // 2, int(cols[0]) // 2
    y = np.arange(top, int(rows[-1]) // 2 + 2, dtype=np.int64) * 2
    x = np.arange(left, int(cols[-1]) // 2 + 2, dtype=np.int64) * 2
    fine = enlarge(_cell_gaps(y, x, seed), 2)
    first_row, first_col = int(rows[0]) - top * 2, int(cols[0]) - left * 2
    return fine[first_row : first_row + rows.size, first_col : first_col + cols.size]


def _cell_gaps(y: Ints, x: Ints, seed: int) -> Floats:
    """Subtract the distances to the nearest two points of a jittered grid."""
    cell_y = np.floor(y / _FAT_PITCH_PX).astype(np.int64)
    cell_x = np.floor(x / _FAT_PITCH_PX).astype(np.int64)
    index_y = np.arange(cell_y[0] - 1, cell_y[-1] + 2)[:, None]
    index_x = np.arange(cell_x[0] - 1, cell_x[-1] + 2)[None, :]
    bits = hash_cells(derive_key(seed, 41), index_y, index_x)
    point_y = (index_y + 0.5 + 0.75 * (uniform(bits, 0) - 0.5)) * _FAT_PITCH_PX
    point_x = (index_x + 0.5 + 0.75 * (uniform(bits, 1) - 0.5)) * _FAT_PITCH_PX
    nearest = np.full((y.size, x.size), 1e9, np.float32)
    second = nearest.copy()
    for down in (0, 1, 2):
        for along in (0, 1, 2):
            at = np.ix_(cell_y - cell_y[0] + down, cell_x - cell_x[0] + along)
            dy = (y[:, None] - point_y[at]).astype(np.float32)
            dx = (x[None, :] - point_x[at]).astype(np.float32)
            distance = dy * dy + dx * dx
            second = np.minimum(second, np.maximum(nearest, distance))
            nearest = np.minimum(nearest, distance)
    return np.asarray(np.sqrt(second) - np.sqrt(nearest), np.float32)


def _materials(
    tissue: TissueMap,
    nuclei: Floats,
    nearness: Floats | None,
    rows: Ints,
    cols: Ints,
    seed: int,
) -> Uptake:
    """Mix what every phenotype takes up by its share of each pixel."""
    weights = tissue.weights
    f = np.float32
    eosin = np.zeros(nuclei.shape, np.float32)
    haem = np.zeros(nuclei.shape, np.float32)
    if weights.keys() == {BACKGROUND}:
        return Uptake(haem, eosin)
    for code, (pink, blue) in _pure(tissue, nearness, rows, cols, seed).items():
        eosin += weights[code] * pink
        haem += weights[code] * blue
    if nuclei.any():
        if tissue.downsample > 1:
            # Averaging light over a pixel is brighter than averaging density.
            nuclei = nuclei * f(0.91)
        fine = grain(2, rows, cols)
        chromatin = np.clip(
            1 + f(0.12) * fine + f(0.08) * grain(4, rows, cols, 3), 0, 2
        )
        cover = np.minimum(nuclei, 1)
        haem *= 1 - f(0.7) * cover
        haem += nuclei * chromatin
        eosin *= 1 - f(0.45) * cover
    return Uptake(np.maximum(haem, 0), np.maximum(eosin, 0))


def _pure(
    tissue: TissueMap,
    nearness: Floats | None,
    rows: Ints,
    cols: Ints,
    seed: int,
) -> dict[int, tuple[Floats, Floats]]:
    """Give eosin and haematoxylin of each phenotype that is present, unmixed."""
    f, weights = np.float32, tissue.weights
    fine, medium = grain(2, rows, cols), grain(8, rows, cols)
    pure: dict[int, tuple[Floats, Floats]] = {}
    if not weights.keys().isdisjoint((STROMA, LUMINAL, LYMPHOCYTES)):
        collagen = _collagen(rows, cols, tissue.warp, fine, seed)
        greyish = f(0.045) + f(0.015) * medium
        pure[STROMA] = collagen, greyish
        pure[LYMPHOCYTES] = f(0.65) * collagen, greyish + f(0.10)
        if nearness is not None:
            broad = np.maximum(grain(64, rows, cols), f(-0.8))
            wavy = nearness + f(0.035) * medium
            inside = np.clip(wavy * f(12) + f(0.5), 0, 1)
            lumen = wavy - f(_LUMEN) - f(0.12) * broad
            solid = 1 - np.clip(lumen * f(14) + f(0.5), 0, 1)
            pink = collagen + inside * (f(0.40) + f(0.05) * fine - collagen)
            blue = greyish + inside * (f(0.13) + f(0.03) * medium - greyish)
            pure[LUMINAL] = pink * (f(0.05) + f(0.95) * solid), blue * solid
    if FAT in weights:
        gap = _vacuoles(rows, cols, tissue.downsample, seed)
        wall = np.exp(-np.square(gap * f(0.30)))
        pure[FAT] = f(0.015) + f(0.42) * wall, f(0.05) * wall
    if BASAL in weights:
        pink = f(0.33) + f(0.06) * medium + f(0.04) * fine
        blue = f(0.24) + f(0.05) * grain(16, rows, cols) + f(0.03) * fine
        pure[BASAL] = pink, blue
    if NECROSIS in weights:
        debris = np.maximum(grain(4, rows, cols), 0)
        pink = f(0.60) + f(0.12) * medium + f(0.10) * fine
        pure[NECROSIS] = np.maximum(pink, 0), f(0.06) + f(0.11) * debris
    return {code: dyes for code, dyes in pure.items() if code in weights}


def _collagen(rows: Ints, cols: Ints, warp: Floats, fine: Floats, seed: int) -> Floats:
    """Give the eosin of wavy fibres."""
    f = np.float32
    thick, thin = _fibres(rows, cols, warp, seed)
    density = f(0.44) + f(0.13) * thick + f(0.07) * thin + f(0.03) * fine
    # Fibres part where they are thinnest, and the glass shines through.
    parted = np.clip((thick + f(0.5) * thin + f(1.35)) * f(1.8), f(0.12), 1)
    return np.asarray(np.maximum(density * parted, f(0.02)), np.float32)
