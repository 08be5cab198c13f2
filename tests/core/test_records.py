import json

import pytest

from builders.results import make_prediction, with_answers
from builders.trust import BOTH, ODD, with_trust
from napari_mmsubtype.core.answers import RiskAnswer
from napari_mmsubtype.core.records import (
    Call,
    ModalityReport,
    PatchCounts,
    Prediction,
    format_probability,
)


def test_prediction_survives_json():
    call = Call(("image", "rna"), (1.5, -0.5), (0.88, 0.12))
    alone = Call(("image",), (-1.0, 0.25), (0.22, 0.78))
    report = ModalityReport(
        "rna",
        True,
        sample="P1",
        missing=("A",),
        notes=("z",),
        weight_coverage=0.9,
        source="rna.csv",
        identifiers="2 symbols",
    )
    prediction = Prediction(
        classes=("Luminal", "Basal/HER2"),
        call=call,
        subsets={"image+rna": call, "image": alone},
        shapley={"image": (0.1, -0.2), "rna": (1.0, 0.0)},
        bias=(0.4, -0.3),
        patches=PatchCounts(12, 8, 5, 1, excluded=2, flagged={"pen": 2, "fold": 1}),
        modalities=(report,),
        warnings=("mind this",),
        conformal=BOTH,
        guard=ODD,
        answers={
            "risk": RiskAnswer(
                subsets={"image+rna": (0.5,), "image": (0.1,)}, event="death"
            )
        },
    )
    read = Prediction.from_dict(json.loads(json.dumps(prediction.to_dict())))
    assert read == prediction
    assert read.label == "Luminal"


WRONG = [
    ("subsets rna probabilities", [0.5]),
    ("subsets rna logits", "text"),
    ("subsets rna logits 1", []),
    ("subsets rna logits 0", 10**400),
    ("subsets rna probabilities 0", float("nan")),
    ("subsets rna modalities 0", 5),
    ("subsets rna modalities", ["image"]),
    ("subsets", {}),
    ("call modalities", ["clin"]),
    ("call probabilities", [0.5, 7.5]),
    ("call logits 0", 2.0),
    ("classes", "AB"),
    ("classes 1", None),
    ("shapley rna", [0.5]),
    ("shapley", {"x-ray": [0.5, 0.5]}),
    ("bias", [0.0, 0.0, 0.0]),
    ("bias 0", "x"),
    ("patches done", None),
    ("modalities 0 expected", "5"),
    ("modalities 0 notes", ["z", 0.0]),
    ("modalities 0 coverage", float("inf")),
    ("modalities 0 modality", "x-ray"),
    ("conformal coverage", [0, 0]),
    ("conformal coverage", 0),
    ("conformal coverage", 1.5),
    ("conformal classes", ["Nobody"]),
    ("guard findings 0 modality", []),
    ("guard findings 0 verdict", "odd"),
    ("guard findings 0 n", 0),
    ("guard findings 0 below", 999),
    ("answers risk kind", "oracle"),
    ("answers risk event", 4),
    ("answers risk subsets", {}),
    ("answers risk subsets rna", [0.5, 0.5]),
    ("warnings", "text"),
]


@pytest.mark.parametrize(("path", "value"), WRONG)
def test_what_no_analysis_writes_is_refused(path, value):
    made = with_answers(with_trust(make_prediction(("image", "rna"))))
    entry = json.loads(json.dumps(made.to_dict()))
    assert Prediction.from_dict(entry) == made
    place = entry
    *inside, last = [int(n) if n.isdigit() else n for n in path.split()]
    for name in inside:
        place = place[name]
    place[last] = value
    with pytest.raises(ValueError, match=r"\w"):
        Prediction.from_dict(entry)


def test_predictions_of_older_versions_are_read():
    call = Call(("image",), (1.0, 0.0), (0.7, 0.3))
    prediction = Prediction(
        classes=("a", "b"),
        call=call,
        subsets={"image": call},
        shapley={},
        bias=(0.0, 0.0),
        patches=PatchCounts(1, 1, 1, 0),
        modalities=(ModalityReport("rna", True),),
    )
    entry = prediction.to_dict()
    del entry["modalities"][0]["weight_coverage"], entry["answers"]
    del entry["conformal"], entry["guard"]
    read = Prediction.from_dict(entry)
    assert read.modalities[0].weight_coverage is None
    assert read.answers == {}
    assert (read.conformal, read.guard) == (None, None)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.938, "93.8%"), (0.99971, ">99.9%"), (1.0, ">99.9%"), (0.0002, "<0.1%")],
)
def test_a_probability_never_claims_certainty(value, text):
    assert format_probability(value) == text
