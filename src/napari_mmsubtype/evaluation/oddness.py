"""How odd a patient is beside training patients that were judged without themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.trust import TYPICAL, UNLIKE, UNUSUAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

FOLDS = 5
MIN_PATIENTS = 20
"""Training patients below which nothing is said about oddness."""

_UNLIKE = 0.01
_UNUSUAL = 0.05
_TINY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class OddnessScale:
    """Brings several distances to one number and ranks it among training patients.

    Attributes
    ----------
    center, spread : ndarray of float64, shape (p,)
        Median and scaled median absolute deviation of the cube root of each distance
        over training patients: mean squares are nearly normal in their cube root.
    scores : ndarray of float64, shape (n,)
        Of the training patients, ascending.
    two_sided : bool
        Whether less than the usual distance is odd as well.

    References
    ----------
    .. [1] Wilson and Hilferty, "The distribution of chi-square", PNAS 1931.
    """

    center: NDArray[np.float64]
    spread: NDArray[np.float64]
    scores: NDArray[np.float64]
    two_sided: bool = False

    def parts(self, distances: ArrayLike) -> NDArray[np.float64]:
        """Measure each distance on the scale of the training patients.

        Parameters
        ----------
        distances : array_like of float, shape (..., p)
            Not negative.

        Returns
        -------
        ndarray of float64, shape (..., p)
            0 is usual, 1 a usual deviation.
        """
        found: NDArray[np.float64] = (
            np.cbrt(np.asarray(distances, np.float64)) - self.center
        ) / self.spread
        return found

    def score(self, distances: ArrayLike) -> NDArray[np.float64]:
        """Take the oddest of the distances.

        Parameters
        ----------
        distances : array_like of float, shape (..., p)
            Not negative.

        Returns
        -------
        ndarray of float64, shape (...)
            Higher is odder.
        """
        parts = self.parts(distances)
        return np.asarray((np.abs(parts) if self.two_sided else parts).max(axis=-1))

    def rank(self, distances: ArrayLike) -> tuple[int, str]:
        """Compare one patient with the training patients.

        Parameters
        ----------
        distances : array_like of float, shape (p,)
            Of the patient.

        Returns
        -------
        below : int
            Training patients that are less odd.
        verdict : str
            ``unlike`` where at most 1 % of such patients would be as odd by chance,
            ``unusual`` at 5 %, else ``typical``. Fewer than 99 training patients
            cannot tell 1 %: ``unlike`` then means odder than every one of them.
        """
        n = len(self.scores)
        below = int(np.searchsorted(self.scores, float(self.score(distances))))
        chance = (1 + n - below) / (n + 1)
        if chance <= max(_UNLIKE, 1 / (n + 1)):
            return below, UNLIKE
        return below, UNUSUAL if chance <= _UNUSUAL else TYPICAL

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Turn the scale into plain arrays.

        Returns
        -------
        dict of str to ndarray
            `from_arrays` reverses it.
        """
        return {
            "center": self.center.astype(np.float32),
            "spread": self.spread.astype(np.float32),
            "scores": self.scores.astype(np.float32),
            "two_sided": np.asarray(self.two_sided),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> OddnessScale:
        """Read what `to_arrays` wrote.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            As written.

        Returns
        -------
        OddnessScale
            The same to the precision of float32.

        Raises
        ------
        ValueError
            If an array is missing, of another shape or not finite.
        """
        names = ("center", "spread", "scores", "two_sided")
        missing = [name for name in names if name not in arrays]
        if missing:
            msg = f"the reference lacks {', '.join(missing)}"
            raise ValueError(msg)
        center, spread, scores = (
            np.asarray(arrays[name], dtype=np.float64) for name in names[:3]
        )
        fits = center.ndim == scores.ndim == 1 and center.shape == spread.shape
        finite = all(np.isfinite(v).all() for v in (center, spread, scores))
        if not (fits and finite and len(scores) and (spread > 0).all()):
            msg = (
                "the reference does not describe training patients: expected finite "
                f"center and spread of one length and scores, found {center.shape}, "
                f"{spread.shape}, {scores.shape}"
            )
            raise ValueError(msg)
        return cls(center, spread, np.sort(scores), bool(arrays["two_sided"]))


def fit_scale(distances: ArrayLike, *, two_sided: bool = False) -> OddnessScale:
    """Learn how far training patients usually are.

    Parameters
    ----------
    distances : array_like of float, shape (n, p)
        Mean squares of training patients, each judged by what was fitted without it;
        see `cross_fitted`.
    two_sided : bool, default: False
        Whether less than the usual distance is odd as well.

    Returns
    -------
    OddnessScale
        Ranks new patients among them.
    """
    values = np.cbrt(np.asarray(distances, dtype=np.float64))
    center = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - center), axis=0)
    spread = np.where(spread > _TINY, spread, 1.0)
    empty = OddnessScale(center, spread, np.empty(0), two_sided)
    return replace(empty, scores=np.sort(empty.score(distances)))


def cross_fitted(
    n: int,
    judge: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Judge every training patient by what was fitted to the others.

    Parameters
    ----------
    n : int
        Training patients.
    judge : callable
        Takes the patients to fit to and those to judge, gives one row per patient
        judged.

    Returns
    -------
    ndarray of float64, shape (n, p)
        In the order of the patients. Judged by a fit that has seen them, they would
        look more usual than new patients can.

    Raises
    ------
    ValueError
        If there are too few patients to say anything.
    """
    if n < MIN_PATIENTS:
        msg = f"{n} training patients are too few for a guard, expected {MIN_PATIENTS}"
        raise ValueError(msg)
    fold = np.random.default_rng(0).permutation(n) % FOLDS
    every = np.arange(n)
    parts = [judge(every[fold != f], every[fold == f]) for f in range(FOLDS)]
    found = np.empty((n, parts[0].shape[1]))
    for f, part in enumerate(parts):
        found[fold == f] = part
    return found
