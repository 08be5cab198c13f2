"""Logistic regressions beside the networks: tables, mean embeddings, and probes."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from napari_mmsubtype.core.cases import Modality, subset_key
from napari_mmsubtype.evaluation.splits import assert_disjoint
from napari_mmsubtype.workflows.fold_answers import CLASS
from napari_mmsubtype.workflows.fold_fusion import LEAST_PER_CLASS, SkippedFoldError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.training.bags import BagSet

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse strengths of the penalty among which an inner cross-validation chooses."""

_INNER_FOLDS = 4
_STEPS = 500


@dataclass(frozen=True, slots=True, eq=False)
class SimpleData:
    """Numbers of some patients, for one logistic regression.

    Attributes
    ----------
    values : ndarray of float64, shape (n, g)
        One row per patient.
    labels : ndarray of int64, shape (n,)
        Classes; -1 where not known.
    patients : tuple of str
        Identifiers.
    sites : ndarray of str, shape (n,)
        Empty where not known.
    present : tuple of str
        What each patient has of the model's modalities.
    train, test : ndarray of int64
        Rows; validation patients are among the training rows, as they choose nothing
        else here.
    subset : str
        Modalities of the model.
    """

    values: NDArray[np.float64]
    labels: NDArray[np.int64]
    patients: tuple[str, ...]
    sites: NDArray[np.str_]
    present: tuple[str, ...]
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    subset: str


def fit_logistic(
    data: SimpleData, *, name: str, classes: int, seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Train a logistic regression and let it answer the test patients.

    Parameters
    ----------
    data : SimpleData
        The patients.
    name : str
        Of the model.
    classes : int
        Number of classes.
    seed : int
        Of the inner folds.

    Returns
    -------
    predictions : DataFrame
        Rows of ``predictions.parquet``, without repeat and fold.
    facts : dict
        Plain JSON types.

    Raises
    ------
    SkippedFoldError
        If there are too few patients of a class, or nobody to answer for.

    Notes
    -----
    The values are scaled, and the penalty is chosen, on training rows alone. Classes
    weigh the same.
    """
    started = time.monotonic()
    assert_disjoint({"train": data.train, "test": data.test}, data.patients)
    train = data.train[data.labels[data.train] >= 0]
    truth = data.labels[train]
    counts = np.bincount(truth, minlength=classes)
    if counts.min() < LEAST_PER_CLASS or data.values.shape[1] == 0:
        msg = (
            f"{counts.tolist()} training patients of the classes have the data; at "
            f"least {LEAST_PER_CLASS} of each are needed"
        )
        raise SkippedFoldError(msg)
    if len(data.test) == 0:
        msg = "no patient of the held-out fold has the data"
        raise SkippedFoldError(msg)
    scaler = StandardScaler().fit(data.values[train])
    scaled = scaler.transform(data.values[train])
    strength = choose_strength(scaled, truth, classes=classes, seed=seed)
    model = _fit(scaled, truth, strength)
    chances = model.predict_proba(scaler.transform(data.values[data.test]))
    frame = pd.DataFrame({f"p{c}": chances[:, c] for c in range(classes)}).assign(
        model=name,
        head=CLASS,
        subset=data.subset,
        main=True,
        present=[data.present[row] for row in data.test],
        patient_id=[data.patients[row] for row in data.test],
        site=data.sites[data.test],
        y=data.labels[data.test],
        predicted=chances.argmax(axis=1),
        # Its classes weigh the same from the outset: no threshold is chosen.
        called=chances.argmax(axis=1),
    )
    facts = {
        "patients": len(data.test),
        "training_patients": len(train),
        "seconds": time.monotonic() - started,
        "strength": strength,
    }
    return frame, facts


def choose_strength(
    values: NDArray[np.float64], labels: NDArray[np.int64], *, classes: int, seed: int
) -> float:
    """Choose the penalty by an inner cross-validation.

    Parameters
    ----------
    values : ndarray of float64, shape (n, g)
        Of training patients.
    labels : ndarray of int64, shape (n,)
        Their classes.
    classes : int
        Number of classes.
    seed : int
        Of the inner folds.

    Returns
    -------
    float
        Of `STRENGTHS`, the one with the lowest log-loss.
    """
    counts = np.bincount(labels, minlength=classes)
    folds = min(_INNER_FOLDS, int(counts.min()))
    inner = StratifiedKFold(folds, shuffle=True, random_state=seed)
    losses = np.zeros(len(STRENGTHS))
    for rest, held in inner.split(values, labels):
        for number, strength in enumerate(STRENGTHS):
            chances = _fit(values[rest], labels[rest], strength).predict_proba(
                values[held]
            )
            of_truth = chances[np.arange(len(held)), labels[held]]
            losses[number] -= np.log(np.maximum(of_truth, 1e-12)).sum()
    return STRENGTHS[int(losses.argmin())]


def _fit(
    values: NDArray[np.float64], labels: NDArray[np.int64], strength: float
) -> LogisticRegression:
    """Fit one logistic regression."""
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=_STEPS)
    with warnings.catch_warnings():
        # A fit that is stopped early is judged as it is, like any other.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(values, labels)


def feature_data(
    cases: BagSet,
    sites: NDArray[np.str_],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    modalities: Sequence[Modality],
) -> SimpleData:
    """Take the numbers of some modalities.

    Parameters
    ----------
    cases : BagSet
        All patients, in features that were fitted on training patients.
    sites : ndarray of str, shape (n,)
        Of the cases.
    train, test : ndarray of int64
        Positions among the cases.
    modalities : sequence of Modality
        The image gives its mean embedding; of several tables an absent one counts as
        average, and a column says that it is absent.

    Returns
    -------
    SimpleData
        Of the patients that have any of it.
    """
    columns = [cases.modalities.index(m) for m in modalities]
    here = cases.present[:, columns]
    has = np.asarray(here.any(axis=1), bool)
    blocks = []
    for position, modality in enumerate(modalities):
        if modality is Modality.IMAGE:
            block = np.zeros((len(cases), cases.dim))
            for row in np.flatnonzero(here[:, position]):
                block[row] = np.asarray(cases.bags[int(row)], np.float64).mean(axis=0)
        else:
            block = np.where(
                here[:, position, None], cases.omics[modality], 0.0
            ).astype(np.float64)
        blocks.append(block)
    if len(modalities) > 1:
        blocks.append((~here).astype(np.float64))
    present = tuple(
        subset_key(m for m, h in zip(modalities, row, strict=True) if h) for row in here
    )
    return SimpleData(
        values=np.concatenate(blocks, axis=1),
        labels=cases.labels,
        patients=cases.patients,
        sites=sites,
        present=present,
        train=train[has[train]],
        test=test[has[test]],
        subset=subset_key(modalities),
    )


def one_hot_sites(
    sites: NDArray[np.str_], train: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Give each site of the training patients a column.

    Parameters
    ----------
    sites : ndarray of str, shape (n,)
        Empty where not known.
    train : ndarray of int64
        Rows of the training patients.

    Returns
    -------
    ndarray of float64, shape (n, sites)
        Zero for a site that no training patient comes from.
    """
    known = [site for site in np.unique(sites[train]) if site]
    hits = [(sites == site).astype(np.float64) for site in known]
    return np.stack(hits, axis=1) if hits else np.empty((len(sites), 0))
