from __future__ import annotations

import json

import numpy as np
import pytest

from napari_mmsubtype.evaluation.metrics import Estimate
from napari_mmsubtype.workflows.demo_card import (
    card_facts,
    demo_facts,
    describe_scores,
    training_facts,
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
    facts = describe_scores(SCORES, EVIDENCE)
    assert json.loads(json.dumps(facts)) == facts
    for key, score in SCORES.items():
        stated = facts[f"ROC-AUC, {key}"]
        assert set(stated) == {"value", "low", "high"}
        assert stated["value"] == pytest.approx(score.auc.value, abs=1e-4)
        assert facts[f"balanced accuracy, {key}"]["high"] == pytest.approx(
            score.balanced_accuracy.high
        )


def test_evidence_comes_with_how_it_was_computed() -> None:
    facts = describe_scores(SCORES, EVIDENCE)
    assert 0.991 in facts.values()
    assert 0.96 in facts.values()
    assert any("12 held-out synthetic slides" in str(v) for v in facts.values())


def test_facts_of_the_run_name_every_group_of_patients() -> None:
    config = DemoBundleConfig(patients=6, calibration=7)
    split = Split((0, 1, 2), (3,), (4, 5))
    labels = np.array([0, 1, 1, 0, 1, 1])
    facts = demo_facts(config, split, labels, training_facts(config, 4), {"a": 1})
    assert facts["patients"] == {
        "training": "3 (2 Basal/HER2)",
        "validation": "1 (0 Basal/HER2)",
        "held out": "2 (2 Basal/HER2)",
        "calibration of prediction sets": "7 more, of seed 1011",
    }
    training = facts["training"]
    assert training["fusion epochs until the best validation loss"] == 5
    assert training["fitted on calibration patients"] == "prediction sets"
    assert "Synthetic cohort of 6 patients, seed 11" in facts["data"]
    assert json.loads(json.dumps(facts)) == facts


def test_card_warns_against_use_on_patients() -> None:
    facts = card_facts({"training": "3"}, "made up", {}, {})
    assert facts["synthetic"] is True
    assert "must not be used on patients" in facts["description"]
    assert facts["patients"] == {"training": "3"}
