from __future__ import annotations

import math

import pytest

from builders.results import make_prediction, with_answers
from napari_mmsubtype.core.answer_words import answer_caution, answer_rows, answer_words
from napari_mmsubtype.core.answers import ChoiceAnswer, RiskAnswer, SurvivalAnswer

STAGE = {"subsets": {"image": (0.17, 0.61, 0.22)}, "labels": ("I", "II", "III")}


def risk(value, center=0.0):
    return RiskAnswer(subsets={"image": (value,)}, event="death", center=center)


def test_the_most_probable_level_is_named():
    assert answer_words(ChoiceAnswer(**STAGE), "image") == "II (61.0%)"
    late = ChoiceAnswer(**STAGE, late="II")
    assert answer_words(late, "image") == "II (61.0%); II or higher 83.0%"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.log(1.8), "1.8 times"),
        (math.log(0.5), "0.5 times"),
        (math.log(250), "more than 100 times"),
        (-math.log(250), "less than 0.01 times"),
        (2000.0, "more than 100 times"),
    ],
)
def test_a_risk_is_a_multiple_of_a_stated_reference(value, words):
    expected = f"{words} the risk of death of the average training patient"
    assert answer_words(risk(value), "image") == expected
    assert answer_words(risk(value + 3, center=3.0), "image") == expected


def test_without_reference_no_multiple_is_claimed():
    words = answer_words(risk(0.42, center=None), "image")
    assert words.startswith("log-risk of death +0.42, higher is worse")
    assert "times" not in words


def test_survival_is_told_at_the_times_that_it_is_known_for():
    answer = SurvivalAnswer(
        subsets={"image": (0.91, 0.5)}, times=(12, 30.4), unit="months", event="death"
    )
    words = "no death until 12 months 91.0%, 30.4 months 50.0%"
    assert answer_words(answer, "image") == words


def test_only_chances_that_are_not_calibrated_are_cautioned_against():
    assert answer_caution({}) == answer_caution({"risk": risk(1.0)}) == ""
    both = {"stage": ChoiceAnswer(**STAGE), "risk": risk(1.0)}
    assert answer_caution(both).startswith("The chances of stage were not calibrated")
    assert answer_caution({"stage": ChoiceAnswer(**STAGE, calibrated=True)}) == ""


def test_other_heads_answer_from_all_data_and_from_less() -> None:
    prediction = with_answers(make_prediction(("image", "rna")))
    (row,) = answer_rows(prediction)
    words = "times the risk of death of the average training patient"
    assert (row.name, row.text) == ("risk", f"2 {words}")
    assert row.less == f"image alone: 1 {words}\nRNA alone: 2.7 {words}"
    assert answer_rows(make_prediction()) == []
