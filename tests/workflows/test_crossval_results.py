"""Results are written from what the folds left, also before all are done."""

import json
import shlex
from types import SimpleNamespace

import pandas as pd

from builders.crossval import draw, open_cohort, quick_scoring, small_preset, write
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.training.preset_build import build_heads
from napari_mmsubtype.workflows.cohort_request import CohortRequest
from napari_mmsubtype.workflows.crossval_results import write_results
from napari_mmsubtype.workflows.fold_plan import plan_folds
from napari_mmsubtype.workflows.fold_store import FoldStore
from napari_mmsubtype.workflows.model_list import fusion_variants, simple_models


def prepared(folder):
    drawn, preset = draw(24), small_preset()
    options = write(folder, drawn)
    cohort = open_cohort(options, preset)
    entry = SimpleNamespace(preset=preset, bags=drawn["bags"], failures={})
    opened = SimpleNamespace(
        cohort=cohort, inputs=(entry,), heads=build_heads(preset), unlabelled=0
    )
    request = CohortRequest(
        manifest=options["manifest"],
        presets=("evidence",),
        out=folder / "my results",
        overrides=("fusion_training.epochs=2",),
        tables={Modality.RNA: options["rna"]},
        reading={Modality.RNA: {"unit": "z-score"}},
    )
    models = [fusion_variants(preset)[0], *simple_models(["rna"], with_sites=False)]
    plan = plan_folds(cohort, preset.validation)
    return request, opened, plan, models, FoldStore(request.out)


def answers(name, cohort, split, subset):
    rows = split.test
    chance = [0.2 if label == 0 else 0.7 for label in cohort.labels[rows]]
    return pd.DataFrame(
        {
            "model": name,
            "head": "class",
            "subset": subset,
            "main": True,
            "present": subset,
            "repeat": 0,
            "fold": split.fold,
            "patient_id": [cohort.patients[row] for row in rows],
            "site": cohort.sites[rows],
            "y": cohort.labels[rows],
            "p0": [1 - c for c in chance],
            "p1": chance,
            "predicted": [int(c > 0.5) for c in chance],
            "called": [int(c > 0.4) for c in chance],
        }
    )


def test_what_is_there_is_written_before_all_is_done(tmp_path, monkeypatch):
    quick_scoring(monkeypatch)
    request, opened, plan, models, store = prepared(tmp_path)
    cohort = opened.cohort
    key = "image+rna+clinical"
    store.keep("evidence", 0, 0, {}, {"seconds": 2, "training_losses": [1.0],
               "validation_losses": [0.9], "epochs": 1, "best_epoch": 0},
               answers("evidence", cohort, plan.splits[0], key))  # fmt: skip
    write_results(request, opened, plan, models, store, complete_run=False)
    content = json.loads((request.out / "results.json").read_text(encoding="utf-8"))
    assert content["complete"] is False
    assert content["comparisons"] == content["alarms"] == []
    assert content["models"]["evidence"]["patients"] == 12
    assert content["models"]["evidence"]["curves"]["validation"] == [[0.9]]
    assert content["models"]["logistic/rna"]["skipped"] == "not trained yet"
    assert len(pd.read_parquet(request.out / "predictions.parquet")) == 12

    for fold in (0, 1):
        store.keep("logistic/rna", 0, fold, {}, {"seconds": 1},
                   answers("logistic/rna", cohort, plan.splits[fold],
                           "rna"))  # fmt: skip
    store.keep("evidence", 0, 1, {}, {"skipped": "too few"}, None)
    content = write_results(request, opened, plan, models, store, complete_run=True)
    assert content["complete"] is True
    assert content["models"]["evidence"]["skipped_folds"] == 1
    metric = content["models"]["logistic/rna"]["metrics"]["balanced_accuracy"]
    assert metric["value"] == 1.0
    assert content["provenance"]["seconds"] == 4
    assert len(content["alarms"]) == 5


def test_the_command_asks_for_the_same_again(tmp_path):
    request, opened, plan, models, store = prepared(tmp_path)
    content = write_results(request, opened, plan, models, store, complete_run=False)
    assert shlex.split(content["request"]["command"]) == [
        "napari-mmsubtype",
        "crossval",
        str(request.manifest),
        "--preset",
        "evidence",
        "--rna",
        str(request.tables[Modality.RNA]),
        "--rna-unit",
        "z-score",
        "--set",
        "fusion_training.epochs=2",
        "--out",
        str(request.out),
    ]
    assert content["models"]["evidence"]["skipped"] == "not trained yet"
    assert not (request.out / "predictions.parquet").exists()
