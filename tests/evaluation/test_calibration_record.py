from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from napari_mmsubtype.core.trust import ConformalSet
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.evaluation.conformal import fit_conformal
from napari_mmsubtype.evaluation.scaling import Scaling

CLASSES = ("Luminal", "Basal/HER2")


@pytest.fixture
def record() -> Calibration:
    # 19 patients, true class at 0.05, 0.10, ... 0.95.
    sure = np.arange(1, 20) / 20
    rule = fit_conformal(np.zeros(19, int), np.column_stack([sure, 1 - sure]))
    return Calibration(
        1.5, {"image": 2.0}, {"image": rule}, (0.25, -0.25), {"image": (0.5, -0.5)}
    )


def test_subsets_without_their_own_scaling_share_one(record) -> None:
    assert record.scaling_of("image") == Scaling(2.0, (0.5, -0.5))
    assert record.scaling_of("image+rna") == Scaling(1.5, (0.25, -0.25))
    given = record.probabilities("image", [[2.0, 0.0]])
    np.testing.assert_allclose(given, softmax([[1.5, -0.5]], axis=1))


def test_a_record_is_made_of_the_scalings_of_all_subsets() -> None:
    scalings = {
        "image+rna": Scaling(0.9, (0.1, -0.1)),
        "rna": Scaling(2.0, (0.3, -0.3)),
    }
    found = Calibration.of(scalings, "image+rna")
    assert found == Calibration(
        0.9, {"rna": 2.0}, {}, (0.1, -0.1), {"rna": (0.3, -0.3)}
    )
    assert {key: found.scaling_of(key) for key in scalings} == scalings


@pytest.mark.parametrize(
    ("probability", "classes"),
    [(0.95, ("Luminal",)), (0.6, CLASSES), (0.04, ("Basal/HER2",))],
)
def test_set_of_one_patient(record, probability, classes) -> None:
    # 90 %: the 18th of the 19 scores, 0.9, so classes of probability 0.1 or more.
    found = record.conformal_set("image", (probability, 1 - probability), CLASSES, 0.9)
    assert found == ConformalSet(0.9, classes, "", "lac", False, 19)


def test_why_there_is_no_set(record) -> None:
    few = record.conformal_set("image", (0.5, 0.5), CLASSES, 0.99)
    assert few.classes == ()
    assert "at least 99 calibration patients" in few.problem
    other = record.conformal_set("image+rna", (0.5, 0.5), CLASSES, 0.9)
    assert other.problem == "the model was not calibrated for image and rna"
    assert Calibration().conformal_set("image", (0.5, 0.5), CLASSES, 0.9) is None


def test_record_survives_json(record) -> None:
    assert Calibration.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_older_files_hold_one_temperature_only() -> None:
    assert Calibration.from_dict({"temperature": 0.8}) == Calibration(0.8)
    assert Calibration(0.8).to_dict() == {"temperature": 0.8}


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"temperature": None},
        {"temperature": 1.0, "temperatures": [1.0]},
        {"temperature": 1.0, "temperatures": {"image": None}},
        {"temperature": 1.0, "offset": 3.0},
        {"temperature": 1.0, "offsets": [[1.0]]},
        {"temperature": 1.0, "offsets": {"image": None}},
        {"temperature": 1.0, "conformal": {"image": {}}},
        {"temperature": 1.0, "conformal": {"image": 3}},
        {"temperature": 1.0, "conformal_source": "training"},
        {"temperature": 1.0, "conformal_source": ["folds"]},
    ],
)
def test_damaged_files_are_refused(entry) -> None:
    with pytest.raises(ValueError, match=r"temperature|understood|tables|source"):
        Calibration.from_dict(entry)


def test_sets_tell_what_else_their_patients_served_for(record) -> None:
    assert "conformal_source" not in record.to_dict()
    assert "coverage 80 %" in record.words()[1]
    reused = replace(record, conformal_source="validation")
    entry = json.loads(json.dumps(reused.to_dict()))
    assert Calibration.from_dict(entry) == reused
    assert "coverage about 80 %" in reused.words()[1]
    assert "also chose when training ended" in reused.words()[1]
    for probability in (0.95, 0.6):
        given = (probability, 1 - probability)
        found = reused.conformal_set("image", given, CLASSES, 0.9)
        fresh = record.conformal_set("image", given, CLASSES, 0.9)
        assert (found.source, fresh.source) == ("validation", "")
        assert found.classes == fresh.classes
    (problem,) = replace(record, conformal_source="training").problems(2)
    assert "'training' but must be 'validation' or 'folds'" in problem


def test_problems_name_what_cannot_be(record) -> None:
    assert record.problems(2) == []
    assert record.problems(3) == [
        "the offsets are [0.25, -0.25] but must be 3 finite numbers, one per class",
        "the offsets of image are [0.5, -0.5] but must be 3 finite numbers, one per "
        "class",
        "the prediction sets of image are for 2 classes, not 3",
    ]
    broken = Calibration(0.0, {"rna": float("nan")})
    assert broken.problems(2) == [
        "the temperature is 0.0 but must be positive",
        "the temperature of rna is nan but must be positive",
    ]


def test_words_for_people(record) -> None:
    assert Calibration(0.81064).words() == ["temperature 0.8106"]
    assert record.words() == [
        "temperature 1.5, classes shifted by +0.25, -0.25; 1 subsets of the data have "
        "their own",
        "prediction sets by lac, coverage 80 %, 90 %, 95 %, 99 %, from 19 calibration "
        "patients; subsets of the data: 1",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 10**400},
        {"temperature": "2.5"},
        {"temperature": True},
        {"temperatures": {"rna": "1"}},
        {"offset": ["0", "0"]},
        {"offsets": {"rna": [None, 0.0]}},
    ],
)
def test_what_is_no_number_is_refused(wrong):
    with pytest.raises(ValueError, match="must be a number"):
        Calibration.from_dict({"temperature": 1.0, **wrong})
