"""Say in words what a model answers besides the class, and no more than it knows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_mmsubtype.core.answers import ChoiceAnswer, RiskAnswer
from napari_mmsubtype.core.cases import subset_key
from napari_mmsubtype.core.records import format_probability
from napari_mmsubtype.core.result_words import subsets_by_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_mmsubtype.core.answers import Answer, SurvivalAnswer
    from napari_mmsubtype.core.records import Prediction

_LARGEST = 100.0
_UNCALIBRATED = (
    "The chances of {} were not calibrated: they order patients, but they are no rates."
)


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """What one further head of the model says.

    Attributes
    ----------
    name : str
        Of the head.
    text : str
        From all data, in words.
    less : str
        The same from less data, a line for each; empty with one modality.
    """

    name: str
    text: str
    less: str


def answer_rows(prediction: Prediction) -> list[AnswerRow]:
    """Put what the further heads say into words.

    Parameters
    ----------
    prediction : Prediction
        With answers for every subset of its modalities.

    Returns
    -------
    list of AnswerRow
        In the order of the heads; none where the model has only classes.
    """
    whole, *less = subsets_by_text(prediction).items()
    return [
        AnswerRow(
            name,
            answer_words(answer, subset_key(whole[1])),
            "\n".join(
                f"{text}: {answer_words(answer, subset_key(subset))}"
                for text, subset in less
            ),
        )
        for name, answer in prediction.answers.items()
    ]


def answer_words(answer: Answer, key: str) -> str:
    """Describe an answer.

    Parameters
    ----------
    answer : Answer
        From a prediction.
    key : str
        Subset of the modalities that it is made from.

    Returns
    -------
    str
        For example ``"II (61.0%); III or higher 22.0%"``, ``"1.8 times the risk of
        death of the average training patient"`` or ``"no death until 12 months
        91.0%, 24 months 78.0%"``.
    """
    if isinstance(answer, ChoiceAnswer):
        return _choice(answer, key)
    if isinstance(answer, RiskAnswer):
        return _risk(answer, key)
    return _survival(answer, key)


def answer_caution(answers: Mapping[str, Answer]) -> str:
    """Say which answers must not be read as rates.

    Parameters
    ----------
    answers : mapping of str to Answer
        By name, from a prediction.

    Returns
    -------
    str
        One sentence; empty where all chances given are calibrated.
    """
    names = [
        name
        for name, answer in answers.items()
        if not isinstance(answer, RiskAnswer) and not answer.calibrated
    ]
    return _UNCALIBRATED.format(", ".join(names)) if names else ""


def _choice(answer: ChoiceAnswer, key: str) -> str:
    best = answer.best(key)
    share = format_probability(answer.subsets[key][best])
    late = answer.late_probability(key)
    text = f"{answer.labels[best]} ({share})"
    if late is None:
        return text
    return f"{text}; {answer.late} or higher {format_probability(late)}"


def _risk(answer: RiskAnswer, key: str) -> str:
    ratio = answer.log_ratio(key)
    if ratio is None:
        return (
            f"log-risk of {answer.event} {answer.subsets[key][0]:+.2f}, higher is "
            "worse; it compares patients of this model and has no scale of its own"
        )
    # Beyond this, the number says more about the model than about the patient.
    largest = math.log(_LARGEST)
    if abs(ratio) > largest:
        bound = (
            f"more than {_LARGEST:g}" if ratio > 0 else f"less than {1 / _LARGEST:g}"
        )
    else:
        bound = f"{math.exp(ratio):.2g}"
    return f"{bound} times the risk of {answer.event} of the average training patient"


def _survival(answer: SurvivalAnswer, key: str) -> str:
    chances = ", ".join(
        f"{time:.3g} {answer.unit} {format_probability(chance)}"
        for time, chance in zip(answer.times, answer.subsets[key], strict=True)
    )
    return f"no {answer.event} until {chances}"
