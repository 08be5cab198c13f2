"""Signs that results are better than the data allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.omics.clinical_leakage import find_leaks
from napari_mmsubtype.workflows.duplicate_patients import find_duplicates
from napari_mmsubtype.workflows.model_list import MISSINGNESS, SITE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_mmsubtype.workflows.cohort_setup import OpenedCohort
    from napari_mmsubtype.workflows.fold_plan import FoldPlan

LIMIT = 0.6
"""Area under the ROC curve above which a model that should know nothing knows too much.
"""

_SHOWN = 5
_ADVICE = {
    MISSINGNESS: (
        "which data a patient has tells the class; train on patients who have the "
        "same, or read results by subset of modalities"
    ),
    SITE: (
        "the site tells the class; keep sites whole (validation.group=site), and look "
        "at results by site"
    ),
    "random_labels": (
        "a model trained on shuffled labels knows something; patients may be in the "
        "cohort twice, or the folds may be wrong"
    ),
}


def find_alarms(
    opened: OpenedCohort,
    plan: FoldPlan,
    records: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Look for leaks.

    Parameters
    ----------
    opened : OpenedCohort
        The cohort.
    plan : FoldPlan
        Its folds.
    records : mapping of str to mapping
        Models of ``results.json``.

    Returns
    -------
    list of dict
        ``name``, ``raised``, ``value``, ``limit``, ``message``; one for each kind of
        leak, raised or not.
    """
    found = []
    for name, model in ((MISSINGNESS, f"probe/{MISSINGNESS}"), (SITE, f"probe/{SITE}")):
        if model in records:
            found.append(_knows(name, records[model]))
    controls = [r for r in records.values() if r["kind"] == "control"]
    found += [_knows("random_labels", record) for record in controls]
    if Modality.CLINICAL in opened.cohort.tables:
        found.append(_clinical(opened))
    found += [_duplicates(opened), _overlap(opened, plan)]
    return found


def _knows(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Judge a model that should know nothing."""
    metric = record["metrics"].get("roc_auc")
    raised = bool(
        metric is not None and metric["value"] > LIMIT and metric["low"] > 0.5
    )
    what = str(record["title"])
    if metric is None:
        message = f"{what}: not scored ({record['skipped'] or 'a class is absent'})"
    else:
        message = (
            f"{what}: ROC-AUC {metric['value']:.3f} "
            f"[{metric['low']:.3f}, {metric['high']:.3f}]"
        )
    if raised:
        message += f": {_ADVICE[name]}"
    return _alarm(name, raised, metric, LIMIT, message)


def _clinical(opened: OpenedCohort) -> dict[str, Any]:
    """Look for clinical columns whose values tell the class."""
    cohort = opened.cohort
    table = cohort.tables[Modality.CLINICAL]
    frame = table.table.obs.drop(columns="sample", errors="ignore")
    labels = cohort.labels[table.has].tolist()
    by_name = {leak.column for leak in find_leaks(frame)}
    leaks = [k for k in find_leaks(frame, labels) if k.column not in by_name]
    if leaks:
        told = ", ".join(map(str, leaks[:_SHOWN]))
        message = (
            f"{len(leaks)} clinical columns tell the class: {told}; they were not "
            "used. See how they came about: others may tell it less plainly"
        )
    else:
        message = f"none of {frame.shape[1]} clinical columns tells the class"
    return _alarm("clinical_column", bool(leaks), None, 0, message)


def _duplicates(opened: OpenedCohort) -> dict[str, Any]:
    """Look for one patient under two identifiers."""
    pairs = find_duplicates(opened.cohort, opened.inputs[0].bags)
    if pairs:
        told = "; ".join(f"{a} and {b} ({what})" for a, b, what in pairs[:_SHOWN])
        message = (
            f"{len(pairs)} pairs of patients have the same data: {told}; give them "
            "one patient_id, or remove one"
        )
    else:
        message = "no two patients have the same data"
    return _alarm("duplicate_patients", bool(pairs), None, 0, message)


def _overlap(opened: OpenedCohort, plan: FoldPlan) -> dict[str, Any]:
    """Count patients that are in two parts of a split."""
    names = opened.cohort.patients
    shared = 0
    for split in plan.splits:
        parts = [{names[row] for row in rows} for rows in split.parts().values()]
        shared += sum(map(len, parts)) - len(set.union(*parts))
    message = f"{shared} patients are in two parts of one of {len(plan.splits)} splits"
    return _alarm("overlap", shared > 0, None, 0, message)


def _alarm(
    name: str, raised: bool, value: object, limit: float, message: str
) -> dict[str, Any]:
    return {
        "name": name,
        "raised": raised,
        "value": value,
        "limit": limit,
        "message": message,
    }
