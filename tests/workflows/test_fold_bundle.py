"""A model of a fold becomes a bundle that answers as the model did."""

from types import SimpleNamespace

import numpy as np
import pytest

from builders.crossval import draw, fold_data, open_cohort, write
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.training_facts import Metric
from napari_mmsubtype.training.fusion_trainer import predict_logits
from napari_mmsubtype.workflows.embedding_model import preset_model
from napari_mmsubtype.workflows.fold_bundle import (
    has_bundle,
    metric_of,
    save_fold_bundle,
)
from napari_mmsubtype.workflows.fold_fusion import fit_fold_job
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.model_list import fusion_variants


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    data = fold_data(folder, n=32)
    fitted = run_job(fit_fold_job(data, fusion_variants(data.preset)[0]))
    entry = SimpleNamespace(
        training={}, encoder=preset_model(data.preset).encoder, preset=data.preset
    )
    # As if it had been filled from there.
    entry.encoder.origin = f"hf://owkin/phikon-v2@{'0' * 40}"
    path = save_fold_bundle(
        folder / "out" / "fold-0-0",
        entry,
        data,
        fitted,
        cohort=open_cohort(write(folder, draw(32))),
        metrics=[Metric(name="ROC-AUC", value=0.5)],
    )
    return data, fitted, path


def test_the_bundle_gives_the_logits_of_the_model(saved):
    data, fitted, path = saved
    bundle = load_bundle(path)
    test = data.cases.take(data.test)
    np.testing.assert_allclose(
        predict_logits(bundle.fusion, test),
        predict_logits(fitted.model, test),
        atol=1e-6,
    )
    assert bundle.calibration == fitted.calibration
    names = [list(spec.names) for spec in bundle.modalities.values()]
    assert names == [list(spec.names) for spec in data.specs.values()]


def test_the_card_says_what_it_was_trained_on(saved):
    _, _, path = saved
    bundle = load_bundle(path)
    assert bundle.name == "evidence-fold-0-0"
    assert sum(bundle.info["patients"]["test"].values()) == 16
    assert bundle.info["sites"] == ["S0", "S1", "S2", "S3"]
    assert bundle.info["training"]["preset"] == "evidence"
    assert bundle.info["metrics"] == {"ROC-AUC": 0.5}
    assert bundle.info["synthetic"] is True
    assert "cohort.csv" in bundle.card
    assert bundle.info["pretraining"] == "TCGA, CPTAC and GTEx"
    assert "The encoder saw TCGA before this training" in bundle.card


def test_a_bundle_is_there_or_not(saved, tmp_path):
    assert has_bundle(saved[2])
    assert not has_bundle(tmp_path)


def test_metrics_are_rounded_for_the_card_and_absent_ones_left_out():
    entry = {"value": 0.123456, "low": 0.1, "high": 0.2, "level": 0.95}
    metric = metric_of("ROC-AUC", [Modality.RNA], entry)
    assert (metric.value, metric.low, metric.high) == (0.1235, 0.1, 0.2)
    assert metric.key == "ROC-AUC, rna"
    assert metric_of("ROC-AUC", [], None) is None
