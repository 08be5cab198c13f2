"""Who trains, who validates, who is judged: splits that share no patient."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.patient_folds import (
    class_name,
    drawn_patients,
    listed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

HELD_OUT = -1
"""Fold of rows that belong to a fixed test set: no fold trains on them."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows of one round of training and judging.

    Attributes
    ----------
    repeat : int
        Which dealing-out of the patients.
    fold : int
        The fold that is judged; `HELD_OUT` where the fixed test set is.
    train, validation, test : ndarray of int64
        Row numbers, ascending; validation is for early stopping, thresholds and
        temperature, and is empty where none was asked for.
    """

    repeat: int
    fold: int
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def name(self) -> str:
        """Say in words which split this is."""
        if self.fold == HELD_OUT:
            return "fixed test set"
        return f"repeat {self.repeat + 1}, fold {self.fold + 1}"

    def parts(self) -> dict[str, NDArray[np.int64]]:
        """Give the rows by what they are for.

        Returns
        -------
        dict of str to ndarray of int64
            ``train``, ``validation`` and ``test``.
        """
        return {"train": self.train, "validation": self.validation, "test": self.test}


def fold_splits(
    folds: ArrayLike,
    labels: ArrayLike,
    patients: Sequence[str],
    *,
    sites: Sequence[str] | None = None,
    validation: float = 0.2,
    seed: int = 0,
    repeat: int = 0,
    classes: Sequence[str] = (),
) -> tuple[Split, ...]:
    """Turn folds into splits, one for each fold that is judged.

    Parameters
    ----------
    folds : array_like of int, shape (n,)
        Fold of each row; rows of `HELD_OUT` are kept out of all splits.
    labels : array_like of int, shape (n,)
        Class of each row.
    patients : sequence of str, length n
        Patient of each row.
    sites : sequence of str, length n, optional
        Give them where the folds keep sites whole: no site may then be both trained on
        and judged.
    validation : float, default: 0.2
        Share of the training patients of each class that is kept for validation;
        0 keeps none.
    seed : int, default: 0
        Of the validation patients.
    repeat : int, default: 0
        Number of the repeat, for names and seeds.
    classes : sequence of str, default: ()
        Names of the classes, for messages.

    Returns
    -------
    tuple of Split
        In the order of the folds. That no patient (and no site) is in two parts of a
        split has been asserted.

    Raises
    ------
    ConfigurationError
        If a patient or site is on both sides, or training rows lack a class.

    Examples
    --------
    >>> patients = ["a", "b", "c", "d"]
    >>> splits = fold_splits([0, 0, 1, 1], [0, 1, 0, 1], patients, validation=0)
    >>> [split.test.tolist() for split in splits]
    [[0, 1], [2, 3]]
    """
    place = np.asarray(folds, dtype=np.int64)
    numbers = [int(fold) for fold in np.unique(place) if fold != HELD_OUT]
    if len(numbers) < 2:
        msg = f"a cross-validation has two folds or more, found {len(numbers)}"
        raise ConfigurationError(msg)
    return tuple(
        _split(
            np.flatnonzero((place != fold) & (place != HELD_OUT)),
            np.flatnonzero(place == fold),
            (repeat, fold),
            (labels, patients, sites, classes),
            validation,
            seed,
        )
        for fold in numbers
    )


def held_out_split(
    test: ArrayLike,
    labels: ArrayLike,
    patients: Sequence[str],
    *,
    sites: Sequence[str] | None = None,
    validation: float = 0.2,
    seed: int = 0,
    classes: Sequence[str] = (),
) -> Split:
    """Train on everything but a fixed test set.

    Parameters
    ----------
    test : array_like of bool, shape (n,)
        Rows of the fixed test set.
    labels : array_like of int, shape (n,)
        Class of each row.
    patients : sequence of str, length n
        Patient of each row.
    sites : sequence of str, length n, optional
        As in `fold_splits`.
    validation : float, default: 0.2
        As in `fold_splits`.
    seed : int, default: 0
        Of the validation patients.
    classes : sequence of str, default: ()
        Names of the classes, for messages.

    Returns
    -------
    Split
        Of fold `HELD_OUT`.

    Raises
    ------
    ConfigurationError
        As `fold_splits`, or if nothing, or everything, is in the test set.
    """
    held = np.asarray(test, dtype=bool)
    if not held.any() or held.all():
        msg = (
            f"a fixed test set holds some of the patients, found {int(held.sum())} of "
            f"{len(held)} rows in it"
        )
        raise ConfigurationError(msg)
    return _split(
        np.flatnonzero(~held),
        np.flatnonzero(held),
        (0, HELD_OUT),
        (labels, patients, sites, classes),
        validation,
        seed,
    )


def assert_disjoint(
    parts: Mapping[str, ArrayLike],
    groups: Sequence[str],
    *,
    what: str = "patient",
) -> None:
    """Refuse parts that share a patient, or a site.

    Parameters
    ----------
    parts : mapping of str to array_like of int
        Row numbers by what they are for.
    groups : sequence of str, length n
        Patient, or site, of every row of the cohort.
    what : str, default: "patient"
        What the groups are, for the message.

    Raises
    ------
    ConfigurationError
        Naming the parts and some of what they share.
    """
    named = np.asarray(groups, dtype=str)
    held = {
        part: np.unique(named[np.asarray(rows, dtype=np.int64)])
        for part, rows in parts.items()
    }
    for (one, first), (other, second) in combinations(held.items(), 2):
        shared = np.intersect1d(first, second)
        if len(shared):
            plural = what if len(shared) == 1 else f"{what}s"
            msg = (
                f"{len(shared)} {plural} in both {one} and {other} "
                f"({listed(shared.tolist())}): what was learned from would be judged; "
                f"put all rows of a {what} into one fold"
            )
            raise ConfigurationError(msg)


def _split(
    rest: NDArray[np.int64],
    test: NDArray[np.int64],
    place: tuple[int, int],
    cohort: tuple[ArrayLike, Sequence[str], Sequence[str] | None, Sequence[str]],
    validation: float,
    seed: int,
) -> Split:
    """Keep validation patients apart, and check what came out."""
    labels, patients, sites, classes = cohort
    truth, named = np.asarray(labels, dtype=np.int64), np.asarray(patients, dtype=str)
    kept = np.zeros(len(rest), dtype=bool)
    if validation:
        # Repeats and folds draw their validation patients independently.
        words = np.random.SeedSequence([seed, place[0], place[1] + 1]).generate_state(1)
        kept = drawn_patients(
            truth[rest], named[rest].tolist(), validation, seed=int(words[0])
        )
    split = Split(*place, rest[~kept], rest[kept], test)
    assert_disjoint(split.parts(), patients)
    if sites is not None:
        assert_disjoint({"train": rest, "test": test}, sites, what="site")
    known = np.concatenate([rest, test])
    lacking = np.setdiff1d(truth[known], truth[split.train])
    if len(lacking):
        names = ", ".join(class_name(int(value), classes) for value in lacking)
        msg = (
            f"{split.name}: no training patient of {names}, so it cannot be learned; "
            "use other folds, join the class with another, or leave it out"
        )
        raise ConfigurationError(msg)
    return split
