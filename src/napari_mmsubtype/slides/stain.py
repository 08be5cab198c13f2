"""Stains of a slide brought to those of a reference: Macenko, Reinhard, Vahadane."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides.color import ColorWarning
from napari_mmsubtype.slides.stain_vectors import (
    SPARSITY,
    WHITE,
    StainError,
    check_stains,
    density_of,
    find_extremes,
    learn_stains,
    sparse_amounts,
)
from napari_mmsubtype.slides.tissue_sample import sample_tissue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_mmsubtype.slides.slide import Slide
    from napari_mmsubtype.slides.tissue import TissueMask

StainMethod = Literal["macenko", "reinhard", "vahadane"]
METHODS: tuple[StainMethod, ...] = get_args(StainMethod)

Vector = tuple[float, float, float]
Stains = tuple[Vector, Vector]

REFERENCE_STAINS: dict[str, Stains] = {
    "macenko": ((0.5626, 0.7201, 0.4062), (0.2159, 0.8012, 0.5581)),
    "vahadane": ((0.5065, 0.7427, 0.4380), (0.3127, 0.7913, 0.5254)),
}
"""Hematoxylin and eosin, optical density in RGB; Macenko's are those he published."""

REFERENCE_STRENGTH: dict[str, tuple[float, float]] = {
    "macenko": (1.9705, 1.0308),
    "vahadane": (2.1791, 1.1576),
}
"""99th percentile of the concentration of each stain in the reference."""

REFERENCE_MEAN: Vector = (8.5891, -0.0913, 0.0425)
REFERENCE_SPREAD: Vector = (0.4918, 0.0699, 0.0181)
"""Mean and standard deviation of tissue in l-alpha-beta, natural logarithm."""

# What is not Macenko's own was measured on a slide brought to Macenko's reference, so
# that all methods lead to one appearance: the tissue of CMU-1-Small-Region, a test
# slide of OpenSlide in the public domain (CC0). A test repeats the measurement.

FAINT_DENSITY = 0.15
"""A pixel below this optical density in any channel is glass."""

LEAST_PIXELS = 500
LEAST_SPREAD = 1e-3

_LMS = np.array(
    [
        [0.3811, 0.5783, 0.0402],
        [0.1967, 0.7244, 0.0782],
        [0.0241, 0.1288, 0.8444],
    ]
)
_OPPONENT = np.diag(1 / np.sqrt([3.0, 6.0, 2.0])) @ np.array(
    [[1.0, 1.0, 1.0], [1.0, 1.0, -2.0], [1.0, -1.0, 0.0]]
)


@dataclass(frozen=True, slots=True)
class StainNormalizer:
    """A fitted change of stain, the same for every pixel of a slide.

    Attributes
    ----------
    method : str
        ``"macenko"``, ``"reinhard"`` or ``"vahadane"``.
    stains : tuple of tuple of float, shape (2, 3), or None
        Hematoxylin and eosin of the slide, optical density of unit length.
    strength : tuple of float, shape (2,), or None
        99th percentile of the concentration of each on the slide; not for Reinhard.
    mean, spread : tuple of float, shape (3,), or None
        Of the slide's tissue in l-alpha-beta; only for Reinhard.
    problem : str
        Why the fit failed and pixels stay as they are; empty where it did not.
    """

    method: StainMethod
    stains: Stains | None = None
    strength: tuple[float, float] | None = None
    mean: Vector | None = None
    spread: Vector | None = None
    problem: str = ""

    @property
    def is_identity(self) -> bool:
        """Whether pixels stay as they are."""
        return bool(self.problem)

    def transform(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring pixels to the reference.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (..., 3)
            RGB of the slide that was fitted.

        Returns
        -------
        ndarray of uint8, shape (..., 3)
            RGB; a new array, or the same one if nothing is to be done. Glass stays
            white.
        """
        if self.is_identity or not pixels.size:
            return pixels
        flat = pixels.reshape(-1, 3)
        change = self._shift if self.method == "reinhard" else self._exchange
        light = change(flat)
        # Adding a half and cutting off rounds as well as rint, in one pass less.
        light -= np.float32(0.5)
        np.clip(light, 0, 255.5, out=light)
        return light.astype(np.uint8).reshape(pixels.shape)

    def _exchange(self, flat: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Replace both stains and their strength; gives light from 1 to 256."""
        density = density_of(flat)
        stains = np.asarray(self.stains)
        gain = np.array(REFERENCE_STRENGTH[self.method]) / np.array(self.strength)
        target = gain[:, None] * np.asarray(REFERENCE_STAINS[self.method])
        if self.method == "vahadane":
            amounts = sparse_amounts(density, stains.astype(np.float32), SPARSITY)
            mixed = amounts @ -target.astype(np.float32)
        else:
            matrix = np.linalg.pinv(stains) @ -target
            mixed = density @ matrix.astype(np.float32)
        np.exp(mixed, out=mixed)
        mixed *= np.float32(WHITE)
        result: NDArray[np.float32] = mixed
        return result

    def _shift(self, flat: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Match mean and spread in l-alpha-beta; gives light from 1 to 256."""
        gain = np.array(REFERENCE_SPREAD) / np.array(self.spread)
        back = np.linalg.inv(_OPPONENT).T
        matrix = (_OPPONENT.T * gain) @ back
        offset = (np.asarray(REFERENCE_MEAN) - np.asarray(self.mean) * gain) @ back
        logs = (flat.astype(np.float32) + 1) @ _LMS.T.astype(np.float32)
        np.log(logs, out=logs)
        change = logs @ (matrix - np.eye(3)).astype(np.float32)
        change += offset.astype(np.float32)
        # Statistics of tissue say nothing about glass: towards it the change fades out.
        weight = np.full((3, 1), -1 / (3 * FAINT_DENSITY), np.float32)
        faintness = logs @ weight
        faintness += np.float32(np.log(WHITE) / FAINT_DENSITY)
        change *= np.clip(faintness, 0, 1, out=faintness)
        shifted = np.exp(np.add(logs, change, out=logs), out=logs)
        light: NDArray[np.float32] = shifted @ np.linalg.inv(_LMS).T.astype(np.float32)
        return light

    def to_dict(self) -> dict[str, Any]:
        """Turn the fit into plain JSON types.

        Returns
        -------
        dict
            The attributes that are set; `from_dict` reverses it.
        """
        return {
            name: [list(v) if isinstance(v, tuple) else v for v in value]
            if isinstance(value, tuple)
            else value
            for name, value in asdict(self).items()
            if value not in (None, "")
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StainNormalizer:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        data : mapping
            As written, possibly after a round trip through JSON.

        Returns
        -------
        StainNormalizer
            Equal to the one that was written.

        Raises
        ------
        ConfigurationError
            If it is not a record of a fit.
        """
        known = {entry.name for entry in fields(cls)}
        try:
            if unknown := sorted(set(data) - known):
                msg = f"unknown entries {unknown}"
                raise ValueError(msg)
            made = cls(**{name: _frozen(value) for name, value in data.items()})
            check_method(made.method)
            made.transform(np.zeros((1, 3), np.uint8))
        except (TypeError, ValueError, ConfigurationError) as err:
            msg = f"not a record of a stain fit: {err}; expected {sorted(known)}"
            raise ConfigurationError(msg) from err
        return made


def _frozen(value: Any) -> Any:
    """Turn lists into tuples, all the way down."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def check_method(method: str) -> None:
    """Refuse a method that there is not.

    Parameters
    ----------
    method : str
        Name of a method.

    Raises
    ------
    ConfigurationError
        If it is none of `METHODS`.
    """
    if method not in METHODS:
        msg = f"no stain method {method!r}; choose one of {', '.join(METHODS)}"
        raise ConfigurationError(msg)


def fit_stain(
    slide: Slide, tissue: TissueMask, method: StainMethod = "macenko"
) -> StainNormalizer:
    """Fit a change of stain to the tissue of a whole slide.

    Parameters
    ----------
    slide : Slide
        An open slide.
    tissue : TissueMask
        Its tissue.
    method : str, default: "macenko"
        ``"macenko"``, ``"reinhard"`` or ``"vahadane"``.

    Returns
    -------
    StainNormalizer
        The same for the same slide and mask; identity where the fit is degenerate.

    Warns
    -----
    ColorWarning
        If the fit is degenerate.

    Raises
    ------
    ConfigurationError
        If there is no such method.
    MissingPixelSizeError
        If the pixel size of the slide is unknown.
    """
    fit = fit_pixels(sample_tissue(slide, tissue), method)
    if fit.problem:
        msg = f"slide {slide.name!r}: {fit.problem}"
        warnings.warn(msg, ColorWarning, stacklevel=2)
    return fit


def fit_pixels(
    pixels: NDArray[np.uint8], method: StainMethod = "macenko"
) -> StainNormalizer:
    """Fit a change of stain to pooled tissue pixels.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (pixel, 3)
        RGB of tissue; glass among it is left out.
    method : str, default: "macenko"
        ``"macenko"``, ``"reinhard"`` or ``"vahadane"``.

    Returns
    -------
    StainNormalizer
        Identity, with its ``problem`` told, where the fit is degenerate.

    Raises
    ------
    ConfigurationError
        If there is no such method.

    References
    ----------
    .. [1] Macenko et al., "A method for normalizing histology slides for quantitative
       analysis", ISBI 2009.
    .. [2] Reinhard et al., "Color transfer between images", IEEE Computer Graphics and
       Applications 21(5), 2001.
    .. [3] Vahadane et al., "Structure-preserving color normalization and sparse stain
       separation for histological images", IEEE TMI 35(8), 2016.
    """
    check_method(method)
    density: NDArray[np.float64] = density_of(pixels).astype(np.float64)
    stained = (density >= FAINT_DENSITY).all(axis=1)
    try:
        count = int(stained.sum())
        if count < LEAST_PIXELS:
            msg = f"{count} stained pixels found, at least {LEAST_PIXELS} expected"
            raise StainError(msg)
        return _fit_stained(pixels[stained], density[stained], method)
    except StainError as err:
        msg = f"the stain cannot be normalized: {err}; colors stay as they are"
        return StainNormalizer(method, problem=msg)


def _fit_stained(
    pixels: NDArray[np.uint8], density: NDArray[np.float64], method: StainMethod
) -> StainNormalizer:
    """Fit to pixels that all show tissue."""
    stains = find_extremes(density)
    check_stains(stains, np.asarray(REFERENCE_STAINS["macenko"]))
    if method == "reinhard":
        logs = np.log((pixels.astype(np.float64) + 1) @ _LMS.T)
        opponent = logs @ _OPPONENT.T
        mean, spread = opponent.mean(axis=0), opponent.std(axis=0)
        if spread.min() < LEAST_SPREAD:
            msg = "the tissue is of one color"
            raise StainError(msg)
        return StainNormalizer(
            method,
            stains=_plain(stains),
            mean=_plain(mean),
            spread=_plain(spread),
        )
    if method == "vahadane":
        stains = learn_stains(density, stains)
        check_stains(stains, np.asarray(REFERENCE_STAINS["vahadane"]))
        amounts = sparse_amounts(density, stains, SPARSITY)
    else:
        amounts = density @ np.linalg.pinv(stains)
    strength = np.percentile(amounts, 99, axis=0)
    if strength.min() < LEAST_SPREAD:
        msg = "one of the two stains is missing"
        raise StainError(msg)
    return StainNormalizer(method, stains=_plain(stains), strength=_plain(strength))


def _plain(values: NDArray[np.float64]) -> Any:
    """Turn an array into nested tuples of float."""
    return _frozen(values.tolist())
