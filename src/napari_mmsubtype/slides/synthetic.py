"""Synthetic H&E-like slides, rendered region by region from a few numbers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides.synthetic_cells import cell_region
from napari_mmsubtype.slides.synthetic_fields import (
    BACKGROUND,
    PHENOTYPES,
    TissueFields,
)
from napari_mmsubtype.slides.synthetic_map import TissueMap, map_region
from napari_mmsubtype.slides.synthetic_noise import (
    TABLE_PX,
    Doubles,
    Floats,
    Ints,
    derive_key,
    grain,
    noise_table,
)
from napari_mmsubtype.slides.synthetic_texture import Uptake, margin_px, paint

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "MPP",
    "PHENOTYPES",
    "SCHEME",
    "SyntheticSlide",
    "is_synthetic",
    "parse_address",
    "phenotype_mask",
    "render_region",
]

SCHEME = "synthetic:"
MPP = 0.5
"""Microns per level-0 pixel of every synthetic slide."""

_SIZES = (64, 1_000_000)
_GRAMMAR = "'synthetic:seed=<integer>,size=<pixels or HxW>,basal=<0 to 1>'"
_LEVEL_STEP = 4
_OVERVIEW_PX = 512  # levels are added until one is this small
_DETAILED = 4  # nuclei are drawn up to this downsample

# Optical density of red, green and blue: haematoxylin from Ruifrok & Johnston 2001,
# table 1; their eosin (0.072, 0.990, 0.105) is a magenta that scanners do not show,
# so blue is absorbed as well.
_HAEMATOXYLIN = (0.650, 0.704, 0.286)
_EOSIN = (0.105, 0.940, 0.330)
_HAEMATOXYLIN_STRENGTH = 1.25
_EOSIN_STRENGTH = 0.84
_GLASS = (244.0, 243.0, 246.0)
_SPECKLE = 11.0  # grey levels, where nuclei are too small to draw
_CALIBRATION_PX = 224


@dataclass(frozen=True, slots=True)
class SyntheticSlide:
    """The few numbers from which a whole slide follows.

    Attributes
    ----------
    seed : int
        Everything random follows from it.
    shape : tuple of int
        Height and width in level-0 px.
    basal : float
        Share of the tumour area that is basal-like, 0 to 1.
    """

    seed: int = 0
    shape: tuple[int, int] = (4096, 4096)
    basal: float = 0.5

    def __post_init__(self) -> None:
        low, high = _SIZES
        if self.seed < 0:
            msg = f"seed of a synthetic slide must be 0 or more, found {self.seed}"
            raise ConfigurationError(msg)
        if not all(low <= side <= high for side in self.shape):
            msg = (
                f"a synthetic slide is {low} to {high} px high and wide, found "
                f"{self.shape[0]} x {self.shape[1]}; give size=4096 or size=2048x4096"
            )
            raise ConfigurationError(msg)
        if not 0 <= self.basal <= 1:
            msg = f"basal of a synthetic slide must be 0 to 1, found {self.basal}"
            raise ConfigurationError(msg)

    @property
    def address(self) -> str:
        """The address that `parse_address` turns back into this slide."""
        height, width = self.shape
        size = f"{height}" if height == width else f"{height}x{width}"
        return f"{SCHEME}seed={self.seed},size={size},basal={self.basal!r}"

    @property
    def downsamples(self) -> tuple[int, ...]:
        """Factor of every level to level 0."""
        steps = [1]
        while max(self.shape) / steps[-1] > _OVERVIEW_PX:
            steps.append(steps[-1] * _LEVEL_STEP)
        return tuple(steps)

    @property
    def level_shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of every level, in px of the level."""
        height, width = self.shape
        return tuple(
            (-(-height // step), -(-width // step)) for step in self.downsamples
        )

    @property
    def fields(self) -> TissueFields:
        """Where the slide has which tissue."""
        return TissueFields(self.seed, self.shape, self.basal)


def is_synthetic(path: object) -> bool:
    """Say whether a path is the address of a synthetic slide.

    Parameters
    ----------
    path : object
        Anything a user may pass as a slide.

    Returns
    -------
    bool
        True for text that starts with ``synthetic:``.
    """
    return isinstance(path, str) and path.startswith(SCHEME)


def parse_address(address: str) -> SyntheticSlide:
    """Read the address of a synthetic slide.

    Parameters
    ----------
    address : str
        ``synthetic:seed=3,size=4096,basal=0.35``; every part may be left out, and
        ``size`` may be ``<height>x<width>``.

    Returns
    -------
    SyntheticSlide
        With seed 0, 4096 x 4096 px and half of the tumour basal-like by default.

    Raises
    ------
    ConfigurationError
        If the address is anything else; the message shows the grammar.
    """
    if not is_synthetic(address):
        msg = f"{address!r} is not the address of a synthetic slide: write {_GRAMMAR}"
        raise ConfigurationError(msg)
    readers: dict[str, Callable[[str], object]] = {
        "seed": _whole_number,
        "size": _size,
        "basal": _share,
    }
    found: dict[str, object] = {}
    for part in filter(None, (p.strip() for p in address[len(SCHEME) :].split(","))):
        name, equals, text = (piece.strip() for piece in part.partition("="))
        if not equals or name not in readers:
            msg = f"{address!r}: {part!r} is not understood; write {_GRAMMAR}"
            raise ConfigurationError(msg)
        if name in found:
            msg = f"{address!r}: {name!r} is given twice; write {_GRAMMAR}"
            raise ConfigurationError(msg)
        try:
            found[name] = readers[name](text)
        except ValueError as err:
            msg = f"{address!r}: {name} cannot be {text!r}; write {_GRAMMAR}"
            raise ConfigurationError(msg) from err
    if "size" in found:
        found["shape"] = found.pop("size")
    return SyntheticSlide(**found)  # type: ignore[arg-type]


def _whole_number(text: str) -> int:
    """Read a number without sign, exponent or underscore."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(text)
    return int(text)


def _size(text: str) -> tuple[int, int]:
    """Read ``4096`` or ``2048x4096``."""
    sides = [_whole_number(side) for side in text.lower().split("x")]
    if len(sides) not in (1, 2):
        raise ValueError(text)
    return sides[0], sides[-1]


def _share(text: str) -> float:
    """Read a finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def render_region(slide: SyntheticSlide, level: int, box: Box) -> NDArray[np.uint8]:
    """Render a part of a slide.

    Parameters
    ----------
    slide : SyntheticSlide
        What to render.
    level : int
        Index into ``slide.downsamples``.
    box : Box
        Region in px of the level; beyond the slide there is glass.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Equal to the same part of any larger region, to the last bit. Costs time in
        proportion to the pixels asked for, whatever the size of the slide.
    """
    if box.is_empty:
        return np.zeros((box.height, box.width, 3), np.uint8)
    step = slide.downsamples[level]
    if step > _DETAILED:
        return _render_overview(slide, step, box)
    margin = margin_px(step)
    outer = Box(
        box.y - margin, box.x - margin, box.height + 2 * margin, box.width + 2 * margin
    )
    tissue = map_region(slide.fields, outer, step)
    uptake = paint(tissue, box, slide.seed)
    rows = np.arange(box.y, box.y + box.height, dtype=np.int64)
    cols = np.arange(box.x, box.x + box.width, dtype=np.int64)
    noise = grain(1, rows, cols) * np.float32(1.1)
    image = np.empty((box.height, box.width, 3), np.uint8)
    for channel, (blue, pink, glass) in enumerate(zip(*_dyes(slide.seed), strict=True)):
        density = uptake.haematoxylin * np.float32(-blue)
        density -= uptake.eosin * np.float32(pink)
        np.exp(density, out=density)
        density *= np.float32(glass)
        density += noise
        image[:, :, channel] = np.clip(density + np.float32(0.5), 0, 255)
    return image


@lru_cache(maxsize=256)
def _dyes(seed: int) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Vary the densities of both dyes, and the light, a little between slides."""
    rng = np.random.default_rng(derive_key(seed, 51))
    vectors = []
    for dye, strength in (
        (_HAEMATOXYLIN, _HAEMATOXYLIN_STRENGTH),
        (_EOSIN, _EOSIN_STRENGTH),
    ):
        direction = np.asarray(dye) + rng.normal(0, 0.018, 3)
        direction = np.maximum(direction, 0.02)
        direction *= strength * rng.uniform(0.88, 1.14) / np.linalg.norm(direction)
        vectors.append(tuple(float(v) for v in direction))
    glass = tuple(float(v) for v in np.asarray(_GLASS) + rng.uniform(-2, 2, 3))
    return vectors[0], vectors[1], glass


def _render_overview(slide: SyntheticSlide, step: int, box: Box) -> NDArray[np.uint8]:
    """Render a level on which single cells cannot be told apart."""
    cells = cell_region(slide.fields, box, step)
    outer = cells.box
    speckle = _speckle(step).take(_wrapped(outer.y, outer.height), axis=0)
    speckle = speckle.take(_wrapped(outer.x, outer.width), axis=1)
    mixed = cells.split(speckle)[cells.mixed]
    if (cells.codes == BACKGROUND).any():
        speckle *= cells.spread((cells.codes != BACKGROUND).astype(np.float32))
    mixed *= 1 - cells.weights[BACKGROUND]
    cells.split(speckle)[cells.mixed] = mixed
    colors = _mean_colors(slide.seed)
    image = np.empty((outer.height, outer.width, 3), np.uint8)
    for channel in range(3):
        shades = np.zeros(max(colors) + 1, np.float32)
        shades[list(colors)] = [color[channel] for color in colors.values()]
        plane = speckle + np.float32(0.5)
        blend = mixed + np.float32(0.5)
        for code, weight in cells.weights.items():
            blend += weight * shades[code]
        plane += cells.spread(shades[cells.codes])
        cells.split(plane)[cells.mixed] = blend
        image[:, :, channel] = np.clip(plane, 0, 255, out=plane)
    top, left = box.y - outer.y, box.x - outer.x
    return image[top : top + box.height, left : left + box.width]


@lru_cache(maxsize=16)
def _speckle(step: int) -> Floats:
    """Make a periodic table of the speckle of a level."""
    table = noise_table(2) + np.float32(0.6) * noise_table(1)
    table *= np.float32(_SPECKLE * math.sqrt(_DETAILED / step))
    table.flags.writeable = False
    return table


def _wrapped(start: int, count: int) -> Ints:
    """List the places in a periodic table of the px of a level."""
    return np.arange(start, start + count, dtype=np.int64) & (TABLE_PX - 1)


@lru_cache(maxsize=256)
def _mean_colors(seed: int) -> dict[int, Doubles]:
    """Average every phenotype in the colours of one slide."""
    blue, pink, glass = (np.asarray(v) for v in _dyes(seed))
    colors = {}
    for code in PHENOTYPES.values():
        uptake = _typical_uptake(code)
        density = np.multiply.outer(uptake.haematoxylin, blue)
        density += np.multiply.outer(uptake.eosin, pink)
        colors[code] = glass * np.exp(-density).mean(axis=0)
    return colors


@lru_cache(maxsize=len(PHENOTYPES))
def _typical_uptake(code: int) -> Uptake:
    """Stain a piece of one phenotype and keep a sample of its pixels."""
    side, margin = _CALIBRATION_PX, margin_px(_DETAILED)
    outer = Box(-margin, -margin, side + 2 * margin, side + 2 * margin)
    shape = (outer.height, outer.width)
    ones: Floats = np.ones(shape, np.float32)
    codes = np.full(shape, code, np.uint8)
    piece = TissueMap(outer, _DETAILED, {code: ones}, codes, 0 * ones)
    uptake = paint(piece, Box(0, 0, side, side), seed=0)
    sample = np.s_[::7]
    return Uptake(uptake.haematoxylin.ravel()[sample], uptake.eosin.ravel()[sample])


def phenotype_mask(
    address: str | SyntheticSlide, level: int, box: Box | None = None
) -> NDArray[np.uint8]:
    """Give the ground truth of a level.

    Parameters
    ----------
    address : str or SyntheticSlide
        The slide.
    level : int
        Index into its levels.
    box : Box, optional
        Region in px of the level; the whole level by default.

    Returns
    -------
    ndarray of uint8, shape (y, x)
        Values of `PHENOTYPES`. Hollow tubules count as luminal-like tumour.
    """
    slide = parse_address(address) if isinstance(address, str) else address
    step = slide.downsamples[level]
    if box is None:
        box = Box(0, 0, *slide.level_shapes[level])
    return map_region(slide.fields, box, step).codes
