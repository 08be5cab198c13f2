"""Intervals of proportions, which are never without width."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.evaluation.metrics import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_Z = 1.959963984540054


def mean_share(shares: Sequence[tuple[float, int]]) -> Estimate:
    """Give the mean of independent proportions with a 95 % interval.

    Parameters
    ----------
    shares : sequence of tuple of float and int
        Proportion and number of patients of each.

    Returns
    -------
    Estimate
        For one proportion the interval of Wilson; for several, what those of the
        single ones come to together [1]_.

    References
    ----------
    .. [1] Zou and Donner, "Construction of confidence limits about effect measures: a
       general approach", Statistics in Medicine 2008.
    """
    value = float(np.mean([share for share, _ in shares]))
    below = above = 0.0
    for share, count in shares:
        low, high = wilson(share, count)
        below += float(share - low) ** 2
        above += float(high - share) ** 2
    width = len(shares)
    return Estimate(value, value - below**0.5 / width, value + above**0.5 / width)


def wilson(
    share: ArrayLike, count: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the 95 % interval of Wilson of proportions.

    Parameters
    ----------
    share : array_like of float
        Proportions.
    count : array_like of float
        Out of how many, above 0.

    Returns
    -------
    low, high : ndarray of float64
        From 0 to 1; never without width.
    """
    p, n = np.asarray(share, dtype=np.float64), np.asarray(count, dtype=np.float64)
    spread = _Z / (1 + _Z**2 / n) * np.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    center = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    return np.maximum(center - spread, 0.0), np.minimum(center + spread, 1.0)
