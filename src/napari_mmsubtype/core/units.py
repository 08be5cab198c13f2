"""Pixel sizes in microns, where they came from, and which ones are believable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

PLAUSIBLE_MPP = (0.05, 20.0)
"""Microns per pixel outside this range are taken for a bogus tag, not for a slide."""


class MppSource(StrEnum):
    """Who said how many microns a pixel is."""

    VENDOR = "vendor"
    RESOLUTION_TAG = "resolution-tag"
    OBJECTIVE = "objective"
    USER = "user"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Microns per pixel along each axis.

    Attributes
    ----------
    y, x : float
        Microns per pixel, positive and finite.
    """

    y: float
    x: float

    def __post_init__(self) -> None:
        for value in (self.y, self.x):
            if not (math.isfinite(value) and value > 0):
                msg = f"microns per pixel must be positive, found {value!r}"
                raise ValueError(msg)

    @classmethod
    def square(cls, mpp: float) -> PixelSize:
        """Make a pixel size that is equal along both axes.

        Parameters
        ----------
        mpp : float
            Microns per pixel.

        Returns
        -------
        PixelSize
            The same value for ``y`` and ``x``.
        """
        return cls(mpp, mpp)

    @property
    def mean(self) -> float:
        """Geometric mean of both axes, in microns per pixel."""
        return math.sqrt(self.y * self.x)

    @property
    def is_plausible(self) -> bool:
        """Whether both axes lie within `PLAUSIBLE_MPP`."""
        low, high = PLAUSIBLE_MPP
        return all(low <= value <= high for value in (self.y, self.x))

    def scaled(self, downsample: float) -> PixelSize:
        """Give the pixel size of a level that is ``downsample`` times smaller.

        Parameters
        ----------
        downsample : float
            Factor from this grid to the coarser one.

        Returns
        -------
        PixelSize
            Both axes multiplied by ``downsample``.
        """
        return PixelSize(self.y * downsample, self.x * downsample)
