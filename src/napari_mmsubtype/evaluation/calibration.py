"""Temperature scaling, and how far probabilities are from being honest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

TEMPERATURE_RANGE = (0.25, 10.0)
"""Temperatures considered: a separable validation set would ask for zero."""


_LIKELIHOOD_RATIO = 3.841  # chi-square with one degree of freedom, 5 %


def calibrate(logits: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Turn logits into calibrated probabilities.

    Parameters
    ----------
    logits : array_like of float, shape (..., c)
        One value per class along the last axis.
    temperature : float
        Divides the logits; above 1 makes the probabilities more modest.

    Returns
    -------
    ndarray of float64, shape (..., c)
        Probabilities that sum to 1 along the last axis.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        msg = f"a temperature is positive and finite, found {temperature!r}"
        raise ValueError(msg)
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    return np.asarray(softmax(scaled, axis=-1), dtype=np.float64)


def log_loss(
    labels: ArrayLike,
    logits: ArrayLike,
    temperature: float = 1.0,
    *,
    patients: Sequence[str] | None = None,
) -> float:
    """Average the negative log-probability of the true class.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes.
    logits : array_like of float, shape (n, c)
        One row per case.
    temperature : float, default: 1.0
        Divides the logits.
    patients : sequence of str, optional
        Patient of each row: every patient weighs the same, however many rows there
        are. Every row weighs the same if left out.

    Returns
    -------
    float
        In nats; ``log(c)`` for a know-nothing.
    """
    truth = np.asarray(labels, dtype=np.int64)
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    values = log_softmax(scaled, axis=1)[np.arange(len(truth)), truth]
    return float(-np.average(values, weights=_weights(patients)))


def _weights(patients: Sequence[str] | None) -> NDArray[np.float64] | None:
    """Weigh rows so that every patient counts once."""
    if patients is None:
        return None
    _, place, rows = np.unique(
        np.asarray(patients), return_inverse=True, return_counts=True
    )
    weights: NDArray[np.float64] = 1.0 / rows[place]
    return weights


def fit_temperature(
    labels: ArrayLike,
    logits: ArrayLike,
    *,
    patients: Sequence[str] | None = None,
    bounds: tuple[float, float] = TEMPERATURE_RANGE,
) -> float:
    """Find the temperature that makes held-out labels most probable.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes of the validation rows.
    logits : array_like of float, shape (n, c)
        Logits of the same rows; none of them may have been trained on.
    patients : sequence of str, optional
        Patient of each row, as in `log_loss`.
    bounds : tuple of float, default: (0.25, 10.0)
        Lowest and highest temperature considered.

    Returns
    -------
    float
        Temperature within the bounds.

    Raises
    ------
    ValueError
        If there is no row, a logit is not finite, or another number of patients than
        of rows is given.

    References
    ----------
    .. [1] Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim != 2 or len(values) == 0 or not np.isfinite(values).all():
        msg = f"expected finite logits of shape (n, c), n > 0, found {values.shape}"
        raise ValueError(msg)
    if patients is not None and len(patients) != len(values):
        msg = f"{len(values)} rows need as many patients, found {len(patients)}"
        raise ValueError(msg)
    # The loss is convex in 1/T, hence has one valley in log T.
    found = minimize_scalar(
        lambda log_t: log_loss(labels, values, math.exp(log_t), patients=patients),
        bounds=(math.log(bounds[0]), math.log(bounds[1])),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(math.exp(found.x))


def fit_temperatures(
    labels: ArrayLike,
    logits: Mapping[str, ArrayLike],
    shared: float,
    *,
    patients: Sequence[str] | None = None,
    bounds: tuple[float, float] = TEMPERATURE_RANGE,
) -> dict[str, float]:
    """Find a temperature of its own for the subsets of the modalities that need one.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes of the validation rows.
    logits : mapping of str to array_like of float, shape (n, c)
        Logits of the same rows from each subset, by `cases.subset_key`.
    shared : float
        Temperature of all modalities together.
    patients : sequence of str, optional
        Patient of each row, as in `log_loss`.
    bounds : tuple of float, default: (0.25, 10.0)
        Lowest and highest temperature considered.

    Returns
    -------
    dict of str to float
        Only of subsets that the shared temperature fits worse than chance would let
        it, by a likelihood-ratio test at 5 %: few patients cannot tell more. A model is
        often surer of itself than it should be when it sees only a part of its data.
    """
    found = {}
    for subset, values in logits.items():
        own = fit_temperature(labels, values, bounds=bounds, patients=patients)
        count = len(set(patients)) if patients is not None else len(np.asarray(values))
        gained = log_loss(labels, values, shared, patients=patients) - log_loss(
            labels, values, own, patients=patients
        )
        if 2 * count * gained > _LIKELIHOOD_RATIO:
            found[subset] = own
    return found


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, *, bins: int = 15
) -> float:
    """Average the gap between confidence and accuracy over bins of equal mass.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes.
    probabilities : array_like of float, shape (n, c)
        One row per case.
    bins : int, default: 15
        Number of bins; as many as rows at most.

    Returns
    -------
    float
        0 (honest) to 1, of the most probable class.

    Notes
    -----
    With few rows this is biased upwards by chance: bins of m rows show a gap of the
    order of ``0.4 / sqrt(m)`` even for honest probabilities.
    """
    truth = np.asarray(labels, dtype=np.int64)
    scores = np.asarray(probabilities, dtype=np.float64)
    confidence = scores.max(axis=1)
    correct = scores.argmax(axis=1) == truth
    order = np.argsort(confidence, kind="stable")
    gaps = [
        len(part) * abs(float(correct[part].mean() - confidence[part].mean()))
        for part in np.array_split(order, min(bins, len(order)))
    ]
    return float(sum(gaps) / len(order))
