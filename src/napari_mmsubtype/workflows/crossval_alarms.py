"""Signs that results are better than the data allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.evaluation.duplicate_patients import duplicate_alarm
from napari_mmsubtype.evaluation.leakage import (
    Alarm,
    missingness_alarm,
    random_label_alarm,
    site_alarm,
)
from napari_mmsubtype.evaluation.telling_columns import telling_column_alarm
from napari_mmsubtype.omics.clinical_leakage import find_leaks
from napari_mmsubtype.workflows.cohort_profiles import patient_profiles
from napari_mmsubtype.workflows.image_cases import persons_on_both_sides
from napari_mmsubtype.workflows.model_scores import chances, class_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from napari_mmsubtype.workflows.cohort import Cohort
    from napari_mmsubtype.workflows.cohort_setup import OpenedCohort
    from napari_mmsubtype.workflows.fold_plan import FoldPlan


def find_alarms(
    opened: OpenedCohort,
    plan: FoldPlan,
    frames: Mapping[str, pd.DataFrame],
    controls: tuple[str, ...],
    *,
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Look for leaks.

    Parameters
    ----------
    opened : OpenedCohort
        The cohort.
    plan : FoldPlan
        Its folds.
    frames : mapping of str to DataFrame
        Predictions by model.
    controls : tuple of str
        Models that were trained on shuffled labels.
    resamples : int
        Behind each interval.
    seed : int
        Of the resampling.

    Returns
    -------
    list of dict
        ``name``, ``raised``, ``value``, ``limit``, ``message``; one for each kind of
        leak, raised or not.
    """
    cohort = opened.cohort
    place = _first_folds(plan, len(cohort))
    rows = np.flatnonzero((place >= 0) & (cohort.labels >= 0))
    labels, folds = cohort.labels[rows], place[rows]
    patients = [cohort.patients[row] for row in rows]
    image = np.array([len(bag) > 0 for bag in opened.inputs[0].bags])
    options = {"repeats": resamples, "seed": seed}
    found = []
    if plan.folds > 1:
        present = cohort.has(image)[rows]
        found.append(missingness_alarm(labels, present, patients, folds, **options))
        if len(set(cohort.sites.tolist())) > 1:
            sites = cohort.sites[rows].tolist()
            found.append(site_alarm(labels, sites, patients, folds, **options))
        if Modality.CLINICAL in cohort.tables:
            columns = _inputs(cohort, rows)
            found.append(
                telling_column_alarm(labels, columns, patients, folds, **options)
            )
    for name in controls:
        found.append(_control(frames[name], len(cohort.classes), resamples, seed))
    found.append(_duplicates(opened))
    return [*(alarm.record() for alarm in found), _overlap(cohort, plan)]


def _first_folds(plan: FoldPlan, n: int) -> NDArray[np.int64]:
    """Say in which fold of the first repeat each patient is judged; -1 for none."""
    place = np.full(n, -1, np.int64)
    for split in plan.splits:
        if split.repeat == 0:
            place[split.test] = max(split.fold, 0)
    return place


def _inputs(cohort: Cohort, rows: NDArray[np.int64]) -> dict[str, list[object]]:
    """Give the clinical columns that a model may look at, as they were written.

    Columns whose names give the class, the outcome or the patient away are never an
    input; what the others say is judged here.
    """
    table = cohort.tables[Modality.CLINICAL]
    frame = table.table.obs.drop(columns="sample", errors="ignore")
    named = {leak.column for leak in find_leaks(frame)}
    position = np.cumsum(table.has) - 1
    columns: dict[str, list[object]] = {}
    for name in frame.columns:
        if name not in named:
            values = frame[name].tolist()
            columns[str(name)] = [
                values[position[row]] if table.has[row] else "" for row in rows
            ]
    return columns


def _control(frame: pd.DataFrame, classes: int, resamples: int, seed: int) -> Alarm:
    """Judge a model that was trained on shuffled labels by those labels."""
    rows = frame if frame.empty else class_rows(frame)
    if rows.empty or rows["y"].nunique() < classes:
        return random_label_alarm([], [], [], [])
    place = rows.groupby(["repeat", "fold"]).ngroup()
    return random_label_alarm(
        rows["y"].to_numpy(),
        chances(rows, classes),
        rows["patient_id"].tolist(),
        place.to_numpy(np.int64),
        repeats=resamples,
        seed=seed,
    )


def _duplicates(opened: OpenedCohort) -> Alarm:
    """Look for one patient under two identifiers, in tables and embeddings."""
    cohort = opened.cohort
    tables = patient_profiles(cohort, opened.inputs[0].bags)
    return duplicate_alarm(cohort.patients, tables)


def _overlap(cohort: Cohort, plan: FoldPlan) -> dict[str, Any]:
    """Count patients that are in two parts of a split."""
    shared = persons_on_both_sides(cohort, plan.splits)
    message = f"{shared} patients are in two parts of one of {len(plan.splits)} splits"
    if shared:
        message += (
            ": the same patient in training and test makes every number here look "
            "better than it is; set validation.group=patient, or compare with "
            "published splits by image only"
        )
    return {
        "name": "overlap",
        "raised": shared > 0,
        "value": None,
        "limit": 1,
        "message": message,
    }
