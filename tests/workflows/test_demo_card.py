from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.evaluation.metrics import Estimate
from napari_mmsubtype.models.training_facts import TrainingFacts
from napari_mmsubtype.workflows.demo_card import (
    card_facts,
    count_patients,
    describe_data,
    describe_scores,
    describe_scoring,
    describe_training,
)
from napari_mmsubtype.workflows.demo_config import DemoBundleConfig
from napari_mmsubtype.workflows.demo_evaluation import EvidenceScore, SubsetScore
from napari_mmsubtype.workflows.demo_patients import Split

SCORES = {
    "image+rna": SubsetScore(Estimate(0.98765, 0.95, 0.99), Estimate(0.9, 0.8, 1), 0.1),
    "rna": SubsetScore(Estimate(0.8, 0.7, 0.9), Estimate(0.7, 0.6, 0.8), 0.05),
}
EVIDENCE = EvidenceScore(0.991, 0.985, 0.96, 0.97, 0.9, 12)


def test_every_score_is_stated_with_its_interval() -> None:
    found = {metric.key: metric for metric in describe_scores(SCORES, EVIDENCE)}
    for key, score in SCORES.items():
        stated = found[f"ROC-AUC, {key}"]
        assert stated.modalities == tuple(key.split("+"))
        assert stated.value == pytest.approx(score.auc.value, abs=1e-4)
        assert (stated.low, stated.high) == (score.auc.low, score.auc.high)
        accuracy = found[f"balanced accuracy, {key}"]
        assert accuracy.high == pytest.approx(score.balanced_accuracy.high)


def test_evidence_comes_with_how_it_was_computed() -> None:
    values = {metric.value for metric in describe_scores(SCORES, EVIDENCE)}
    assert {0.991, 0.985, 0.96, 0.97, 0.9} <= values
    assert "12 held-out synthetic slides" in describe_scoring(EVIDENCE)


def test_card_warns_against_use_on_patients() -> None:
    metrics = describe_scores(SCORES, EVIDENCE)
    facts = card_facts({"training": {"A": 3}}, "made up", {}, metrics, {"how": "so"})
    assert facts.synthetic is True
    assert "must not be used on patients" in facts.description
    assert facts.patients == {"training": {"A": 3}}
    assert facts.metric_notes == {"how": "so"}
    assert TrainingFacts.from_info(facts.to_info()) == facts


def test_facts_of_the_run_name_every_group_of_patients() -> None:
    config = DemoBundleConfig(patients=6, calibration=7)
    split = Split((0, 1, 2), (3,), (4, 5))
    assert count_patients(config, split, np.array([0, 1, 1, 0, 1, 1])) == {
        "training": {"Luminal": 1, "Basal/HER2": 2},
        "validation": {"Luminal": 1, "Basal/HER2": 0},
        "held out": {"Luminal": 0, "Basal/HER2": 2},
        "calibration of prediction sets": "7 more, of seed 1011",
    }
    training = describe_training(config, 4)
    assert training["fusion epochs until the best validation loss"] == 5
    assert "Synthetic cohort of 6 patients, seed 11" in describe_data(config)
