import json

import pytest

from builders.stores import begin_store, complete_store
from builders.trust import BOTH, FINE, ODD
from napari_mmsubtype.cli.report import result_record, result_text, to_json
from napari_mmsubtype.core.answers import ChoiceAnswer, RiskAnswer
from napari_mmsubtype.core.result_words import DEMO_CAUTION, INTERRUPTED
from napari_mmsubtype.results.store import open_result


@pytest.fixture
def result(tmp_path):
    complete_store(tmp_path)
    return open_result(tmp_path / "slide.mmsubtype.zarr")


def test_record_survives_json_and_has_every_key(result):
    record = json.loads(to_json(result_record(result)))
    assert {
        "label",
        "classes",
        "probabilities",
        "logits",
        "subsets",
        "shapley",
        "modalities",
        "patches",
        "store",
        "status",
    } <= set(record)
    assert record["status"] == "complete"
    assert record["label"] in record["classes"]
    assert sum(record["probabilities"]) == pytest.approx(1)
    assert record["subsets"]["image"]["modalities"] == ["image"]
    counts = record["patches"]
    assert counts["done"] + counts["unreadable"] == counts["tissue"]
    assert (counts["excluded"], counts["flagged"], record["warnings"]) == (0, {}, [])


def test_label_is_the_most_probable_class(result):
    record = result_record(result)
    best = record["classes"].index(record["label"])
    assert record["probabilities"][best] == max(record["probabilities"])


def test_json_refuses_numbers_that_are_none():
    with pytest.raises(ValueError, match="JSON"):
        to_json({"value": float("nan")})


def test_text_says_call_subsets_tables_patches_and_store(result):
    text = result_text(result)
    prediction = result.prediction
    assert prediction.label in text.splitlines()[0]
    assert f"{max(prediction.call.probabilities):.1%}" in text
    assert f"{prediction.call.probabilities[0]:.3f}" in text
    assert "not used: too few genes" in text
    assert f"{prediction.patches.tissue} tissue patches: " in text
    assert f"{prediction.patches.done} used" in text
    assert str(result.path) in text
    assert "Research use only" in text


def test_text_warns_when_the_demo_model_met_real_tissue(result):
    assert result.is_demo
    assert DEMO_CAUTION in result_text(result)


def test_interrupted_result_is_told_as_such(tmp_path):
    begin_store(tmp_path)
    result = open_result(tmp_path / "slide.mmsubtype.zarr")
    assert result_record(result)["status"] == "partial"
    assert "label" not in result_record(result)
    assert INTERRUPTED in result_text(result)


def test_colors_are_told_where_there_is_something_to_tell(result):
    assert "\ncolor" not in result_text(result)
    assert result_record(result)["color"] == {"icc": "none", "stain": None}
    body = result._body
    body["slide"] |= {"icc": "off", "icc_profile": {"description": "ScanScope v1"}}
    body["stain"] = {"method": "macenko", "strength": [1.0, 1.0]}
    lines = result_text(result).splitlines()
    (line,) = [line for line in lines if line.startswith("color")]
    assert line == (
        "color        profile ScanScope v1: not applied, as the model was trained; "
        "stain normalized by Macenko, as the model was trained"
    )
    record = json.loads(to_json(result_record(result)))
    assert record["color"] == {"icc": "off", "stain": body["stain"]}


def test_features_that_a_table_lacks_are_named(result):
    entry = {
        "modality": "rna",
        "used": True,
        "matched": 6,
        "expected": 10,
        "coverage": 0.6,
    }
    body = result._body["prediction"]
    body["modalities"] = [
        {**entry, "missing": ["ESR1", "PGR", "VIM", "B2M"], "notes": ["read"]}
    ]
    assert (
        "6 of 10 features (60.0%), missing ESR1, PGR, VIM and 1 more; read"
        in result_text(result)
    )


def test_other_heads_answer_in_words_and_numbers(tmp_path):
    answers = {
        "stage": ChoiceAnswer(
            subsets={"image": (0.1, 0.6, 0.3)}, labels=("I", "II", "III"), late="II"
        ),
        "risk": RiskAnswer(subsets={"image": (0.7,)}, event="death", center=0.0),
    }
    result = complete_store(tmp_path, answers=answers)
    text = result_text(result)
    assert "\nstage        II (60.0%); II or higher 90.0%\n" in text
    words = "2 times the risk of death of the average training patient"
    assert f"\nrisk         {words}\n" in text
    assert "The chances of stage were not calibrated" in text
    record = json.loads(to_json(result_record(result)))["answers"]
    assert record["risk"] == {
        "kind": "cox",
        "subsets": {"image": [0.7]},
        "event": "death",
        "center": 0.0,
        "words": words,
    }
    assert record["stage"]["labels"] == ["I", "II", "III"]


def test_a_model_of_classes_alone_says_nothing_more(result):
    assert result_record(result)["answers"] == {}
    assert "calibrated" not in result_text(result)


def test_classes_left_and_likeness_are_told(tmp_path):
    result = complete_store(tmp_path, conformal=BOTH, guard=ODD)
    record = json.loads(to_json(result_record(result)))
    assert record["conformal"]["classes"] == ["Luminal", "Basal/HER2"]
    assert record["conformal"]["coverage"] == 0.9
    assert record["guard"]["verdict"] == "unlike"
    assert record["guard"]["findings"][1]["percentile"] == 100.0
    lines = result_text(result).splitlines()
    assert (
        "classes left with 90 % coverage: Luminal or Basal/HER2 - the model cannot "
        "tell them apart here; not promised for a patient unlike the training patients"
    ) in lines
    assert (
        "likeness     RNA: unlike all 264 training patients; the call may not hold; "
        "ESR1 -5.2 SD"
    ) in lines
    assert "likeness     image: like the training patients" in lines


def test_all_well_is_one_line(tmp_path):
    result = complete_store(tmp_path, guard=FINE)
    assert "likeness     image and RNA: like the training patients" in result_text(
        result
    )


def test_what_was_not_recorded_is_null(result):
    record = result_record(result)
    assert record["conformal"] is None
    assert record["guard"] is None
    assert "likeness" not in result_text(result)
