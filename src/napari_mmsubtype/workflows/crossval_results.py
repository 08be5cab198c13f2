"""Write ``results.json`` and ``predictions.parquet`` from what the folds left."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_mmsubtype.core.provenance import Provenance
from napari_mmsubtype.workflows.cohort_profiles import (
    patient_maps,
    patient_profiles,
)
from napari_mmsubtype.workflows.cohort_record import cohort_record
from napari_mmsubtype.workflows.cohort_request import command_words
from napari_mmsubtype.workflows.crossval_alarms import find_alarms
from napari_mmsubtype.workflows.crossval_comparisons import compare_all
from napari_mmsubtype.workflows.fold_answers import CLASS, complete
from napari_mmsubtype.workflows.fold_data import place_of
from napari_mmsubtype.workflows.fold_plan import describe_split
from napari_mmsubtype.workflows.folder_files import write_json, write_parquet
from napari_mmsubtype.workflows.model_list import FusionVariant
from napari_mmsubtype.workflows.model_scores import (
    class_rows,
    fold_scores,
    head_record,
    score_classes,
    score_heads,
    score_subsets,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_mmsubtype.workflows.cohort_request import CohortRequest
    from napari_mmsubtype.workflows.cohort_setup import OpenedCohort
    from napari_mmsubtype.workflows.fold_plan import FoldPlan
    from napari_mmsubtype.workflows.fold_store import FoldStore
    from napari_mmsubtype.workflows.model_list import SimpleModel

FORMAT, VERSION = "mmsubtype-crossval", 1
_DRAFT = 50
RESULTS, PREDICTIONS = "results.json", "predictions.parquet"


def write_results(
    request: CohortRequest,
    opened: OpenedCohort,
    plan: FoldPlan,
    models: Sequence[FusionVariant | SimpleModel],
    store: FoldStore,
    *,
    complete_run: bool,
) -> dict[str, Any]:
    """Score what there is and write both files.

    Parameters
    ----------
    request : CohortRequest
        What was asked.
    opened : OpenedCohort
        The cohort.
    plan : FoldPlan
        The folds.
    models : sequence of FusionVariant or SimpleModel
        In the order of the results.
    store : FoldStore
        What each model said on each fold.
    complete_run : bool
        Whether nothing is left to be done; before that, intervals are rough,
        and there are neither comparisons nor alarms.

    Returns
    -------
    dict
        As written to ``results.json``.
    """
    settings = opened.inputs[0].preset.validation
    resamples = settings.bootstrap if complete_run else min(settings.bootstrap, _DRAFT)
    seed = plan.seeds[0]
    facts = {model.name: _facts(model.name, plan, store) for model in models}
    width = _width(opened)
    frames = {name: _frame(known, store, width) for name, known in facts.items()}
    records = {
        model.name: _model_record(
            model, facts[model.name], frames[model.name], opened, resamples, seed
        )
        for model in models
    }
    everything = [frame for frame in frames.values() if len(frame)]
    if everything:
        whole = pd.concat(everything, ignore_index=True)
        write_parquet(request.out / PREDICTIONS, whole)
    cohort = opened.cohort
    content = {
        "format": FORMAT,
        "version": VERSION,
        "complete": complete_run,
        "request": _request_record(request, opened),
        "provenance": {
            **Provenance.collect().to_dict(),
            "seconds": sum(record["seconds"] for record in records.values()),
        },
        "classes": [
            {"name": s.name, "color": s.color} for s in opened.inputs[0].preset.classes
        ],
        "heads": {
            (CLASS if head is opened.heads.classes else name): head_record(head)
            for name, head in opened.heads.heads.items()
        },
        "modalities": [str(m) for m in cohort.modalities],
        "cohort": cohort_record(opened),
        "validation": {
            "scheme": plan.scheme,
            "folds": plan.folds,
            "seeds": list(plan.seeds),
            "stratify": settings.stratify,
            "inner_share": settings.inner_share,
            "bootstrap": settings.bootstrap,
            "notes": list(plan.notes),
        },
        "splits": [
            describe_split(split, cohort, plan.seeds[split.repeat])
            for split in plan.splits
        ],
        "models": records,
        "comparisons": compare_all(
            records, frames, len(cohort.classes), resamples=resamples, seed=seed
        )
        if complete_run
        else [],
        "alarms": find_alarms(
            opened, plan, frames, _controls(records), resamples=resamples, seed=seed
        )
        if complete_run
        else [],
        "maps": patient_maps(
            patient_profiles(cohort, opened.inputs[0].bags), cohort.patients, seed=seed
        )
        if complete_run
        else {},
    }
    write_json(request.out / RESULTS, content)
    return content


def _controls(records: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Name the models that were trained on shuffled labels."""
    return tuple(n for n, record in records.items() if record["kind"] == "control")


def _facts(name: str, plan: FoldPlan, store: FoldStore) -> list[dict[str, Any]]:
    """Gather what is known of the folds of a model, in their order."""
    places = (place_of(split) for split in plan.splits)
    found = (store.read(name, **place) for place in places)
    return [facts for facts in found if facts is not None]


def _frame(
    facts: Sequence[Mapping[str, Any]], store: FoldStore, width: int
) -> pd.DataFrame:
    """Gather the predictions of a model."""
    frames = [
        store.predictions(entry["model"], entry["repeat"], entry["fold"])
        for entry in facts
        if not entry.get("skipped")
    ]
    if not frames:
        return pd.DataFrame()
    return complete(pd.concat(frames, ignore_index=True), width)


def _width(opened: OpenedCohort) -> int:
    """Count the probability columns."""
    return max(len(head_record(head)["names"]) for head in opened.heads.heads.values())


def _model_record(
    model: FusionVariant | SimpleModel,
    facts: Sequence[Mapping[str, Any]],
    frame: pd.DataFrame,
    opened: OpenedCohort,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Describe and score one model."""
    classes = opened.cohort.classes
    skipped = [str(entry["skipped"]) for entry in facts if entry.get("skipped")]
    record: dict[str, Any] = {
        "kind": model.kind,
        "title": model.title,
        "preset": model.preset if isinstance(model, FusionVariant) else None,
        "modalities": [str(m) for m in model.modalities],
        "skipped": None,
        "skipped_folds": len(skipped),
        "seconds": sum(float(entry.get("seconds", 0.0)) for entry in facts),
    }
    if frame.empty:
        record |= {
            "skipped": skipped[0] if skipped else "not trained yet",
            "patients": 0,
            "metrics": {},
            "per_class": [],
            "confusion": [],
            "per_site": [],
            "folds": [],
            "curves": {"training": [], "validation": []},
            "subsets": {},
            "heads": {},
        }
        return record
    options = {"resamples": resamples, "seed": seed}
    done = [entry for entry in facts if not entry.get("skipped")]
    record |= score_classes(frame, classes, **options)
    record["folds"] = [_fold_record(entry, frame, len(classes)) for entry in done]
    record["curves"] = {
        part: [entry[f"{part}_losses"] for entry in done if f"{part}_losses" in entry]
        for part in ("training", "validation")
    }
    fused = model.kind == "fusion"
    record["subsets"] = score_subsets(frame, classes, **options) if fused else {}
    record["heads"] = score_heads(frame, opened.heads, **options)
    return record


def _fold_record(
    entry: Mapping[str, Any], frame: pd.DataFrame, count: int
) -> dict[str, Any]:
    """Describe one fold of a model."""
    rows = class_rows(frame)
    own = rows[(rows["repeat"] == entry["repeat"]) & (rows["fold"] == entry["fold"])]
    scores = fold_scores(own, count) if len(own) else {}
    return {
        "repeat": entry["repeat"],
        "fold": entry["fold"],
        "patients": int(own["patient_id"].nunique()),
        "roc_auc": scores.get("roc_auc"),
        "balanced_accuracy": scores.get("balanced_accuracy"),
        "best_epoch": entry.get("best_epoch"),
        "epochs": entry.get("epochs"),
        "temperature": entry.get("temperature"),
        "threshold": entry.get("threshold"),
        "encoder": entry.get("encoder"),
    }


def _request_record(request: CohortRequest, opened: OpenedCohort) -> dict[str, Any]:
    """Say what was asked, so that it can be asked again."""
    return {
        "manifest": str(request.manifest),
        "presets": {
            entry.preset.name: entry.preset.to_dict() for entry in opened.inputs
        },
        "overrides": list(request.overrides),
        "tables": {str(m): str(path) for m, path in request.tables.items()},
        "command": shlex.join(command_words("crossval", request)),
    }
