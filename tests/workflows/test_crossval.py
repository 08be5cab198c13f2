"""A cross-validation judges every patient out of fold, resumes, and repeats itself."""

import json

import pandas as pd
import pytest

from builders.crossval import (
    SETTINGS,
    draw,
    quick_scoring,
    read_curves,
    use_bags,
    write,
)
from builders.pages import Page
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.workflows import crossval_folds
from napari_mmsubtype.workflows.cohort_request import make_request
from napari_mmsubtype.workflows.crossval import crossval, crossval_job

MODELS = [
    "evidence",
    "evidence/image_only",
    "evidence/rna_only",
    "evidence/clinical_only",
    "evidence/late",
    "evidence/without_image",
    "evidence/without_rna",
    "evidence/without_clinical",
    "evidence/random_labels",
    "logistic/image",
    "logistic/rna",
    "logistic/clinical",
    "logistic/omics",
    "probe/missingness",
    "probe/site",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One complete cross-validation, for all who look at it."""
    folder = tmp_path_factory.mktemp("cohort")
    options = write(folder, draw())
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_bags(monkeypatch, folder)
        quick_scoring(monkeypatch)
        outcome = crossval(
            preset="evidence",
            out=folder / "out",
            overrides=SETTINGS,
            tensorboard=folder / "curves",
            **options,
        )
    content = json.loads(outcome.results.read_text(encoding="utf-8"))
    return folder, options, outcome, content


def test_every_training_has_a_run_of_tensorboard(run):
    folder, _, _, content = run
    trained = [n for n, m in content["models"].items() if m["curves"]["training"]]
    assert "evidence/late" in trained
    assert read_curves(folder / "curves") == {
        f"{name}/fold-0-{fold}": 2 for name in trained for fold in (0, 1)
    }


def test_every_model_judges_every_patient_once_and_out_of_fold(run):
    _, _, outcome, content = run
    assert "<html" in outcome.report.read_text(encoding="utf-8")[:200]
    frame = pd.read_parquet(outcome.predictions)
    assert list(content["models"]) == MODELS
    main = frame[frame["main"]]
    for name, rows in main.groupby("model"):
        assert sorted(rows["patient_id"]) == [f"P{i:03d}" for i in range(48)], name
    folds = main.groupby("patient_id")["fold"].nunique()
    assert (folds == 1).all()
    sums = frame["p0"] + frame["p1"]
    assert sums.between(1 - 1e-9, 1 + 1e-9).all()


def test_results_hold_what_the_documentation_promises(run):
    _, _, _, content = run
    assert content["format"] == "mmsubtype-crossval"
    assert content["complete"] is True
    assert content["cohort"]["patterns"] == {"image+rna+clinical": 48}
    assert content["validation"]["scheme"] == "patient"
    assert [s["test"] for s in content["splits"]] == [24, 24]
    assert all(s["train"] + s["inner"] == 24 for s in content["splits"])
    model = content["models"]["evidence"]
    assert set(model["subsets"]) == {
        "image+rna+clinical",
        "image+rna",
        "image+clinical",
        "rna+clinical",
        "image",
        "rna",
        "clinical",
    }
    assert sum(map(sum, model["confusion"])) == 48
    assert [fold["epochs"] for fold in model["folds"]] == [2, 2]
    assert [len(losses) for losses in model["curves"]["validation"]] == [2, 2]
    metric = model["metrics"]["balanced_accuracy"]
    assert metric["low"] <= metric["value"] <= metric["high"]
    assert {c["model"] for c in content["comparisons"]} == {"evidence"}
    assert {a["name"] for a in content["alarms"]} == {
        "missingness",
        "site",
        "random_labels",
        "clinical_column",
        "duplicate_patients",
        "overlap",
    }


def test_report_lies_beside_the_results_and_names_every_model(run):
    _, _, outcome, _ = run
    assert outcome.report == outcome.folder / "report.html"
    page = Page(outcome.report)
    assert all(name in page.text for name in MODELS)
    assert "Not complete" not in page.text
    assert [image["alt"] for image in page.all("img")][:2] == ["Folds", "Ranking"]


def test_a_clean_cohort_raises_no_alarm(run):
    raised = [alarm for alarm in run[3]["alarms"] if alarm["raised"]]
    assert raised == []


def test_logistic_regression_finds_what_is_in_rna(run):
    models = run[3]["models"]
    assert models["logistic/rna"]["metrics"]["roc_auc"]["value"] > 0.7
    assert models["logistic/omics"]["metrics"]["roc_auc"]["value"] > 0.7


def test_each_fold_leaves_a_bundle_that_loads(run):
    _, _, outcome, _ = run
    assert [path.name for path in outcome.bundles] == ["fold-0-0", "fold-0-1"]
    bundle = load_bundle(outcome.bundles[0])
    assert [s.name for s in bundle.classes] == ["Luminal", "Basal/HER2"]
    patients = {k: sum(v.values()) for k, v in bundle.info["patients"].items()}
    assert patients == {"train": 20, "validation": 4, "test": 24}


def test_the_same_request_trains_nothing_again(run, monkeypatch):
    folder, options, outcome, content = run
    use_bags(monkeypatch, folder)
    quick_scoring(monkeypatch)

    def refuse(*_, **__):
        msg = "a fold was fitted again"
        raise AssertionError(msg)

    monkeypatch.setattr(crossval_folds, "fit_fold_job", refuse)
    monkeypatch.setattr(crossval_folds, "fit_logistic", refuse)
    before = outcome.predictions.read_bytes()
    crossval(
        preset="evidence",
        out=folder / "out",
        overrides=SETTINGS,
        tensorboard=folder / "curves",
        **options,
    )
    assert outcome.predictions.read_bytes() == before
    again = json.loads(outcome.results.read_text(encoding="utf-8"))
    del again["provenance"]
    assert again == {k: v for k, v in content.items() if k != "provenance"}
    with pytest.raises(AssertionError, match="fitted again"):
        crossval(
            preset="evidence",
            out=folder / "out",
            overrides=[*SETTINGS, "fusion_training.epochs=3"],
            **options,
        )


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(run, tmp_path, monkeypatch):
    folder, options, outcome, _ = run
    use_bags(monkeypatch, folder)
    quick_scoring(monkeypatch)
    request = make_request(
        preset="evidence", out=tmp_path, overrides=SETTINGS, **options
    )
    job = crossval_job(request)
    fits = 0
    while fits < 19:
        fits += next(job).stage == "folds"
    job.close()
    assert (
        not (tmp_path / "results.json").exists()
        or not json.loads((tmp_path / "results.json").read_text())["complete"]
    )
    fitted = []
    whole = crossval_folds.fit_fold_job
    monkeypatch.setattr(
        crossval_folds,
        "fit_fold_job",
        lambda data, variant, **options: (
            fitted.append(variant.name),
            whole(data, variant, **options),
        )[1],
    )
    again = crossval(preset="evidence", out=tmp_path, overrides=SETTINGS, **options)
    assert fitted == MODELS[3:9]
    pd.testing.assert_frame_equal(
        pd.read_parquet(again.predictions), pd.read_parquet(outcome.predictions)
    )
