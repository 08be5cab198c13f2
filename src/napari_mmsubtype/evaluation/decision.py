"""Which class is called, where classes that are rare shall be found as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.evaluation.metric_table import checked
from napari_mmsubtype.evaluation.metrics import balanced_accuracy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_STEPS = 11
"""How finely the strength is tried, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """Calls the class with the greatest product of probability and weight.

    Attributes
    ----------
    weights : tuple of float
        One for each class, greater where it is rare; all 1 call the most probable.
    """

    weights: tuple[float, ...]

    @property
    def threshold(self) -> float | None:
        """Of two classes, the probability from which on the second is called."""
        if len(self.weights) != 2:
            return None
        return self.weights[0] / (self.weights[0] + self.weights[1])

    def call(self, probabilities: ArrayLike) -> NDArray[np.int64]:
        """Call a class for each row.

        Parameters
        ----------
        probabilities : array_like of float, shape (n, c)
            Calibrated.

        Returns
        -------
        ndarray of int64, shape (n,)
            Classes.
        """
        weighted = np.asarray(probabilities, np.float64) * np.asarray(self.weights)
        return np.asarray(weighted.argmax(axis=1), np.int64)


def fit_decision(labels: ArrayLike, probabilities: ArrayLike) -> DecisionRule:
    """Choose a rule on patients that train nothing.

    A calibrated probability is drawn to what is common. The best balanced accuracy is
    reached where each is divided by the share of its class; how much of that is right
    for a model is tried, from nothing to all of it (the share to a power from 0 to 1).
    So two classes have one threshold, from 0.5 to the share of the second, and several
    classes have one number too, which few patients can choose.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes, 0 to c - 1.
    probabilities : array_like of float, shape (n, c)
        Calibrated.

    Returns
    -------
    DecisionRule
        The best of them by balanced accuracy; of several, the one nearest to calling
        the most probable. That one where a class does not occur.

    Raises
    ------
    ValueError
        If labels and probabilities do not fit each other.
    """
    truth, scores = checked(labels, probabilities)
    shares = np.bincount(truth, minlength=scores.shape[1]) / len(truth)
    best, most = DecisionRule((1.0,) * scores.shape[1]), -1.0
    if shares.min() == 0:
        return best
    for strength in np.linspace(0, 1, _STEPS):
        weights = (shares / shares.max()) ** -strength
        rule = DecisionRule(tuple(weights.tolist()))
        reached = balanced_accuracy(truth, np.eye(len(weights))[rule.call(scores)])
        if reached > most + 1e-12:
            best, most = rule, reached
    return best
