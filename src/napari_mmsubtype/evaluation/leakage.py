"""Alarms: what could be known of the class without looking at the disease."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.evaluation.probes import (
    area_estimate,
    association_p,
    probe_area,
)
from napari_mmsubtype.evaluation.resampling import REPEATS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_mmsubtype.evaluation.metrics import Estimate

PROBE_LIMIT = 0.6
"""Area under the ROC curve from which on a probe that should know nothing alarms."""

_CHANCE = 0.5
_SURE = 0.005
_FAR = 2.5758293035489004
"""Standard deviations that chance exceeds upwards in 1 of 200 cases."""
_SHARED = 2**0.5
"""Folds are judged by models that learned from each other's labels: what a pair of
patients has in common counts in both their folds, which can double the variance."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that could make an evaluation look better than it is.

    Attributes
    ----------
    name : str
        ``missingness``, ``site``, ``random_labels``, ``clinical_column`` or
        ``duplicate_patients``.
    raised : bool
        Whether it was found.
    value : Estimate or None
        What was measured; None where nothing could be.
    limit : float
        Value from which on the alarm is raised.
    message : str
        What was found, in one sentence, and what to do where the alarm is raised.
    """

    name: str
    raised: bool
    value: Estimate | None
    limit: float
    message: str

    def record(self) -> dict[str, Any]:
        """Put the alarm into plain JSON types.

        Returns
        -------
        dict
            ``name``, ``raised``, ``value``, ``limit`` and ``message``.
        """
        return asdict(self)


def missingness_alarm(
    labels: ArrayLike,
    present: ArrayLike,
    patients: Sequence[str],
    folds: ArrayLike,
    *,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Alarm:
    """Ask whether the class can be told from which modalities a patient has.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes.
    present : array_like of bool, shape (n, m)
        Modalities that each row has.
    patients : sequence of str, length n
        Patient of each row.
    folds : array_like of int, shape (n,)
        Fold of each row.
    repeats : int, default: 2000
        Resamples behind the interval.
    seed : int, default: 0
        Of the resamples.

    Returns
    -------
    Alarm
        Of the area under the ROC curve of a logistic regression, out of fold.
    """
    values = np.asarray(present, dtype=bool)
    # Which modalities, and which of them together.
    _, pattern = np.unique(values, axis=0, return_inverse=True)
    found = probe_area(labels, pattern, patients, folds, repeats=repeats, seed=seed)
    return _probe_alarm(
        "missingness",
        _unless_chance(found, labels, pattern, patients, seed),
        "which modalities a patient has",
        "missing data give the class away: compare on patients who have the same "
        "modalities, or on complete cases",
    )


def site_alarm(
    labels: ArrayLike,
    sites: Sequence[str],
    patients: Sequence[str],
    folds: ArrayLike,
    *,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Alarm:
    """Ask whether the class can be told from the hospital alone.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes.
    sites : sequence of str, length n
        Site of each row; empty where not known.
    patients : sequence of str, length n
        Patient of each row.
    folds : array_like of int, shape (n,)
        Fold of each row. Where folds keep sites whole, no site that is judged was
        learned from, and the alarm stays silent as it should.
    repeats : int, default: 2000
        Resamples behind the interval.
    seed : int, default: 0
        Of the resamples.

    Returns
    -------
    Alarm
        Of the area under the ROC curve of a logistic regression, out of fold.
    """
    _, place = np.unique(np.asarray(sites, dtype=str), return_inverse=True)
    found = probe_area(labels, place, patients, folds, repeats=repeats, seed=seed)
    return _probe_alarm(
        "site",
        _unless_chance(found, labels, place, patients, seed),
        "the site alone",
        "stain and scanner betray the site, and the site the class: use folds that "
        "keep sites whole",
    )


def random_label_alarm(
    labels: ArrayLike,
    scores: ArrayLike,
    patients: Sequence[str],
    folds: ArrayLike,
    *,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Alarm:
    """Ask whether labels of held-out patients reach the training.

    Labels are shuffled among all patients before anything is trained, and predictions
    are judged by the shuffled ones: nothing but the labels themselves knows those of
    held-out patients. Judged by the true labels, the same predictions would be far from
    chance to either side without any fault, as a boundary that shuffled labels happen
    to put between two true classes parts these well, or exactly the wrong way round.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Shuffled classes, from 0; may be empty where nothing was trained.
    scores : array_like of float, shape (n, c)
        Probabilities of models that were trained on them, out of fold.
    patients : sequence of str, length n
        Patient of each row.
    folds : array_like of int, shape (n,)
        Fold of each row; folds of different repeats have different numbers.
    repeats : int, default: 2000
        Resamples behind the interval.
    seed : int, default: 0
        Of the resamples.

    Returns
    -------
    Alarm
        Of the area under the ROC curve within folds, raised where it is further above
        chance than it would be in 1 of 200 cases. One patient under two identifiers is
        no such case: the two have shuffled labels of their own.
    """
    truth = np.asarray(labels, dtype=np.int64)
    said = np.asarray(scores, dtype=np.float64)
    place = np.asarray(folds, dtype=np.int64)
    what = "a model trained on shuffled labels"
    found = None
    if len(truth):
        found = area_estimate(truth, said, patients, place, repeats=repeats, seed=seed)
    if found is None:
        return _not_judged("random_labels", what)
    limit = _CHANCE + _FAR * _SHARED * _spread(truth, said, place)
    raised = found.value > limit
    words = f"ROC-AUC {found}, where 0.5 is chance"
    message = (
        f"{what} knows those of held-out patients ({words}): their labels reach the "
        "training; look for patients in both parts, and fit everything inside the "
        "folds, above all the choice of features"
        if raised
        else f"{what} does not know those of held-out patients ({words})"
    )
    return Alarm("random_labels", raised, found, limit, _sentence(message))


def _spread(
    truth: NDArray[np.int64], scores: NDArray[np.float64], folds: NDArray[np.int64]
) -> float:
    """Give the standard deviation of the area if labels were dealt anew within folds.

    That of Mann and Whitney, with ties. Over several classes, the mean of theirs, as if
    they rose and fell together.
    """
    count = scores.shape[1]
    spreads = []
    for value in [1] if count == 2 else range(count):
        variance = pairs = 0.0
        for fold in np.unique(folds):
            own = folds == fold
            size, member = int(own.sum()), int((truth[own] == value).sum())
            here = float(member * (size - member))
            if not here:
                continue
            _, ties = np.unique(scores[own, value], return_counts=True)
            tied = float((ties.astype(np.float64) ** 3 - ties).sum())
            variance += here / 12 * (size + 1 - tied / (size * (size - 1)))
            pairs += here
        spreads.append(variance**0.5 / pairs)
    return float(np.mean(spreads))


def _unless_chance(
    value: Estimate | None,
    labels: ArrayLike,
    groups: NDArray[np.int64],
    patients: Sequence[str],
    seed: int,
) -> tuple[Estimate | None, bool]:
    """Add whether the groups differ by more than chance.

    Patients that happen to fall unevenly into groups do so in all folds alike, which
    an interval from resampled patients does not know.
    """
    return value, association_p(labels, groups, patients, seed=seed) < _SURE


def _probe_alarm(
    name: str, judged: tuple[Estimate | None, bool], what: str, advice: str
) -> Alarm:
    """Judge a probe that should know nothing."""
    value, is_sure = judged
    if value is None:
        return _not_judged(name, what)
    raised = is_sure and value.value >= PROBE_LIMIT and value.low > _CHANCE
    found = f"ROC-AUC {value}, where 0.5 is chance"
    message = (
        f"{what} tells the class ({found}): {advice}"
        if raised
        else f"{what} does not tell the class to speak of ({found})"
    )
    return Alarm(name, raised, value, PROBE_LIMIT, _sentence(message))


def _not_judged(name: str, what: str) -> Alarm:
    """Say that there was nothing to judge."""
    message = f"Not judged: {what} could not be tried"
    return Alarm(name, raised=False, value=None, limit=PROBE_LIMIT, message=message)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
