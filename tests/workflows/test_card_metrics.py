"""Numbers of a cross-validation go onto the card of a model."""

import json

import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.workflows.card_metrics import card_metrics, read_results

SCORES = {
    "patients": 40,
    "roc_auc": {"value": 0.8, "low": 0.7, "high": 0.9, "level": 0.95},
    "balanced_accuracy": None,
}
CONTENT = {
    "format": "mmsubtype-crossval",
    "models": {"evidence": {"kind": "fusion", "subsets": {"image+rna": SCORES}}},
}


def test_what_could_be_computed_is_taken_by_subset(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(CONTENT))
    (metric,) = card_metrics(read_results(path), "evidence")
    assert (metric.key, metric.value) == ("ROC-AUC, image+rna", 0.8)
    assert (metric.low, metric.high) == (0.7, 0.9)


def test_results_of_another_preset_or_none_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="of evidence, not of preset 'lung'"):
        card_metrics(CONTENT, "lung")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ConfigurationError, match=r"is no results\.json"):
        read_results(tmp_path / "other.json")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_results(tmp_path / "gone.json")
