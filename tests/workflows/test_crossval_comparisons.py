"""Presets are compared with rivals on the patients that both have judged."""

import numpy as np
import pandas as pd
import pytest

from builders.crossval import quick_scoring
from napari_mmsubtype.evaluation.metrics import roc_auc
from napari_mmsubtype.workflows.crossval_comparisons import compare_all


def frame(model, skill, patients=range(60), seed=0):
    rng = np.random.default_rng([seed, len(model)])
    rows = list(patients)
    truth = np.array(rows) % 2
    chance = 1 / (1 + np.exp(-rng.normal(skill * (2 * truth - 1))))
    return pd.DataFrame(
        {
            "model": model,
            "head": "class",
            "main": True,
            "repeat": 0,
            "fold": [r % 3 for r in rows],
            "patient_id": [f"p{r}" for r in rows],
            "y": truth,
            "p0": 1 - chance,
            "p1": chance,
        }
    )


def kinds(**of):
    return {name: {"kind": kind} for name, kind in of.items()}


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    quick_scoring(monkeypatch)


def compare(records, frames):
    return compare_all(records, frames, 2, resamples=50, seed=0)


def test_a_preset_meets_every_rival_once_per_metric():
    records = kinds(a="fusion", b="baseline", c="logistic", d="control", e="probe")
    frames = {name: frame(name * 2, 1.0) for name in records}
    frames["a"] = frame("a", 3.0)
    found = compare(records, frames)
    pairs = [(c["baseline"], c["metric"]) for c in found]
    assert pairs == [
        ("b", "balanced_accuracy"),
        ("c", "balanced_accuracy"),
        ("b", "roc_auc"),
        ("c", "roc_auc"),
    ]
    first = found[2]
    expected = roc_auc(
        frames["a"]["y"], frames["a"][["p0", "p1"]].to_numpy()
    ) - roc_auc(frames["b"]["y"], frames["b"][["p0", "p1"]].to_numpy())
    assert first["difference"]["value"] == pytest.approx(expected)
    delong = first["tests"][0]
    assert delong["name"] == "delong"
    assert delong["p_holm"] == pytest.approx(min(2 * delong["p"], 1), rel=0.5)


def test_only_shared_patients_count_and_few_are_not_compared():
    records = kinds(a="fusion", b="baseline", c="baseline")
    frames = {
        "a": frame("a", 2.0),
        "b": frame("b", 1.0, range(20, 60)),
        "c": frame("c", 1.0, range(6)),
    }
    found = compare(records, frames)
    assert {c["baseline"] for c in found} == {"b"}
    assert {c["patients"] for c in found} == {40}


def test_two_presets_meet_each_other_and_skipped_models_meet_nobody():
    records = kinds(a="fusion", b="fusion", c="baseline")
    frames = {"a": frame("a", 2.0), "b": frame("b", 1.0), "c": pd.DataFrame()}
    found = compare(records, frames)
    assert {(c["model"], c["baseline"]) for c in found} == {("a", "b"), ("b", "a")}
    values = [c["difference"]["value"] for c in found if c["metric"] == "roc_auc"]
    assert values[0] == pytest.approx(-values[1])
