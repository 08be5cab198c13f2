"""Measure ink, sharpness, thickness and grey in patches that are in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_mmsubtype.slides.area_resize import resize_area

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.core.quality_spec import QualitySpec

    Floats = NDArray[np.float32]

INKS = ("blue", "green", "black", "red")
MEASURES = (*(f"ink_{ink}" for ink in INKS), "sharpness", "thickness", "grey")
"""Columns of the measures of a patch."""

BLOCK_PX = 8
"""Side of the blocks whose mean color is judged; wide enough to average nuclei away."""

STACKED = 16
"""Patches that are measured at once: fewer calls, while they are still in the cache."""

GLASS_VALUE = 0.85
GLASS_SATURATION = 0.06
NUCLEAR_SHARE = 0.4
"""Share of the red density that is taken off the blue one to measure thickness.

Haematoxylin absorbs red light more than blue, eosin the other way round, so that dense
nuclei, dark as they are, count for little and two layers of tissue for twice as much as
one. Of 0, 0.3, 0.4, 0.5 and 0.7 this told planted folds from tumor best.
"""
TISSUE_SHARE = 0.05
"""Share of a patch that must be other than glass for its sharpness to mean anything."""


class PatchMeter:
    """Measures patches of one size; each on its own, whatever else is in the batch.

    Parameters
    ----------
    spec : QualitySpec
        The thresholds.
    size_px : int
        Side of the patches.
    mpp : float
        Their microns per pixel.
    """

    def __init__(self, spec: QualitySpec, size_px: int, mpp: float) -> None:
        self.spec = spec
        blocks = round(size_px * mpp / (spec.mpp * BLOCK_PX))
        # Never enlarged: a patch cannot become sharper than it is.
        blocks = max(min(blocks, size_px // BLOCK_PX), 1)
        self._blocks = blocks
        self._side = min(blocks * BLOCK_PX, size_px)

    def __call__(
        self, patches: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
    ) -> Floats:
        """Measure patches.

        Parameters
        ----------
        patches : sequence of ndarray of uint8, shape (size_px, size_px, 3)
            Any number, or one array of shape (n, size_px, size_px, 3).

        Returns
        -------
        ndarray of float32, shape (n, measures)
            In the order of `MEASURES`. Sharpness is NaN where there is too little
            tissue.
        """
        count, side = len(patches), self._side
        colors = np.empty((count, self._blocks**2, 3), np.uint8)
        sharpness = np.empty(count, np.float32)
        # Stacked into one tall image, where no block reaches from patch to patch.
        together = STACKED if side % BLOCK_PX == 0 else 1
        for first in range(0, count, together):
            part = slice(first, min(first + together, count))
            tall = _stack(np.asarray(patches[part]), side)
            blocks = np.asarray(tall.reduce(BLOCK_PX))
            colors[part] = blocks.reshape(-1, self._blocks**2, 3)
            grey = np.asarray(tall.convert("L"))
            sharpness[part] = _sharpness(grey.reshape(-1, side, side))
        return _judge_blocks(colors, sharpness, self.spec)


def _stack(patches: NDArray[np.uint8], side: int) -> Image.Image:
    """Average square patches down to a side in pixels, one below the other."""
    size = patches.shape[1]
    factor, rest = divmod(size, side)
    if rest:
        patches = np.concatenate([resize_area(patch, side, side) for patch in patches])
        return Image.fromarray(patches)
    tall = Image.fromarray(patches.reshape(-1, size, 3))
    return tall if factor == 1 else tall.reduce(factor)


def _judge_blocks(
    colors: NDArray[np.uint8], sharpness: Floats, spec: QualitySpec
) -> Floats:
    """Measure the mean colors of blocks, shape (n, blocks, 3)."""
    # Color by color: what is done to one of them reads no other.
    color = np.ascontiguousarray(np.moveaxis(colors, -1, 0), np.float32)
    color /= np.float32(255)
    hue, saturation, value = _hsv(color)
    inks = _find_ink(color, hue, saturation, value, spec)
    glass = (value > GLASS_VALUE) & (saturation < GLASS_SATURATION)
    is_ink = np.logical_or.reduce(inks)
    grey = (saturation <= spec.bubble_saturation) & (value < spec.bubble_value)
    grey &= ~is_ink
    # A fold is thicker tissue: darker and still colorful, unlike dirt.
    density = -np.log(np.maximum(color, np.float32(1 / 255)))
    thickness = density[2] - np.float32(NUCLEAR_SHARE) * density[0]
    tissue = (saturation > spec.bubble_saturation) & ~(glass | is_ink)
    thickness = np.where(tissue, thickness, np.float32(0))
    measured = [ink.mean(axis=1, dtype=np.float32) for ink in inks]
    measured += [
        sharpness,
        np.quantile(thickness, 1 - spec.fold_share, axis=1),
        grey.mean(axis=1, dtype=np.float32),
    ]
    return np.stack(measured, axis=1).astype(np.float32)


def _hsv(color: Floats) -> tuple[Floats, Floats, Floats]:
    """Give hue in degrees, saturation and value of colors, 0 to 1, shape (3, ...)."""
    red, green, blue = color
    value = np.maximum(np.maximum(red, green), blue)
    spread = value - np.minimum(np.minimum(red, green), blue)
    safe = np.maximum(spread, np.float32(1e-6))
    hue = np.where(
        value == red,
        (green - blue) / safe,
        np.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    saturation = spread / np.maximum(value, np.float32(1e-6))
    return (hue * 60) % 360, saturation, value


def _find_ink(
    color: Floats,
    hue: Floats,
    saturation: Floats,
    value: Floats,
    spec: QualitySpec,
) -> list[NDArray[np.bool_]]:
    """Find blocks under blue, green, black and red ink."""
    red, green, blue = color
    vivid = saturation > spec.ink_saturation
    # Haematoxylin is a violet whose red stays above its green; blue ink is not.
    is_blue = vivid & (hue >= 185) & (hue <= 255) & (red < green * 1.05)
    is_green = (saturation > spec.ink_saturation * 0.6) & (hue >= 70) & (hue < 185)
    is_black = (value < spec.black_value) & (saturation < 0.4)
    # Eosin and blood lean to blue (hue below 350); red ink absorbs both alike.
    is_red = (saturation > spec.ink_saturation + 0.25) & (value > 0.5)
    is_red &= ((hue >= 350) | (hue <= 20)) & (np.maximum(green, blue) < red * 0.42)
    return [is_blue, is_green & (value < 0.95), is_black, is_red]


def _sharpness(grey: NDArray[np.uint8]) -> Floats:
    """Give the variance of the Laplacian on what is no glass, of n squares.

    The sums are whole numbers, exact in float64, so that their order cannot matter.
    """
    image = grey.astype(np.int16)
    inner = image[:, 1:-1, 1:-1]
    laplacian = image[:, :-2, 1:-1] + image[:, 2:, 1:-1]
    laplacian += image[:, 1:-1, :-2]
    laplacian += image[:, 1:-1, 2:]
    laplacian -= 4 * inner
    used = inner < int(255 * GLASS_VALUE)
    laplacian *= used
    values = laplacian.reshape(len(grey), -1).astype(np.float64)
    squares = np.einsum("ij,ij->i", values, values)
    total, count = values.sum(axis=1), np.count_nonzero(used, axis=(1, 2))
    enough = (count > 0) & (count >= TISSUE_SHARE * values.shape[1])
    safe = np.maximum(count, 1)
    variance = (squares - total * total / safe) / safe
    return np.where(enough, variance, np.nan).astype(np.float32)
