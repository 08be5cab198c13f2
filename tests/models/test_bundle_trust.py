from __future__ import annotations

import json

import numpy as np
import pytest

from builders.bundles import tiny_bundle
from builders.cohorts import bags, pattern_rows
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.trust import UNLIKE
from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.evaluation.conformal import fit_conformal
from napari_mmsubtype.evaluation.guard import Guard, fit_guard
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_trust import check_trust, read_trust, trust_lines

RNA = Modality.RNA


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    rng = np.random.default_rng(0)
    odds = rng.random((40, 2))
    rule = fit_conformal(
        rng.integers(0, 2, 40), odds / odds.sum(axis=1, keepdims=True), by_class=True
    )
    return Calibration(1.5, {"image": 0.7, "rna": 2.0}, {"image": rule})


@pytest.fixture(scope="module")
def guard() -> Guard:
    return fit_guard(bags(40, dim=96), {RNA: pattern_rows(40, 9)})


def test_bundle_brings_both(tmp_path, calibration, guard) -> None:
    path = tiny_bundle(
        tmp_path / "b", modalities=("rna",), calibration=calibration, guard=guard
    )
    bundle = load_bundle(path)
    assert bundle.calibration == calibration
    assert bundle.temperature == 1.5
    assert {"embedding_mean", "guard.rna.basis"} <= set(bundle.reference)
    report = bundle.guard.judge(
        bags(1, dim=96)[0] + 9, {}, {m: s.names for m, s in bundle.modalities.items()}
    )
    assert report.verdict == UNLIKE
    assert "2 subsets of the data have their own" in bundle.card
    assert "image (40), rna (40)" in bundle.card


def test_older_bundles_have_one_temperature_and_no_guard(tmp_path) -> None:
    bundle = load_bundle(tiny_bundle(tmp_path / "b"))
    assert bundle.calibration == Calibration(1.5)
    assert not bundle.guard
    stored = json.loads((bundle.path / "calibration.json").read_text())
    assert stored == {"temperature": 1.5}


def test_reading_says_which_file_is_damaged() -> None:
    with pytest.raises(BundleError, match=r"calibration\.json is not understood"):
        read_trust({"temperature": "warm"}, {})
    with pytest.raises(BundleError, match=r"reference\.npz is not understood"):
        read_trust({"temperature": 1.0}, {"guard.rna.mean": np.zeros(3)})


def test_parts_of_another_model_are_refused(tmp_path, calibration, guard) -> None:
    expected = {"classes": 2, "dim": 96, "features": {RNA: 9}}
    check_trust(calibration, guard, **expected)
    with pytest.raises(BundleError, match=r"for 2 classes, not 3.*gives 95"):
        check_trust(calibration, guard, **expected | {"classes": 3, "dim": 95})
    with pytest.raises(BundleError, match="takes no such table"):
        tiny_bundle(tmp_path / "b", modalities=("clinical",), guard=guard)
    assert not (tmp_path / "b").exists()


def test_card_lines(calibration, guard) -> None:
    assert trust_lines(Calibration(0.8106), Guard()) == ["- Temperature 0.8106"]
    lines = trust_lines(calibration, guard)
    assert lines[1] == (
        "- Prediction sets by lac, coverage of each class 80 %, 90 %, 95 %, 99 %, from "
        "40 calibration patients; subsets of the data: 1"
    )
