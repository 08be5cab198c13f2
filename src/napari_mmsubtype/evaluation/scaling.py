"""How logits become honest probabilities: a temperature and an offset per class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_softmax

from napari_mmsubtype.evaluation.calibration import (
    TEMPERATURE_RANGE,
    calibrate,
    patient_weights,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

SPREAD = 1.0
"""Standard deviation, about where the fit starts from, that log temperature and offsets
have before any patient is seen."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Probabilities are ``softmax(logits / temperature + offset)``.

    Attributes
    ----------
    temperature : float
        Above 1 makes the probabilities more modest.
    offset : tuple of float
        One per class, in log-odds; empty for none.
    """

    temperature: float = 1.0
    offset: tuple[float, ...] = ()

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Turn logits into calibrated probabilities.

        Parameters
        ----------
        logits : array_like of float, shape (..., c)
            One value per class along the last axis.

        Returns
        -------
        ndarray of float64, shape (..., c)
            Probabilities that sum to 1 along the last axis.
        """
        return calibrate(logits, self.temperature, self.offset)


def fit_scaling(
    labels: ArrayLike,
    logits: ArrayLike,
    *,
    around: Scaling | None = None,
    patients: Sequence[str] | None = None,
) -> Scaling:
    """Find the scaling that makes held-out labels most probable.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes of the validation rows.
    logits : array_like of float, shape (n, c)
        Logits of the same rows; none of them may have been trained on.
    around : Scaling, optional
        What is expected before any row is seen; by default logits as they are.
    patients : sequence of str, optional
        Patient of each row: every patient weighs the same, however many rows there
        are.

    Returns
    -------
    Scaling
        The most probable one, where log temperature and offsets are normal around the
        expected ones with a standard deviation of 1: few patients move it little, and
        separable ones not without bound.

    Raises
    ------
    ValueError
        If there is no row, a logit is not finite, or numbers do not fit each other.

    Notes
    -----
    The offsets undo what the training did to the shares of the classes, for example by
    giving rare ones more weight; a temperature alone cannot [1]_, [2]_.

    References
    ----------
    .. [1] Guo et al., "On calibration of modern neural networks", ICML 2017.
    .. [2] Alexandari et al., "Maximum likelihood with bias-corrected calibration is
       hard-to-beat at label shift adaptation", ICML 2020.
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim != 2 or len(values) == 0 or not np.isfinite(values).all():
        msg = f"expected finite logits of shape (n, c), n > 0, found {values.shape}"
        raise ValueError(msg)
    truth = np.asarray(labels, dtype=np.int64)
    for name, found in (("labels", len(truth)), ("patients", len(patients or truth))):
        if found != len(values):
            msg = f"{len(values)} rows need as many {name}, found {found}"
            raise ValueError(msg)
    count = values.shape[1]
    if truth.min() < 0 or truth.max() >= count:
        msg = f"labels must be 0 to {count - 1}, found {truth.min()} to {truth.max()}"
        raise ValueError(msg)
    around = around or Scaling()
    expected = np.array([math.log(around.temperature), *_padded(around.offset, count)])
    # One row's weight is what it is of its patient, so that they sum to the patients.
    weights = patient_weights(patients, len(values))
    hits = np.eye(count)[truth]

    def _loss(place: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        # The negative log posterior and its slope.
        scaled = values * math.exp(-place[0])
        chances = log_softmax(scaled + place[1:], axis=1)
        residual = weights[:, None] * (np.exp(chances) - hits)
        away = (place - expected) / SPREAD**2
        slope = np.array([-(residual * scaled).sum(), *residual.sum(axis=0)]) + away
        surprise = -(weights[:, None] * chances * hits).sum()
        return float(surprise + (away * (place - expected)).sum() / 2), slope

    # Only here: a bundle that is loaded needs the result, not what finds it.
    from scipy.optimize import minimize

    low, high = (math.log(t) for t in TEMPERATURE_RANGE)
    start = expected.copy()
    start[0] = min(max(start[0], low), high)
    found = minimize(
        _loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(low, high), *[(None, None)] * count],
        options={"ftol": 1e-12, "gtol": 1e-8},
    ).x
    offset = found[1:] - found[1:].mean()
    return Scaling(float(math.exp(found[0])), tuple(offset.tolist()))


def _padded(offset: tuple[float, ...], count: int) -> tuple[float, ...]:
    """Give one offset per class, 0 where there are none."""
    return offset or (0.0,) * count
