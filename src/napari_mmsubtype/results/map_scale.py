"""How the values of a map become colors: one scale for the whole slide and all classes.

A scale changes what is seen, never the numbers that are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PERCENTILE, LINEAR, SYMLOG = "percentile", "linear", "symmetric log"
SCALES = (PERCENTILE, LINEAR, SYMLOG)

_PERCENT = 99.0
_DECADES = 100.0
"""A logarithmic scale is linear below this part of the largest value."""
_STEPS = 512
_ANCHORS = np.array(
    [
        [0.27, 0.0, 0.33],
        [0.23, 0.32, 0.55],
        [0.13, 0.57, 0.55],
        [0.37, 0.79, 0.38],
        [0.99, 0.91, 0.14],
    ],
    np.float32,
)
_MOST_OPAQUE = 0.75


@dataclass(frozen=True, slots=True)
class MapRange:
    """How large the values of maps are that share one scale.

    Attributes
    ----------
    typical : float
        The 99th percentile of their size where something was analysed; positive.
    largest : float
        The largest; not below ``typical``.
    """

    typical: float
    largest: float

    @classmethod
    def measure(cls, maps: Sequence[NDArray[np.float32]]) -> MapRange:
        """Measure maps.

        Parameters
        ----------
        maps : sequence of ndarray of float32, shape (y, x)
            0 where nothing was analysed.

        Returns
        -------
        MapRange
            1 and 1 where there is nothing to measure.
        """
        kept = [canvas[(canvas != 0) & np.isfinite(canvas)] for canvas in maps]
        values = np.abs(np.concatenate(kept)) if kept else np.zeros(0, np.float32)
        if values.size == 0:
            return cls(1.0, 1.0)
        smallest = float(np.finfo(np.float32).tiny)
        typical = max(float(np.percentile(values, _PERCENT)), smallest)
        return cls(typical, max(float(values.max()), typical))

    def limit(self, scale: str) -> float:
        """Give the value at which colors saturate.

        Parameters
        ----------
        scale : str
            One of `SCALES`.

        Returns
        -------
        float
            Positive.

        Raises
        ------
        ConfigurationError
            If there is no such scale.
        """
        if scale not in SCALES:
            msg = f"unknown scale {scale!r}; use one of {', '.join(SCALES)}"
            raise ConfigurationError(msg)
        return self.typical if scale == PERCENTILE else self.largest

    def words(self, scale: str, unit: str, *, signed: bool = True) -> str:
        """Say what the colors mean.

        Parameters
        ----------
        scale : str
            One of `SCALES`.
        unit : str
            Of the values.
        signed : bool, default: True
            Whether values speak for and against.

        Returns
        -------
        str
            One sentence.
        """
        sign = "±" if signed else ""
        limit = f"{sign}{self.limit(scale):.2g} {unit}"
        if scale == PERCENTILE:
            return f"Full color at {limit}: 99 % of the slide is below."
        if scale == LINEAR:
            return f"Full color at {limit}, the largest value of the slide."
        bend = f"{sign}{self.largest / _DECADES:.2g}"
        return f"Logarithmic from {bend} to {limit}, the largest value; linear below."


def symmetric_limit(maps: Sequence[NDArray[np.float32]]) -> float:
    """Give the value at which the colors of evidence saturate at first.

    Parameters
    ----------
    maps : sequence of ndarray of float32, shape (y, x)
        Signed evidence; 0 where nothing was analysed.

    Returns
    -------
    float
        The 99th percentile of the absolute evidence over analysed cells of all maps,
        positive; 1 where there is none.
    """
    return MapRange.measure(maps).typical


def scaled_colors(
    colors: NDArray[np.float32], scale: str, *, signed: bool = True
) -> NDArray[np.float32]:
    """Bend a color scale, so that values may stay as they are.

    Parameters
    ----------
    colors : ndarray of float32, shape (k, 4)
        Evenly spaced: from the strongest against to the strongest for, or from nothing
        to the most.
    scale : str
        One of `SCALES`.
    signed : bool, default: True
        Whether the middle of the colors stands for 0, and not their beginning.

    Returns
    -------
    ndarray of float32, shape (k, 4) or (1025, 4) or (513, 4)
        Evenly spaced over the values again.
    """
    if scale != SYMLOG:
        return colors
    strength = np.linspace(0.0, 1.0, _STEPS + 1)
    bent = np.where(
        strength * _DECADES < 1,
        strength * _DECADES,
        1 + np.log(np.maximum(strength * _DECADES, 1)),
    ) / (1 + np.log(_DECADES))
    if signed:
        bent = np.concatenate([0.5 - bent[:0:-1] / 2, 0.5 + bent / 2])
    places = np.linspace(0.0, 1.0, len(colors))
    columns = [np.interp(bent, places, colors[:, k]) for k in range(4)]
    return np.stack(columns, axis=1).astype(np.float32)


def attention_colors() -> NDArray[np.float32]:
    """Give a color scale for what is never negative: from nothing to much.

    Returns
    -------
    ndarray of float32, shape (65, 4)
        Red, green, blue and alpha, 0 to 1; little is transparent. Dark blue over green
        to yellow, told apart in every common kind of color blindness.
    """
    strength = np.linspace(0.0, 1.0, 65)
    places = np.linspace(0.0, 1.0, len(_ANCHORS))
    rgb = [np.interp(strength, places, _ANCHORS[:, k]) for k in range(3)]
    alpha = _MOST_OPAQUE * np.clip(strength * 1.5, 0.0, 1.0) ** 0.8
    return np.stack([*rgb, alpha], axis=1).astype(np.float32)
