"""How closely an encoder that was made faster follows the one it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_COSINE = 0.999
"""Every embedding must point this closely where the one of float32 points."""
MIN_CENTERED = 0.995
"""The same of all patches together, less what they have in common."""
MAX_PROBABILITY_CHANGE = 0.01
"""No class probability of the patches tried may change by more."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely embeddings follow those of float32.

    Attributes
    ----------
    cosine : float
        Cosine similarity of the embeddings, of the patch where it is lowest.
    centered : float
        Cosine similarity of the embeddings of all patches, each less the mean over
        the patches in float32.
    probability_change : float
        Largest change of a class probability.
    """

    cosine: float
    centered: float
    probability_change: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the two differ by no more than is allowed."""
        return (
            self.cosine >= MIN_COSINE
            and self.centered >= MIN_CENTERED
            and self.probability_change <= MAX_PROBABILITY_CHANGE
        )

    @property
    def holds_clearly(self) -> bool:
        """Whether the two differ by no more than half of what is allowed."""
        return (
            self.cosine >= (1 + MIN_COSINE) / 2
            and self.centered >= (1 + MIN_CENTERED) / 2
            and self.probability_change <= MAX_PROBABILITY_CHANGE / 2
        )

    def __str__(self) -> str:
        return (
            f"embeddings agree to {self.cosine:.4f} ({self.centered:.4f} less their "
            f"mean), class probabilities within {self.probability_change:.4f}"
        )


def compare(
    expected: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]]
) -> Agreement:
    """Compare embeddings with those computed in float32.

    Parameters
    ----------
    expected : ndarray of float, shape (n, d)
        In float32, at least one.
    found : ndarray of float, shape (n, d)
        In a lower precision, or by another way.

    Returns
    -------
    Agreement
        Without probabilities. Patches that do not differ in float32 have nothing
        left to be compared once centered; the rest then counts as equal.
    """
    whole, low = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    mean = whole.mean(axis=0)
    return Agreement(
        cosine=min(_cosine(a, b) for a, b in zip(whole, low, strict=True)),
        centered=_cosine((whole - mean).ravel(), (low - mean).ravel())
        if np.ptp(whole, axis=0).any()
        else 1.0,
    )


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Give the cosine similarity; not-a-number and zero agree with nothing."""
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    value = float(a @ b) / norm if norm else float(not a.any() and not b.any())
    return value if np.isfinite(value) else -1.0
