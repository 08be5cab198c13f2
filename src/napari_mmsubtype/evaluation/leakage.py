"""Alarms: what could be known of the class without looking at the disease."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.evaluation.probes import association_p, probe_area
from napari_mmsubtype.evaluation.resampling import REPEATS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_mmsubtype.evaluation.metrics import Estimate

PROBE_LIMIT = 0.6
"""Area under the ROC curve from which on a probe that should know nothing alarms."""

_CHANCE = 0.5
_SURE = 0.005


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


def random_label_alarm(value: Estimate | None) -> Alarm:
    """Ask whether a model that was trained on shuffled labels knows something.

    Parameters
    ----------
    value : Estimate or None
        Area under the ROC curve of a model that was trained and judged with labels
        shuffled among all patients before the folds were trained; None where it was
        not trained.

    Returns
    -------
    Alarm
        Raised where the shuffled labels of held-out patients are predicted: only rows
        shared between training and test can do that.
    """
    return _probe_alarm(
        "random_labels",
        (value, True),
        "a model trained on shuffled labels",
        "held-out patients were seen in training: look for shared patients, slides or "
        "rows, and fit everything inside the folds",
    )


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
        message = f"Not judged: {what} could not be tried"
        return Alarm(name, raised=False, value=None, limit=PROBE_LIMIT, message=message)
    raised = is_sure and value.value >= PROBE_LIMIT and value.low > _CHANCE
    found = f"ROC-AUC {value}, where 0.5 is chance"
    message = (
        f"{what} tells the class ({found}): {advice}"
        if raised
        else f"{what} does not tell the class to speak of ({found})"
    )
    return Alarm(name, raised, value, PROBE_LIMIT, message[0].upper() + message[1:])
