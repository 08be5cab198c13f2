from __future__ import annotations

import pytest

from builders.results import make_prediction
from napari_mmsubtype.core.records import ModalityReport
from napari_mmsubtype.core.result_words import (
    called,
    coverage_words,
    elsewhere_words,
    map_words,
    missing_words,
    share_rows,
    subset_rows,
    use_words,
)


@pytest.mark.parametrize(
    ("modalities", "texts"),
    [
        (("image",), ["image alone"]),
        (("image", "rna"), ["all data", "image alone", "RNA alone"]),
        (
            ("image", "rna", "clinical"),
            [
                "all data",
                "without image",
                "without RNA",
                "without clinical",
                "image alone",
                "RNA alone",
                "clinical alone",
            ],
        ),
    ],
)
def test_subset_rows_say_each_thing_once(modalities, texts) -> None:
    assert [row.text for row in subset_rows(make_prediction(modalities))] == texts


def test_subset_rows_tell_where_the_call_changes() -> None:
    rows = {row.text: row.label for row in subset_rows(make_prediction())}
    assert rows["all data"] == rows["without image"] == "Luminal"
    assert rows["without RNA"] == rows["image alone"] == "Basal/HER2"


def test_shares_are_against_the_other_classes() -> None:
    assert share_rows(make_prediction()) == [
        ("image", pytest.approx(-0.8)),
        ("RNA", pytest.approx(2.0)),
        ("clinical", pytest.approx(-0.8)),
    ]


def test_subset_rows_know_what_they_were_made_from() -> None:
    rows = {row.text: row.modalities for row in subset_rows(make_prediction())}
    assert rows["without RNA"] == ("image", "clinical")


def test_the_first_of_equal_classes_is_called() -> None:
    prediction = make_prediction()
    assert called(prediction, (0.5, 0.5)) == "Luminal"
    assert called(prediction, (0.4, 0.6)) == "Basal/HER2"


def test_coverage_is_told_by_number_and_by_weight() -> None:
    report = ModalityReport("rna", True, matched=1203, expected=1286, coverage=0.9355)
    assert coverage_words(report) == "1,203 of 1,286 features (93.5%)"
    weighed = ModalityReport(
        "rna", True, matched=1, expected=2, coverage=0.5, weight_coverage=0.123
    )
    assert coverage_words(weighed) == (
        "1 of 2 features (50.0%), 12.3% of the model's weight"
    )
    assert coverage_words(ModalityReport("rna", False)) == ""


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ((), ""),
        (("A",), "A"),
        (("A", "B", "C"), "A, B, C"),
        (("A", "B", "C", "D"), "A, B, C and 1 more"),
        (tuple("ABC") + ("X",) * 2000, "A, B, C and 2,000 more"),
    ],
)
def test_missing_features_are_named_up_to_a_few(missing, words) -> None:
    assert missing_words(missing) == words


def test_refused_tables_say_why() -> None:
    assert use_words(ModalityReport("rna", True)) == "used"
    assert use_words(ModalityReport("rna", False, "too few")) == "not used: too few"
    assert use_words(ModalityReport("rna", False)) == "not used"


def test_only_exact_maps_are_said_to_add_up() -> None:
    assert "adds up" in map_words(True)
    assert "does not add up" in map_words(False)
    # Another number than the share that stands in the table above it.
    assert "not the image's Shapley share" in map_words(True)


def test_what_may_have_ended_on_another_machine_can_be_freed():
    words = elsewhere_words("process 7 on lab-7, since then", "/r/slide.zarr")
    assert words == (
        "The analysis belongs to process 7 on lab-7, since then. If it has ended "
        "there, free the result with: napari-mmsubtype unlock '/r/slide.zarr'"
    )
