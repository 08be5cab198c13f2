from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from napari_mmsubtype.core.answers import (
    ChoiceAnswer,
    RiskAnswer,
    SurvivalAnswer,
    check_answer,
    read_answer,
)

STAGE = ChoiceAnswer(
    subsets={"image+rna": (0.1, 0.6, 0.2, 0.1), "image": (0.4, 0.3, 0.2, 0.1)},
    labels=("I", "II", "III", "IV"),
    late="III",
)


@pytest.mark.parametrize(
    "answer",
    [
        STAGE,
        ChoiceAnswer(subsets={"image": (0.9, 0.1)}, labels=("+", "-"), kind="classes"),
        RiskAnswer(subsets={"image": (0.5,)}, event="death", center=0.25),
        RiskAnswer(subsets={"image": (0.5,)}, event="death"),
        SurvivalAnswer(
            subsets={"image": (0.9, 0.7)}, times=(1.0, 5.0), unit="years", event="death"
        ),
        SurvivalAnswer(
            subsets={}, times=(), unit="years", event="death", calibrated=True
        ),
    ],
)
def test_an_answer_survives_json(answer):
    read = read_answer(json.loads(json.dumps(asdict(answer))))
    assert read == answer
    assert type(read) is type(answer)


def test_an_answer_of_a_later_version_is_refused():
    with pytest.raises(ValueError, match="'grid' was found; known are classes"):
        read_answer({"kind": "grid", "subsets": {}})


def test_late_is_the_sum_from_its_first_level():
    assert STAGE.best("image+rna") == 1
    assert STAGE.best("image") == 0
    assert STAGE.late_probability("image+rna") == pytest.approx(0.3)
    undivided = ChoiceAnswer(subsets=STAGE.subsets, labels=STAGE.labels)
    assert undivided.late_probability("image") is None


def test_a_risk_is_told_against_the_mean_where_it_is_known():
    assert RiskAnswer(subsets={"a": (2.0,)}, event="x").log_ratio("a") is None
    known = RiskAnswer(subsets={"a": (2.0,)}, event="x", center=0.5)
    assert known.log_ratio("a") == 1.5


def test_answers_name_the_levels_and_times_that_they_have():
    choice = ChoiceAnswer(subsets={"rna": (0.5, 0.5)}, labels=("I", "II"), late="II")
    check_answer("stage", choice, ["rna"])
    with pytest.raises(ValueError, match="'stage' calls 'IV' late, which is no level"):
        check_answer("stage", replace(choice, late="IV"), ["rna"])
    with pytest.raises(ValueError, match="from 'rna' has 2 of 3 values"):
        check_answer("stage", replace(choice, labels=("I", "II", "III")), ["rna"])
    with pytest.raises(ValueError, match=r"from \['rna'\] of \['image'\]"):
        check_answer("stage", choice, ["image"])
