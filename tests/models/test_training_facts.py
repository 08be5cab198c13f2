from __future__ import annotations

import json
from importlib.resources import files

import pytest

from napari_mmsubtype.models.training_facts import Metric, TrainingFacts

FULL = TrainingFacts(
    description="A model.",
    intended_use="Trying.",
    limits="All of them.",
    synthetic=True,
    data="None.",
    patients={"training": {"A": 3, "B": 4}, "held out": "2"},
    sites=("A2", "BH"),
    training={"epochs": 3, "optimizer": {"name": "adam"}},
    metrics=(
        Metric(name="AUC", modalities=("image", "rna"), value=0.9, low=0.8, high=0.95),
        Metric(
            name="AUC", modalities=("rna",), value=0.7, low=0.6, high=0.8, level=0.9
        ),
        Metric(name="accuracy, balanced", value=0.5, cases=20),
        Metric(name="kappa", value=0.4),
    ),
    metric_notes={"how": "on held-out patients"},
    license="MIT",
    encoder_license="Apache-2.0",
    pretraining="none",
    citation="Nobody, 2026",
    further={"icc": True, "stain": "macenko"},
)


def test_facts_survive_the_way_through_json():
    info = json.loads(json.dumps(FULL.to_info(), allow_nan=False))
    assert TrainingFacts.from_info(info) == FULL
    assert info["metrics"]["AUC, image+rna"] == {"value": 0.9, "low": 0.8, "high": 0.95}
    assert info["metrics"]["kappa"] == 0.4
    assert info["icc"] is True


def test_what_is_not_stated_is_not_written():
    assert TrainingFacts().to_info() == {}
    assert TrainingFacts.from_info({}) == TrainingFacts()


def test_the_shipped_bundle_loses_nothing():
    path = files("napari_mmsubtype").joinpath("bundles", "demo", "bundle.json")
    info = json.loads(path.read_text(encoding="utf-8"))["info"]
    facts = TrainingFacts.from_info(info)
    assert facts.to_info() == info
    assert facts.further == {}
    (auc,) = [
        m for m in facts.metrics if m.name == "ROC-AUC" and m.modalities == ("image",)
    ]
    stated = info["metrics"]["ROC-AUC, image"]
    assert (auc.value, auc.low, auc.high) == tuple(stated.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metrics", {"AUC": {"low": 0.1, "high": 0.2}}),
        ("metrics", {"AUC": {"value": 0.5, "low": 0.1}}),
        ("metrics", {"AUC": [0.5]}),
        ("metrics", {"AUC": True}),
        ("metrics", {"AUC": {"value": 0.5, "p": 0.1}}),
        ("patients", {"training": 3}),
        ("patients", {"training": {"A": 0.5}}),
        ("license", 3),
        ("license", ""),
        ("sites", {"A2": 3}),
        ("synthetic", "yes"),
    ],
)
def test_facts_of_another_kind_are_kept_but_not_interpreted(name, value):
    facts = TrainingFacts.from_info({name: value, "data": "ours"})
    assert facts.further == {name: value}
    assert facts.data == "ours"
    assert facts == TrainingFacts(data="ours", further={name: value})


def test_a_name_with_a_comma_is_not_taken_for_modalities():
    (metric,) = TrainingFacts.from_info({"metrics": {"AUC, over cells": 0.5}}).metrics
    assert (metric.name, metric.modalities) == ("AUC, over cells", ())
