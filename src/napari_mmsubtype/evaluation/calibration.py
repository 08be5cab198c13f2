"""Probabilities from logits, and how far they are from being honest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_softmax, softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

TEMPERATURE_RANGE = (0.25, 10.0)
"""Temperatures considered: a separable validation set would ask for zero."""


def calibrate(
    logits: ArrayLike, temperature: float, offset: Sequence[float] = ()
) -> NDArray[np.float64]:
    """Turn logits into calibrated probabilities.

    Parameters
    ----------
    logits : array_like of float, shape (..., c)
        One value per class along the last axis.
    temperature : float
        Divides the logits; above 1 makes the probabilities more modest.
    offset : sequence of float, optional
        Added to them then, one per class; none if left out.

    Returns
    -------
    ndarray of float64, shape (..., c)
        Probabilities that sum to 1 along the last axis.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        msg = f"a temperature is positive and finite, found {temperature!r}"
        raise ValueError(msg)
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if len(offset):
        scaled = scaled + np.asarray(offset, dtype=np.float64)
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
    return float(-np.average(values, weights=patient_weights(patients, len(truth))))


def patient_weights(patients: Sequence[str] | None, rows: int) -> NDArray[np.float64]:
    """Weigh rows so that every patient counts once.

    Parameters
    ----------
    patients : sequence of str or None
        Patient of each row; every row counts once if None.
    rows : int
        How many there are.

    Returns
    -------
    ndarray of float64, shape (rows,)
        Summing to the number of patients.
    """
    if patients is None:
        return np.ones(rows)
    _, place, each = np.unique(
        np.asarray(patients), return_inverse=True, return_counts=True
    )
    weights: NDArray[np.float64] = 1.0 / each[place]
    return weights


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
