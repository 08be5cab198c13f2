"""How far predicted chances of survival are from what happened: the Brier score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_mmsubtype.evaluation.survival import kaplan_meier

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_mmsubtype.evaluation.survival import SurvivalCurve

    Values = NDArray[np.float64]

POINTS = 101
"""Times at which the score is taken, evenly from 0 to the horizon."""

_FOLLOWED = 0.2
_FAR = 600.0
"""Difference of log-risks beyond which exponentials would vanish."""


@dataclass(frozen=True, slots=True, eq=False)
class FollowUp:
    """What became of the patients that a model was fitted to.

    Attributes
    ----------
    time : ndarray of float64, shape (n,)
        Follow-up.
    event : ndarray of bool, shape (n,)
        Whether it ended with the event.
    """

    time: Values
    event: NDArray[np.bool_]


def horizon(time: ArrayLike) -> float:
    """Say until when predictions can be compared with what happened.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Follow-up of all patients; whether it ended with the event does not matter.

    Returns
    -------
    float
        The time that a fifth of the patients reach: beyond it, few would decide.
    """
    return float(np.quantile(np.asarray(time, dtype=np.float64), 1 - _FOLLOWED))


def brier_parts(
    time: ArrayLike,
    event: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    training: FollowUp,
) -> Values:
    """Give each patient's part of the integrated Brier score.

    The mean of the parts over patients is the score [1]_: over time, the mean squared
    distance of the predicted chance of no event from 1 before the patient's event and 0
    after it. A patient who was lost sight of counts until then, and those who were not
    count the more, by the inverse of the chance of still being followed.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Follow-up.
    event : array_like of bool, shape (n,)
        Whether it ended with the event.
    survival : array_like of float, shape (n, k)
        Predicted chance of no event until each of the times.
    times : array_like of float, shape (k,)
        Rising, at least two.
    training : FollowUp
        Of the patients from whom the chance of being followed is learned.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN for all where no training patient is followed until the last time.

    References
    ----------
    .. [1] Graf et al., "Assessment and comparison of prognostic classification schemes
       for survival data", Statistics in Medicine 1999.
    """
    ends = np.asarray(time, dtype=np.float64)[:, None]
    happened = np.asarray(event, dtype=bool)[:, None]
    chance = np.asarray(survival, dtype=np.float64)
    grid = np.asarray(times, dtype=np.float64)
    if chance.shape != (len(ends), len(grid)) or len(grid) < 2:
        msg = (
            "expected chances of shape (patients, times) at two times or more, found "
            f"{chance.shape} for {len(ends)} patients and {len(grid)} times"
        )
        raise ValueError(msg)
    lost = kaplan_meier(training.time, ~training.event)
    followed = _until(lost, grid)
    if followed[-1] <= 0:
        return np.full(len(ends), np.nan)
    # An event counts by the chance of having been followed until just before it.
    before = _until(lost, ends[:, 0], including=False)[:, None]
    is_over = happened & (ends <= grid)
    over = np.divide(chance**2, before, out=np.zeros_like(chance), where=is_over)
    ahead = np.where(ends > grid, (1 - chance) ** 2 / followed, 0.0)
    return np.asarray(
        np.trapezoid(over + ahead, grid, axis=1) / (grid[-1] - grid[0]), np.float64
    )


def reference_survival(times: ArrayLike, training: FollowUp) -> Values:
    """Predict the same for everyone: what Kaplan and Meier find among the training.

    Parameters
    ----------
    times : array_like of float, shape (k,)
        At which a chance is wanted.
    training : FollowUp
        Of the training patients.

    Returns
    -------
    ndarray of float64, shape (k,)
        Chance of no event until each time.
    """
    curve = kaplan_meier(training.time, training.event)
    return _until(curve, np.asarray(times, dtype=np.float64))


def cox_survival(
    risk: ArrayLike, times: ArrayLike, training: FollowUp, training_risk: ArrayLike
) -> Values:
    """Turn log-risks into chances by the baseline of the training patients.

    Parameters
    ----------
    risk : array_like of float, shape (n,)
        Log-risks of the patients.
    times : array_like of float, shape (k,)
        At which chances are wanted.
    training : FollowUp
        Of the training patients.
    training_risk : array_like of float, shape (m,)
        Their log-risks.

    Returns
    -------
    ndarray of float64, shape (n, k)
        Chance of no event until each time.

    References
    ----------
    .. [1] Breslow, discussion of Cox, "Regression models and life-tables", JRSS B
       1972.
    """
    log = np.asarray(training_risk, dtype=np.float64)
    # Only differences of log-risks matter; large ones must not overflow.
    center = float(log.max())
    order = np.argsort(training.time, kind="stable")
    ends, weight = training.time[order], np.exp(np.maximum(log - center, -_FAR))[order]
    at_risk = np.cumsum(weight[::-1])[::-1]
    first = np.searchsorted(ends, ends, side="left")
    steps = training.event[order] / at_risk[first]
    total = np.append(0.0, np.cumsum(steps))
    place = np.searchsorted(ends, np.asarray(times, dtype=np.float64), side="right")
    relative = np.exp(np.asarray(risk, dtype=np.float64) - center)
    return np.asarray(np.exp(-relative[:, None] * total[place]), np.float64)


def _until(curve: SurvivalCurve, times: Values, *, including: bool = True) -> Values:
    """Read a curve at some times, or just before them."""
    side: Literal["left", "right"] = "right" if including else "left"
    place = np.searchsorted(curve.time, times, side=side) - 1
    found: Values = curve.share[np.maximum(place, 0)]
    return found
