"""Which patches show ink, blur, folds or bubbles rather than tissue to judge."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.patch_grid import LEVEL_TOLERANCE, PatchSpec
from napari_mmsubtype.errors import ConfigurationError, SlideReadError
from napari_mmsubtype.slides.patch_source import PatchSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_mmsubtype.core.patch_grid import PatchGrid
    from napari_mmsubtype.slides.slide import Slide

    Floats = NDArray[np.float32]

logger = logging.getLogger(__name__)

INKS = ("blue", "green", "black", "red")
BLOCK_PX = 8
"""Side of the blocks whose mean color is judged; wide enough to average nuclei away."""

DENSE_PERCENTILE = 75
"""Folds are held to the slide's dense tissue: tumor is darker than stroma unfolded."""

BATCH = 256
GLASS_VALUE = 0.85
GLASS_SATURATION = 0.06
FOLD_SATURATION = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class QualitySpec:
    """Thresholds of the quality flags, in plain JSON types.

    Attributes
    ----------
    mpp : float
        Microns per pixel at which patches are judged.
    pen_share : float
        Share of a patch that must be ink to count as pen.
    ink_saturation : float
        HSV saturation, 0 to 1, from which a colorful block may be ink.
    black_value : float
        HSV value, 0 to 1, below which a block without color is black ink.
    blur_ratio : float
        Variance of the Laplacian relative to the slide's median below which a patch
        counts as blurred.
    fold_ratio : float
        Optical density relative to the slide's dense tissue (75th percentile) from
        which a block is a fold.
    fold_share : float
        Share of a patch that must be fold.
    bubble_value : float
        HSV value, 0 to 1, below which a grey block may be the rim of a bubble or the
        edge of a cover slip.
    bubble_saturation : float
        HSV saturation up to which a block counts as grey.
    bubble_share : float
        Share of a patch that must be such grey.
    """

    mpp: float = 1.0
    pen_share: float = 0.1
    ink_saturation: float = 0.35
    black_value: float = 0.3
    blur_ratio: float = 0.1
    fold_ratio: float = 1.7
    fold_share: float = 0.2
    bubble_value: float = 0.75
    bubble_saturation: float = 0.1
    bubble_share: float = 0.1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            good = isinstance(value, int | float) and 0 < value < float("inf")
            if not good or (value > 1 and name not in {"mpp", "fold_ratio"}):
                msg = (
                    f"quality threshold {name} = {value!r} cannot be used; give a "
                    "positive number, at most 1 unless it is mpp or fold_ratio"
                )
                raise ConfigurationError(msg)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> QualitySpec:
        """Restore thresholds that were written to JSON.

        Parameters
        ----------
        entry : mapping of str to float
            What `to_dict` gave; names left out take their defaults.

        Returns
        -------
        QualitySpec
            The thresholds.

        Raises
        ------
        ConfigurationError
            If a name is unknown or a value unusable.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(entry) - set(known))
        if unknown:
            msg = (
                f"unknown quality threshold {unknown[0]!r}; known are: "
                f"{', '.join(known)}"
            )
            raise ConfigurationError(msg)
        return cls(**entry)

    def to_dict(self) -> dict[str, float]:
        """Give the thresholds as plain JSON types.

        Returns
        -------
        dict of str to float
            Every threshold by name.
        """
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class PatchQuality:
    """Flags of every patch and what they rest on.

    Attributes
    ----------
    spec : QualitySpec
        The thresholds.
    pen, blurred, folded, bubble : ndarray of bool, shape (n,)
        The flags, in the order of the grid.
    unreadable : ndarray of bool, shape (n,)
        Patches that could not be decoded; none of the other flags is set there.
    ink : ndarray of float32, shape (n, 4)
        Share of each patch under ink, in the order of `INKS`.
    sharpness : ndarray of float32, shape (n,)
        Variance of the Laplacian on tissue; NaN where there is too little.
    density : ndarray of float32, shape (n,)
        Mean optical density of the tissue; NaN where there is none.
    fold_density : ndarray of float32, shape (n,)
        Optical density that ``fold_share`` of the patch reaches in color.
    grey : ndarray of float32, shape (n,)
        Share of each patch that is grey as the rim of a bubble.
    """

    spec: QualitySpec
    pen: NDArray[np.bool_]
    blurred: NDArray[np.bool_]
    folded: NDArray[np.bool_]
    bubble: NDArray[np.bool_]
    unreadable: NDArray[np.bool_]
    ink: Floats
    sharpness: Floats
    density: Floats
    fold_density: Floats
    grey: Floats

    @property
    def is_clean(self) -> NDArray[np.bool_]:
        """Whether a patch can be read and has no flag, shape (n,)."""
        flagged = self.pen | self.blurred | self.folded | self.bubble
        clean: NDArray[np.bool_] = ~(flagged | self.unreadable)
        return clean


def assess_quality(
    slide: Slide, grid: PatchGrid, spec: QualitySpec | None = None
) -> PatchQuality:
    """Flag pen marks, blur, folds and bubbles, patch by patch.

    Parameters
    ----------
    slide : Slide
        An open slide.
    grid : PatchGrid
        The patches to judge.
    spec : QualitySpec, optional
        Thresholds; the defaults where left out.

    Returns
    -------
    PatchQuality
        One entry per patch of the grid, equal for equal input.

    Raises
    ------
    SlideReadError
        If the slide is closed.

    Notes
    -----
    Ink, folds and bubbles are judged on the mean colors of blocks of 8 um, in which
    nuclei and fibers no longer stand out. Blur and folds are relative to the slide
    itself, so that one which is soft or dark throughout is not thrown away as a whole:
    less than half of it can be flagged as blurred. A fold of pale stroma may be no
    darker than tumor lying flat and is then not found; pigment and compact keratin can
    be as dark as a fold.

    References
    ----------
    .. [1] Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a
       comparative study", ICPR 2000 (variance of the Laplacian).
    """
    spec = spec or QualitySpec()
    source = PatchSource(slide, _at_resolution(slide, grid, spec.mpp))
    count = len(grid)
    measures = np.full((count, len(INKS) + 4), np.nan, np.float32)

    def _read(index: int) -> NDArray[np.uint8] | None:
        try:
            return source.read(index)
        except SlideReadError as err:
            if slide.is_closed:
                raise
            logger.warning("quality: %s", err)
            return None

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for start in range(0, count, BATCH):
            patches = list(pool.map(_read, range(start, min(start + BATCH, count))))
            at = [start + i for i, patch in enumerate(patches) if patch is not None]
            if at:
                whole = np.stack([patch for patch in patches if patch is not None])
                measures[at] = _measure(whole, spec)
    return _judge(measures, spec)


def _at_resolution(slide: Slide, grid: PatchGrid, mpp: float) -> PatchGrid:
    """Lay the same patches at another resolution, in whole blocks."""
    blocks = max(round(grid.spec.size_px * grid.spec.mpp / (mpp * BLOCK_PX)), 1)
    size = blocks * BLOCK_PX
    factor = min(grid.extent) / size * LEVEL_TOLERANCE
    fine = [i for i, lv in enumerate(slide.levels) if lv.downsample <= factor]
    level = max(fine, default=0, key=lambda i: slide.levels[i].downsample)
    side_um = grid.spec.size_px * grid.spec.mpp
    return replace(
        grid,
        spec=PatchSpec(size, side_um / size, size, grid.spec.min_tissue),
        level=level,
        downsample=slide.levels[level].downsample,
    )


def _measure(patches: NDArray[np.uint8], spec: QualitySpec) -> Floats:
    """Measure patches of shape (n, y, x, 3); gives shape (n, measures)."""
    count, side = patches.shape[:2]
    blocks = side // BLOCK_PX
    tiled = patches.reshape(count, blocks, BLOCK_PX, blocks, BLOCK_PX, 3)
    color = tiled.mean(axis=(2, 4), dtype=np.float32) / np.float32(255)
    color = color.reshape(count, blocks * blocks, 3)
    hue, saturation, value = _hsv(color)
    inks = _find_ink(color, hue, saturation, value, spec)
    glass = (value > GLASS_VALUE) & (saturation < GLASS_SATURATION)
    density = -np.log(np.maximum(color, np.float32(1 / 255))).mean(axis=2)
    is_ink = np.logical_or.reduce(inks)
    tissue = ~(glass | is_ink)
    grey = (saturation <= spec.bubble_saturation) & (value < spec.bubble_value)
    grey &= ~is_ink
    # A fold is thicker tissue: darker and still colorful, unlike dirt.
    folding = np.where(tissue & (saturation > FOLD_SATURATION), density, np.float32(0))
    measured = [ink.mean(axis=1, dtype=np.float32) for ink in inks]
    measured += [
        _sharpness(patches),
        _masked_mean(density, tissue),
        np.quantile(folding, 1 - spec.fold_share, axis=1),
        grey.mean(axis=1, dtype=np.float32),
    ]
    return np.stack(measured, axis=1).astype(np.float32)


def _hsv(color: Floats) -> tuple[Floats, Floats, Floats]:
    """Give hue in degrees, saturation and value of colors from 0 to 1."""
    red, green, blue = (color[..., i] for i in range(3))
    value = color.max(axis=-1)
    spread = value - color.min(axis=-1)
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
    red, green, blue = (color[..., i] for i in range(3))
    vivid = saturation > spec.ink_saturation
    # Haematoxylin is a violet whose red stays above its green; blue ink is not.
    is_blue = vivid & (hue >= 185) & (hue <= 255) & (red < green * 1.05)
    is_green = (saturation > spec.ink_saturation * 0.6) & (hue >= 70) & (hue < 185)
    is_black = (value < spec.black_value) & (saturation < 0.4)
    # Eosin and blood lean to blue (hue below 350); red ink absorbs both alike.
    is_red = (saturation > spec.ink_saturation + 0.25) & (value > 0.5)
    is_red &= ((hue >= 350) | (hue <= 20)) & (np.maximum(green, blue) < red * 0.42)
    return [is_blue, is_green & (value < 0.95), is_black, is_red]


def _sharpness(patches: NDArray[np.uint8]) -> Floats:
    """Give the variance of the Laplacian on what is no glass."""
    image = patches.astype(np.float32)
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32)
    inner = grey[:, 1:-1, 1:-1]
    laplacian = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] - 4 * inner
    laplacian += grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    mask = (inner < 255 * GLASS_VALUE).reshape(len(patches), -1)
    flat = laplacian.reshape(len(patches), -1)
    variance = _masked_mean(flat**2, mask) - _masked_mean(flat, mask) ** 2
    enough = mask.mean(axis=1) >= 0.05
    return np.where(enough, variance, np.float32(np.nan))


def _masked_mean(values: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Average each row where the mask is set; NaN where it is nowhere."""
    count = mask.sum(axis=1, dtype=np.float32)
    total = np.where(mask, values, np.float32(0)).sum(axis=1)
    mean: Floats = np.where(
        count > 0, total / np.maximum(count, np.float32(1)), np.float32(np.nan)
    )
    return mean


def _judge(measures: Floats, spec: QualitySpec) -> PatchQuality:
    """Turn the measures of a whole slide into flags."""
    ink, (sharpness, density, fold, grey) = measures[:, :4], measures[:, 4:].T
    unreadable = np.isnan(grey)
    pen = ink.sum(axis=1) >= spec.pen_share
    # Ink is dark and smooth: it must not shift what the slide's tissue is held to.
    typical = ~(pen | unreadable)
    usual_sharpness = _percentile(sharpness[typical], 50)
    dense = _percentile(density[typical], DENSE_PERCENTILE)
    return PatchQuality(
        spec=spec,
        pen=pen,
        blurred=sharpness < spec.blur_ratio * usual_sharpness,
        folded=(fold >= spec.fold_ratio * dense) & ~pen,
        bubble=grey >= spec.bubble_share,
        unreadable=unreadable,
        ink=ink,
        sharpness=sharpness,
        density=density,
        fold_density=fold,
        grey=grey,
    )


def _percentile(values: Floats, percent: float) -> float:
    """Give a percentile of what was measured; NaN, which flags nothing, without any."""
    values = values[np.isfinite(values)]
    return float(np.percentile(values, percent)) if values.size else float("nan")
