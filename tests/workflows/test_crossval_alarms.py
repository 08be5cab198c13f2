"""A poisoned cohort is caught, each poison by its own alarm."""

import json

import numpy as np
import pandas as pd
import pytest

from builders.crossval import SETTINGS, draw, quick_scoring, use_bags, write
from napari_mmsubtype.workflows import crossval as crossval_module
from napari_mmsubtype.workflows.crossval import crossval
from napari_mmsubtype.workflows.model_list import fusion_variants


def clean(drawn):
    return drawn


def by_site(drawn):
    drawn["sites"] = [
        f"S{2 * label + i % 2}" for i, label in enumerate(drawn["labels"])
    ]
    return drawn


def by_missingness(drawn):
    gone = [n for n, label in zip(drawn["names"], drawn["labels"], strict=True)
            if label == 0][::2]  # fmt: skip
    drawn["rna"] = drawn["rna"].drop(index=gone)
    return drawn


def by_column(drawn):
    # Of a harmless name: what it says gives it away.
    drawn["clinical"]["grade"] = np.where(drawn["labels"] == 1, "high", "low")
    return drawn


def by_duplicate(drawn):
    drawn["rna"].loc["P079"] = drawn["rna"].loc["P000"] + 1e-4
    drawn["bags"][79] = drawn["bags"][0]
    return drawn


@pytest.mark.parametrize(
    ("poison", "expected"),
    [
        (clean, set()),
        (by_site, {"site"}),
        (by_missingness, {"missingness"}),
        (by_column, {"clinical_column"}),
        (by_duplicate, {"duplicate_patients"}),
    ],
)
def test_each_poison_raises_its_own_alarm(poison, expected, tmp_path, monkeypatch):
    options = write(tmp_path, poison(draw(80)))
    use_bags(monkeypatch, tmp_path)
    quick_scoring(monkeypatch)
    monkeypatch.setattr(
        crossval_module, "fusion_variants", lambda preset: fusion_variants(preset)[::8]
    )
    monkeypatch.setattr(crossval_module, "simple_models", lambda *_, **__: [])
    outcome = crossval(
        preset="evidence",
        out=tmp_path / "out",
        overrides=[*SETTINGS, "fusion_training.epochs=1", "validation.bootstrap=200"],
        **options,
    )
    alarms = json.loads(outcome.results.read_text(encoding="utf-8"))["alarms"]
    assert {alarm["name"] for alarm in alarms if alarm["raised"]} == expected
    assert [alarm["name"] for alarm in alarms] == [
        "missingness",
        "site",
        "clinical_column",
        "random_labels",
        "duplicate_patients",
        "overlap",
    ]
    told = {alarm["name"]: alarm["message"] for alarm in alarms}
    if expected == {"duplicate_patients"}:
        assert "P000 and P079" in told["duplicate_patients"]
    if expected == {"clinical_column"}:
        assert "grade" in told["clinical_column"]


def test_a_column_named_like_the_label_is_no_input_and_no_alarm(tmp_path):
    from builders.crossval import open_cohort
    from napari_mmsubtype.workflows.crossval_alarms import _inputs

    drawn = draw(24)
    drawn["clinical"]["subtype"] = drawn["labels"]
    cohort = open_cohort(write(tmp_path, drawn))
    rows = np.array([3, 5])
    assert _inputs(cohort, rows) == {
        "age": drawn["clinical"]["age"].iloc[rows].astype(str).tolist(),
        "menopause": drawn["clinical"]["menopause"].iloc[rows].tolist(),
    }


def test_a_control_that_was_not_trained_is_not_judged():
    from napari_mmsubtype.workflows.crossval_alarms import _control

    alarm = _control(pd.DataFrame(), 2, 10, 0)
    assert (alarm.raised, alarm.value) == (False, None)
