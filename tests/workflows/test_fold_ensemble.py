"""The folds of a cross-validation as one bundle that answers as all of them do."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from builders.crossval import SETTINGS, draw, quick_scoring, use_bags, write
from napari_mmsubtype.core.cases import Modality, subset_key, subsets
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.conformal import conformal_quantile
from napari_mmsubtype.inference.fuse import CaseTensors, fuse
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.omics.preprocessing import align_sample
from napari_mmsubtype.omics.table import read_omics
from napari_mmsubtype.workflows import crossval as crossval_module
from napari_mmsubtype.workflows.crossval import crossval
from napari_mmsubtype.workflows.model_list import fusion_variants
from napari_mmsubtype.workflows.train import train

CHANGES = [
    *SETTINGS,
    "validation.seeds=[0, 1]",
    # Each fold chooses genes of its own.
    "modalities.rna.options.select=variance",
    "modalities.rna.options.top=12",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A cross-validation of two folds, twice, and the ensemble of its four models."""
    folder = tmp_path_factory.mktemp("cohort")
    drawn = draw(40)
    drawn["clinical"].loc["P001":"P004", "menopause"] = ""
    options = write(folder, drawn)
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_bags(monkeypatch, folder)
        quick_scoring(monkeypatch)
        monkeypatch.setattr(
            crossval_module, "fusion_variants", lambda p: fusion_variants(p)[:1]
        )
        monkeypatch.setattr(crossval_module, "simple_models", lambda *_, **__: [])
        found = crossval(
            preset="evidence", out=folder / "cv", overrides=CHANGES, **options
        )
        outcome = join(folder, options)
    return folder, options, drawn, found, outcome


def join(folder, options, **change):
    given = {"out": folder / "out", "overrides": CHANGES, "preset": "evidence"}
    return train(ensemble_of=folder / "cv", **{**given, **options, **change})


def tables_of(bundle, options, patient):
    """Bring one patient's tables into the features of a bundle."""
    rna = read_omics(options["rna"], modality="rna", unit="z-score")
    clinical = read_omics(options["clinical"], modality="clinical")
    tables = {Modality.RNA: rna, Modality.CLINICAL: clinical}
    return {
        m: align_sample(table, patient, bundle.modalities[m]).values
        for m, table in tables.items()
    }


def answer(bundle, options, drawn, patient):
    """Analyse one patient's tables and bag with a bundle."""
    omics = tables_of(bundle, options, patient)
    case = CaseTensors(bundle.fusion, omics, bundle.heads)
    bag = drawn["bags"][drawn["names"].index(patient)]
    return fuse(case, bag, bundle.calibration)


def test_it_answers_by_the_mean_of_the_calibrated_folds(run):
    _, options, drawn, found, outcome = run
    folds = [load_bundle(path) for path in found.bundles]
    genes = {fold.modalities[Modality.RNA].names for fold in folds}
    assert (outcome.members, len(folds), len(genes)) == (4, 4, 4)
    joint = load_bundle(outcome.bundle)
    assert joint.name == "evidence-ensemble"
    assert set(joint.modalities[Modality.RNA].names) == set().union(*genes)
    for patient in ("P000", "P002", "P039"):
        whole = answer(joint, options, drawn, patient)
        alone = [answer(fold, options, drawn, patient) for fold in folds]
        for subset in subsets((Modality.IMAGE, Modality.RNA, Modality.CLINICAL)):
            key = subset_key(subset)
            logs = [np.log(one.subsets[key].probabilities) for one in alone]
            np.testing.assert_allclose(
                whole.subsets[key].probabilities,
                softmax(np.mean(logs, axis=0)),
                atol=1e-5,
            )


def test_evidence_of_patches_and_tables_still_adds_up(run):
    _, options, drawn, _, outcome = run
    joint = load_bundle(outcome.bundle)
    found = answer(joint, options, drawn, "P005")
    with torch.inference_mode():
        case = CaseTensors(joint.fusion, tables_of(joint, options, "P005"))
        bag = torch.from_numpy(drawn["bags"][5].astype(np.float32))[None]
        parts = case.forward(bag, case.available).modality_logits
    assert set(parts) == {"bias", "image", "rna", "clinical"}
    total = sum(parts.values())[0].numpy()
    np.testing.assert_allclose(total, found.call.logits, atol=1e-5)
    image = found.evidence.sum(axis=0)
    np.testing.assert_allclose(image, parts["image"][0].numpy(), atol=1e-5)
    assert (np.abs(image) > 1e-3).all()


def test_prediction_sets_come_from_answers_out_of_fold(run):
    _, _, _, found, outcome = run
    frame = pd.read_parquet(found.predictions)
    rows = frame[(frame["repeat"] == 0) & frame["main"]]
    scores = 1 - rows[["p0", "p1"]].to_numpy()[np.arange(40), rows["y"]]
    joint = load_bundle(outcome.bundle)
    assert joint.temperature == 1.0
    rule = joint.calibration.conformal["image+rna+clinical"]
    assert sum(rule.counts) == 40
    assert joint.calibration.conformal_source == "folds"
    assert rule.quantiles[0.9][0] == pytest.approx(conformal_quantile(scores, 0.9))


def test_the_card_says_what_it_is(run):
    _, _, _, _, outcome = run
    joint = load_bundle(outcome.bundle)
    assert joint.guard
    assert sum(joint.info["patients"]["train"].values()) == 40
    training = joint.info["training"]
    assert training["members"] == "4 models of a cross-validation"
    assert training["seeds"] == [0, 1]
    assert "the joined model was not measured itself" in joint.card
    assert "balanced accuracy, image+rna" in " ".join(joint.info["metrics"])
    assert (outcome.best_epoch, outcome.epochs) == (None, None)


def test_folds_of_another_request_are_not_joined(run, monkeypatch):
    folder, options, _, _, _ = run
    use_bags(monkeypatch, folder)
    for change, words in (
        ({"overrides": [*CHANGES, "fusion_training.epochs=3"]}, "run 'crossval' with"),
        ({"preset": "evidence:site-preserved"}, "not of preset 'evidence:site-"),
        ({"results": "results.json"}, "leave results out"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            join(folder, options, **change)


def test_a_fold_that_is_lacking_is_missed(run, tmp_path, monkeypatch):
    folder, options, _, _, _ = run
    use_bags(monkeypatch, folder)
    copy = tmp_path / "cv"
    shutil.copytree(folder / "cv", copy)
    shutil.rmtree(copy / "bundles" / "evidence" / "fold-1-1")
    with pytest.raises(ConfigurationError, match="has no repeat 2, fold 2"):
        train(
            preset="evidence",
            out=tmp_path / "out",
            ensemble_of=copy,
            overrides=CHANGES,
            **options,
        )
    assert not (tmp_path / "out" / "bundle").exists()


def test_results_that_are_none_are_refused(run, tmp_path):
    _, options, _, _, _ = run
    (tmp_path / "results.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(ConfigurationError, match="give the results folder of a cross"):
        train(preset="evidence", out=tmp_path, ensemble_of=tmp_path / "no", **options)
    with pytest.raises(ConfigurationError, match=r"is no results\.json"):
        train(preset="evidence", out=tmp_path, ensemble_of=tmp_path, **options)
    under_way = {"format": "mmsubtype-crossval", "complete": False}
    (tmp_path / "results.json").write_text(json.dumps(under_way))
    with pytest.raises(ConfigurationError, match="is not complete; run 'crossval'"):
        train(preset="evidence", out=tmp_path, ensemble_of=tmp_path, **options)
