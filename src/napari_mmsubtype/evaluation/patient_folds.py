"""Folds, test sets and validation sets of whole patients, stratified by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class PatientClasses:
    """Each patient once per class that its rows have.

    Attributes
    ----------
    names : ndarray of str, shape (p,)
        The patients, sorted, so that the order of the rows does not matter.
    member : ndarray of int64, shape (n,)
        Position in `names` of each row's patient.
    patient, label : ndarray of int64, shape (q,)
        Pairs that occur, sorted; q equals p where no patient has two classes.
    """

    names: NDArray[np.str_]
    member: NDArray[np.int64]
    patient: NDArray[np.int64]
    label: NDArray[np.int64]

    def counts(self) -> dict[int, int]:
        """Count the patients of each class.

        Returns
        -------
        dict of int to int
            Of the classes that occur.
        """
        values, counts = np.unique(self.label, return_counts=True)
        return {int(v): int(n) for v, n in zip(values, counts, strict=True)}


def patient_classes(labels: ArrayLike, patients: Sequence[str]) -> PatientClasses:
    """Bring rows down to patients.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Class of each row.
    patients : sequence of str, length n
        Patient of each row.

    Returns
    -------
    PatientClasses
        The same for any order of the rows.

    Raises
    ------
    ValueError
        If the lengths differ or there is no row.
    """
    truth = np.asarray(labels, dtype=np.int64)
    named = np.asarray(patients, dtype=str)
    if truth.ndim != 1 or truth.shape != named.shape or not len(truth):
        msg = (
            "expected one class and one patient per row and at least one row, found "
            f"labels {truth.shape} and patients {named.shape}"
        )
        raise ValueError(msg)
    names, member = np.unique(named, return_inverse=True)
    pairs = np.unique(np.column_stack([member, truth]), axis=0)
    return PatientClasses(names, member, pairs[:, 0], pairs[:, 1])


def patient_folds(
    labels: ArrayLike,
    patients: Sequence[str],
    folds: int = 5,
    *,
    seed: int = 0,
    classes: Sequence[str] = (),
) -> NDArray[np.int64]:
    """Deal patients out into folds that hold each class alike.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Class of each row.
    patients : sequence of str, length n
        Patient of each row; all rows of a patient fall into one fold.
    folds : int, default: 5
        Number of folds.
    seed : int, default: 0
        Of the deal.
    classes : sequence of str, default: ()
        Names of the classes, for messages.

    Returns
    -------
    ndarray of int64, shape (n,)
        Fold of each row, 0 to ``folds - 1``; the order of the rows does not matter.

    Raises
    ------
    ConfigurationError
        If there are fewer than two folds, or a class has fewer patients than folds.

    Examples
    --------
    >>> place = patient_folds([0, 0, 1, 1], ["a", "b", "c", "d"], folds=2)
    >>> sorted(place[:2].tolist()), sorted(place[2:].tolist())
    ([0, 1], [0, 1])
    """
    pairs = patient_classes(labels, patients)
    check_folds(folds, pairs.counts(), classes)
    dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold_of = np.full(len(pairs.names), -1)
    blank = np.zeros((len(pairs.label), 1))
    for number, (_, held) in enumerate(dealer.split(blank, pairs.label, pairs.patient)):
        fold_of[pairs.patient[held]] = number
    return np.asarray(fold_of[pairs.member], dtype=np.int64)


def repeated_folds(
    labels: ArrayLike,
    patients: Sequence[str],
    folds: int = 5,
    repeats: int = 1,
    *,
    seed: int = 0,
    classes: Sequence[str] = (),
) -> NDArray[np.int64]:
    """Deal patients out anew several times.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Class of each row.
    patients : sequence of str, length n
        Patient of each row.
    folds : int, default: 5
        Number of folds of each repeat.
    repeats : int, default: 1
        How often the patients are dealt out.
    seed : int, default: 0
        Of the first repeat; the others follow from it.
    classes : sequence of str, default: ()
        Names of the classes, for messages.

    Returns
    -------
    ndarray of int64, shape (repeats, n)
        Fold of each row in each repeat; the first is that of `patient_folds`.

    Raises
    ------
    ConfigurationError
        As `patient_folds`, or if there is no repeat.
    """
    if repeats < 1:
        msg = f"a cross-validation has one repeat or more, found {repeats}"
        raise ConfigurationError(msg)
    seeds = [seed, *_further_seeds(seed, repeats - 1)]
    return np.stack(
        [patient_folds(labels, patients, folds, seed=s, classes=classes) for s in seeds]
    )


def drawn_patients(
    labels: ArrayLike,
    patients: Sequence[str],
    share: float = 0.2,
    *,
    seed: int = 0,
) -> NDArray[np.bool_]:
    """Draw a share of the patients of each class.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Class of each row.
    patients : sequence of str, length n
        Patient of each row.
    share : float, default: 0.2
        Of the patients of each class, above 0 and below 1.
    seed : int, default: 0
        Of the draw.

    Returns
    -------
    ndarray of bool, shape (n,)
        Rows of the patients drawn: for a fixed test set, or for the inner validation
        of a training set. Of a class with two patients or more, one at least is drawn
        and one at least is left; the only patient of a class is left.

    Raises
    ------
    ConfigurationError
        If the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        msg = f"a share of the patients is above 0 and below 1, found {share}"
        raise ConfigurationError(msg)
    pairs = patient_classes(labels, patients)
    rng = np.random.default_rng(seed)
    drawn = np.zeros(len(pairs.names), dtype=bool)
    settled = np.zeros(len(pairs.names), dtype=bool)
    # The rarest class first: where a patient has two, the rare one is hard to serve.
    for value, count in sorted(pairs.counts().items(), key=lambda item: item[1]):
        own = pairs.patient[pairs.label == value]
        target = min(max(round(share * count), 1), count - 1)
        free = rng.permutation(own[~settled[own]])
        wanted = max(target - int(drawn[own].sum()), 0)
        drawn[free[:wanted]] = True
        settled[own] = True
    return np.asarray(drawn[pairs.member], dtype=np.bool_)


def check_folds(folds: int, counts: dict[int, int], classes: Sequence[str]) -> None:
    """Refuse folds that cannot hold every class.

    Parameters
    ----------
    folds : int
        Number of folds wanted.
    counts : dict of int to int
        Patients of each class.
    classes : sequence of str
        Names of the classes; may be empty.

    Raises
    ------
    ConfigurationError
        If there are fewer than two folds, or a class has fewer patients than folds.
    """
    if folds < 2:
        msg = f"a cross-validation has two folds or more, found {folds}"
        raise ConfigurationError(msg)
    few = {value: n for value, n in counts.items() if n < folds}
    if few:
        found = ", ".join(
            f"{class_name(value, classes)}: {n}" for value, n in few.items()
        )
        least = min(few.values())
        advice = f"use at most {least} folds, " if least > 1 else ""
        msg = (
            f"{folds} folds need {folds} patients of each class at least, found "
            f"{found}; {advice}join the class with another, or leave it out"
        )
        raise ConfigurationError(msg)


def class_name(value: int, classes: Sequence[str]) -> str:
    """Name a class in a message.

    Parameters
    ----------
    value : int
        The class.
    classes : sequence of str
        Names; may be empty.

    Returns
    -------
    str
        Its name, or its number.
    """
    return f"{classes[value]!r}" if value < len(classes) else f"class {value}"


def listed(names: Sequence[object]) -> str:
    """Name the first few of many in a message.

    Parameters
    ----------
    names : sequence
        What to list.

    Returns
    -------
    str
        Up to three, and how many more there are.
    """
    more = len(names) - _SHOWN
    shown = ", ".join(str(name) for name in names[:_SHOWN])
    return shown + (f" and {more} more" if more > 0 else "")


def _further_seeds(seed: int, count: int) -> list[int]:
    if not count:
        return []
    return [int(word) for word in np.random.SeedSequence(seed).generate_state(count)]
