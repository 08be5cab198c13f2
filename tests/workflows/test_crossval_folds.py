"""Fits are done once, told as they come, and skipped with a reason."""

import shutil

import pytest

from builders.crossval import SETTINGS, draw, use_bags, write
from napari_mmsubtype.workflows import crossval_folds
from napari_mmsubtype.workflows.cohort_request import make_request
from napari_mmsubtype.workflows.cohort_setup import open_cohort_job
from napari_mmsubtype.workflows.crossval_folds import (
    CrossvalRun,
    preset_fold_job,
    simple_fold_job,
)
from napari_mmsubtype.workflows.fold_bundle import has_bundle
from napari_mmsubtype.workflows.fold_data import TableCache
from napari_mmsubtype.workflows.fold_plan import plan_folds
from napari_mmsubtype.workflows.fold_store import FoldStore
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.model_list import fusion_variants, simple_models


@pytest.fixture
def run(tmp_path, monkeypatch):
    drawn = draw(24)
    # Two patients have an image: no model of it alone can be trained.
    drawn["bags"] = [bag if i < 2 else bag[:0] for i, bag in enumerate(drawn["bags"])]
    options = write(tmp_path, drawn)
    use_bags(monkeypatch, tmp_path)
    request = make_request(
        preset="evidence",
        out=tmp_path / "out",
        overrides=[*SETTINGS, "fusion_training.epochs=1"],
        device="cpu",
        **options,
    )
    opened = run_job(open_cohort_job(request))
    (entry,) = opened.inputs
    return CrossvalRun(
        request=request,
        opened=opened,
        plan=plan_folds(opened.cohort, entry.preset.validation),
        store=FoldStore(request.out),
        variants={"evidence": fusion_variants(entry.preset)},
        simple=simple_models(opened.cohort.modalities, with_sites=True),
    )


def fit(run):
    split, told = run.plan.splits[0], []
    cache = TableCache(run.opened.cohort)
    run_job(preset_fold_job(run, run.opened.inputs[0], split, cache), told.append)
    run_job(simple_fold_job(run, split, cache), told.append)
    return told


def test_fits_are_counted_and_kept_with_their_bundle(run, monkeypatch):
    told = [event for event in fit(run) if event.stage == "folds"]
    assert [event.done for event in told] == list(range(15))
    assert {event.total for event in told} == {30}
    assert told[0].message == "evidence, repeat 1, fold 1"
    bundle = run.request.out / "bundles" / "evidence" / "fold-0-0"
    assert has_bundle(bundle)
    skipped = run.store.read("evidence/image_only", 0, 0)["skipped"]
    assert "at least 2 of each are needed" in skipped
    assert "at least 2" in run.store.read("logistic/image", 0, 0)["skipped"]
    assert run.store.read("probe/site", 0, 0)["patients"] == 12

    fitted = []
    whole = crossval_folds.fit_fold_job
    monkeypatch.setattr(
        crossval_folds,
        "fit_fold_job",
        lambda data, variant, **k: (
            fitted.append(variant.name),
            whole(data, variant, **k),
        )[1],
    )
    fit(run)
    assert fitted == []
    shutil.rmtree(bundle)
    fit(run)
    assert fitted == ["evidence"]
