"""Whether a patient's table resembles those of the training patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.trust import TYPICAL, GuardFinding
from napari_mmsubtype.evaluation.oddness import OddnessScale, cross_fitted, fit_scale
from napari_mmsubtype.evaluation.subspace import Subspace, fit_subspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

_RANGE = (0.005, 0.995)
_NAMED = 3
_STICKS_OUT = 2.0  # usual deviations of a distance
_FAR = 3.0  # standard deviations of a feature


@dataclass(frozen=True, slots=True, eq=False)
class TableGuard:
    """What model-ready rows of training patients look like.

    Attributes
    ----------
    space : Subspace
        Fitted to all training patients.
    scale : OddnessScale
        Of training patients, each judged without itself.
    low, high : ndarray of float64, shape (g,)
        Range of each feature that holds 99 % of the training patients.
    usual_outside : int
        Features out of their range that 95 % of the training patients do not exceed.
    """

    space: Subspace
    scale: OddnessScale
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    usual_outside: int

    def judge(
        self, modality: str, values: ArrayLike, names: Sequence[str]
    ) -> GuardFinding:
        """Compare one patient with the training patients.

        Parameters
        ----------
        modality : str
            ``rna``, ``methylation`` or ``clinical``.
        values : array_like of float, shape (g,)
            Model-ready, as the training rows were.
        names : sequence of str
            Of the features.

        Returns
        -------
        GuardFinding
            With reasons unless the patient is typical.
        """
        row = np.asarray(values, dtype=np.float64)
        distances = self.space.distances(row[None])[0]
        below, verdict = self.scale.rank(distances)
        return GuardFinding(
            modality=modality,
            verdict=verdict,
            below=below,
            n=len(self.scale.scores),
            reasons=() if verdict == TYPICAL else self._reasons(row, distances, names),
        )

    def _reasons(
        self, row: NDArray[np.float64], distances: ArrayLike, names: Sequence[str]
    ) -> tuple[str, ...]:
        """Say what sticks out, in words."""
        reasons = []
        outside = int(((row < self.low) | (row > self.high)).sum())
        ranged = outside > self.usual_outside
        if ranged:
            reasons.append(
                f"{outside} of {len(row)} features are outside the range of 99 % of "
                f"the training patients (usually at most {self.usual_outside})"
            )
        deviations = self.space.standardize(row[None])[0]
        order = np.argsort(-self.space.contributions(row), kind="stable")
        named = ", ".join(
            f"{names[i]} {deviations[i]:+.1f} SD"
            for i in order[:_NAMED]
            if abs(deviations[i]) >= _FAR
        )
        if named:
            reasons.append(f"farthest from the training mean: {named}")
        along, beside = self.scale.parts(distances)
        if min(along, beside) <= -max(along, beside, _STICKS_OUT):
            reasons.append(
                "its values vary less than those of the training patients: were they "
                "averaged, filled in or scaled before?"
            )
        elif not ranged and beside >= max(along, _STICKS_OUT):
            reasons.append(
                "features that go together in the training patients do not here"
            )
        elif not ranged and along >= _STICKS_OUT:
            reasons.append("a known pattern of features, but stronger than in training")
        return tuple(reasons)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Turn the guard into plain arrays.

        Returns
        -------
        dict of str to ndarray
            `from_arrays` reverses it, to the precision of float32.
        """
        return {
            **self.space.to_arrays(),
            **self.scale.to_arrays(),
            "low": self.low.astype(np.float32),
            "high": self.high.astype(np.float32),
            "usual_outside": np.asarray(self.usual_outside, np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> TableGuard:
        """Read what `to_arrays` wrote.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            As written.

        Returns
        -------
        TableGuard
            The same to the precision of float32.

        Raises
        ------
        ValueError
            If an array is missing or does not fit the others.
        """
        space = Subspace.from_arrays(arrays)
        scale = OddnessScale.from_arrays(arrays)
        try:
            low, high = (np.asarray(arrays[k], np.float64) for k in ("low", "high"))
            usual = int(arrays["usual_outside"])
        except KeyError as err:
            msg = f"the reference lacks {err}"
            raise ValueError(msg) from err
        if not (low.shape == high.shape == space.mean.shape and len(scale.center) == 2):
            msg = (
                f"the reference of a table does not fit together: {len(space.mean)} "
                f"features, ranges {low.shape} and {high.shape}, {len(scale.center)} "
                "distances (expected 2)"
            )
            raise ValueError(msg)
        return cls(space, scale, low, high, usual)


def fit_table_guard(rows: ArrayLike) -> TableGuard:
    """Learn what the rows of training patients look like.

    Parameters
    ----------
    rows : array_like of float, shape (n, g)
        Model-ready, one per training patient.

    Returns
    -------
    TableGuard
        The same for the same rows.

    Raises
    ------
    ValueError
        If there are too few patients or a value is not finite.
    """
    values = np.asarray(rows, dtype=np.float64)

    def _judge(
        fit: NDArray[np.int64], others: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        low, high = np.quantile(values[fit], _RANGE, axis=0)
        judged = values[others]
        outside = ((judged < low) | (judged > high)).sum(axis=1)
        distances = fit_subspace(values[fit]).distances(judged)
        return np.column_stack([distances, outside])

    found = cross_fitted(len(values), _judge)
    low, high = np.quantile(values, _RANGE, axis=0)
    return TableGuard(
        space=fit_subspace(values),
        scale=fit_scale(found[:, :2], two_sided=True),
        low=low,
        high=high,
        usual_outside=int(np.quantile(found[:, 2], 0.95, method="higher")),
    )
