"""A preset is trained on a whole cohort and says so on its card."""

import json

import numpy as np
import pandas as pd
import pytest

from builders.crossval import (
    SETTINGS,
    draw,
    open_cohort,
    read_curves,
    use_bags,
    write,
)
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.workflows.train import train, whole_split

SUBSET = {
    "patients": 40,
    "roc_auc": {"value": 0.8, "low": 0.7, "high": 0.9, "level": 0.95},
    "balanced_accuracy": None,
}


def results(folder, name="evidence"):
    content = {
        "format": "mmsubtype-crossval",
        "models": {name: {"kind": "fusion", "subsets": {"image+rna": SUBSET}}},
    }
    path = folder / "results.json"
    path.write_text(json.dumps(content))
    return path


def test_a_bundle_of_all_patients_has_card_calibration_and_guard(tmp_path, monkeypatch):
    options = write(tmp_path, draw(40))
    use_bags(monkeypatch, tmp_path)
    outcome = train(
        preset="evidence",
        out=tmp_path / "out",
        overrides=SETTINGS,
        results=results(tmp_path),
        **options,
    )
    assert outcome.bundle == tmp_path / "out" / "bundle"
    assert sum(outcome.patients.values()) == 40
    assert set(outcome.patients) == {"train", "validation"}
    assert (outcome.epochs, outcome.members) == (2, 1)
    bundle = load_bundle(outcome.bundle)
    assert bundle.name == "evidence"
    assert bundle.guard
    metric = bundle.info["metrics"]["ROC-AUC, image+rna"]
    assert metric == {"value": 0.8, "low": 0.7, "high": 0.9}
    assert "out of fold" in bundle.card


def test_curves_are_written_for_tensorboard(tmp_path, monkeypatch):
    options = write(tmp_path, draw(24))
    use_bags(monkeypatch, tmp_path)
    train(
        preset="evidence",
        out=tmp_path / "out",
        overrides=SETTINGS,
        tensorboard=tmp_path / "curves",
        **options,
    )
    assert read_curves(tmp_path / "curves") == {"final": 2}


def test_a_fixed_test_set_is_not_trained_on(tmp_path):
    parts = ["test" if i % 4 == 0 else "train" for i in range(40)]
    cohort = open_cohort(write(tmp_path, draw(40), pd.DataFrame({"split": parts})))
    split = whole_split(cohort, 0.2, 0)
    np.testing.assert_array_equal(split.test, np.arange(0, 40, 4))
    learned = np.concatenate([split.train, split.validation])
    np.testing.assert_array_equal(np.sort(learned), [i for i in range(40) if i % 4])
    assert 4 <= len(split.validation) <= 8


def test_results_of_another_preset_are_refused(tmp_path, monkeypatch):
    options = write(tmp_path, draw(24))
    use_bags(monkeypatch, tmp_path)
    with pytest.raises(ConfigurationError, match="not of preset 'evidence'"):
        train(
            preset="evidence",
            out=tmp_path,
            overrides=SETTINGS,
            results=results(tmp_path, "lung-mmlm"),
            **options,
        )


def test_one_preset_is_trained_at_a_time(tmp_path):
    options = write(tmp_path, draw(24))
    with pytest.raises(ConfigurationError, match="takes one preset, found 2"):
        train(preset=["evidence", "lung-mmlm"], out=tmp_path, **options)
