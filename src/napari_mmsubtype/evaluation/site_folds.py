"""Folds that keep every site whole, so that no site is both learned and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.patient_folds import (
    PatientClasses,
    check_folds,
    class_name,
    listed,
    patient_classes,
)
from napari_mmsubtype.evaluation.site_assignment import Assignment, assign_sites

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class SiteFolds:
    """Folds of whole sites, and how even they are.

    Attributes
    ----------
    folds : ndarray of int64, shape (n,)
        Fold of each row.
    site_fold : dict of str to int
        Fold of each site.
    counts : ndarray of int64, shape (k, c)
        Patients of each class in each fold.
    criterion : float
        Sum over classes and folds of ``(k * count - total) ** 2``, as Howard and
        colleagues minimize it; 0 if every fold holds the same share of every class.
    is_optimal : bool
        Whether it is proven that no other folds have a lower criterion.
    notes : tuple of str
        What a reader must know, in sentences: folds without a class, sites tied to one
        another by a patient.

    References
    ----------
    .. [1] Howard et al., "The impact of site-specific digital histology signatures on
       deep learning model accuracy and bias", Nature Communications 2021.
    """

    folds: NDArray[np.int64]
    site_fold: dict[str, int]
    counts: NDArray[np.int64]
    criterion: float
    is_optimal: bool
    notes: tuple[str, ...]


def site_folds(
    labels: ArrayLike,
    patients: Sequence[str],
    sites: Sequence[str],
    folds: int = 5,
    *,
    seed: int = 0,
    time_limit_s: float = 10.0,
    classes: Sequence[str] = (),
) -> SiteFolds:
    """Deal whole sites out into folds that hold each class as evenly as may be.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Class of each row.
    patients : sequence of str, length n
        Patient of each row.
    sites : sequence of str, length n
        Hospital or collection that each row comes from. Sites that share a patient
        stay together.
    folds : int, default: 5
        Number of folds.
    seed : int, default: 0
        Of the search.
    time_limit_s : float, default: 10.0
        Seconds that the solver may take; the best folds found by then are given.
    classes : sequence of str, default: ()
        Names of the classes, for messages.

    Returns
    -------
    SiteFolds
        The folds and how even they are.

    Raises
    ------
    ConfigurationError
        If there are fewer sites than folds, a row has no site, a class has fewer
        patients than folds, or all patients of a class come from one site.
    """
    pairs = patient_classes(labels, patients)
    named = np.asarray([str(site).strip() for site in sites], dtype=str)
    if named.shape != pairs.member.shape:
        msg = f"{len(pairs.member)} rows need as many sites, found {named.shape}"
        raise ValueError(msg)
    unknown = np.unique(pairs.names[pairs.member[named == ""]])
    if len(unknown):
        msg = (
            f"{len(unknown)} patients have no site ({listed(unknown.tolist())}); folds "
            "that keep sites whole need the site of every patient: fill it in, leave "
            "them out, or use folds of patients"
        )
        raise ConfigurationError(msg)
    names, site = np.unique(named, return_inverse=True)
    block_of_site = _blocks(pairs, site, len(names))
    blocks = int(block_of_site.max()) + 1
    block_of_patient = np.zeros(len(pairs.names), dtype=np.int64)
    block_of_patient[pairs.member] = block_of_site[site]
    counts = _counts(pairs, block_of_patient, blocks)
    _check(folds, pairs, counts, names, block_of_site, classes)
    found = assign_sites(counts, folds, seed=seed, time_limit_s=time_limit_s)
    return SiteFolds(
        folds=found.fold[block_of_site[site]],
        site_fold={
            str(name): int(found.fold[block])
            for name, block in zip(names, block_of_site, strict=True)
        },
        counts=found.counts,
        criterion=found.criterion,
        is_optimal=found.is_optimal,
        notes=tuple(_notes(pairs, found, names, block_of_site, classes)),
    )


def _blocks(
    pairs: PatientClasses, site: NDArray[np.int64], sites: int
) -> NDArray[np.int64]:
    """Give sites that share a patient the same number."""
    patients = len(pairs.names)
    size = sites + patients
    ties = coo_array(
        (np.ones(len(site), dtype=bool), (site, sites + pairs.member)),
        shape=(size, size),
    )
    _, block = connected_components(ties, directed=False)
    _, numbered = np.unique(block[:sites], return_inverse=True)
    return np.asarray(numbered, dtype=np.int64)


def _counts(
    pairs: PatientClasses, block_of_patient: NDArray[np.int64], blocks: int
) -> NDArray[np.int64]:
    """Count the patients of each class at each block of sites."""
    values, column = np.unique(pairs.label, return_inverse=True)
    counts = np.zeros((blocks, len(values)), dtype=np.int64)
    np.add.at(counts, (block_of_patient[pairs.patient], column), 1)
    return counts


def _check(
    folds: int,
    pairs: PatientClasses,
    counts: NDArray[np.int64],
    names: NDArray[np.str_],
    block_of_site: NDArray[np.int64],
    classes: Sequence[str],
) -> None:
    """Refuse sites that no folds can keep whole."""
    check_folds(folds, pairs.counts(), classes)
    if len(counts) < folds:
        tied = " that share no patient" if len(counts) < len(names) else ""
        msg = (
            f"{folds} folds of whole sites need {folds} sites at least, found "
            f"{len(counts)}{tied}; use fewer folds, or folds of patients"
        )
        raise ConfigurationError(msg)
    for value, column in zip(pairs.counts(), counts.T, strict=True):
        holders = np.flatnonzero(column)
        if len(holders) == 1:
            where = listed(names[block_of_site == holders[0]].tolist())
            msg = (
                f"all {column.sum()} patients of {class_name(value, classes)} come "
                f"from one site ({where}): site and class cannot be told apart, and "
                "where that site is judged the class was never learned; add patients "
                "of other sites, leave the class out, or use folds of patients"
            )
            raise ConfigurationError(msg)


def _notes(
    pairs: PatientClasses,
    found: Assignment,
    names: NDArray[np.str_],
    block_of_site: NDArray[np.int64],
    classes: Sequence[str],
) -> list[str]:
    """Say what a reader must know about the folds."""
    notes = []
    for value, column in zip(pairs.counts(), found.counts.T, strict=True):
        empty = np.flatnonzero(column == 0)
        if len(empty):
            notes.append(
                f"{len(empty)} of {len(column)} folds hold no patient of "
                f"{class_name(value, classes)}: its numbers come from the others"
            )
    for block in range(int(block_of_site.max()) + 1):
        tied = names[block_of_site == block]
        if len(tied) > 1:
            notes.append(
                f"the sites {listed(tied.tolist())} share a patient and stay in one "
                "fold"
            )
    return notes
