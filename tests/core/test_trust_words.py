from __future__ import annotations

import pytest

from napari_mmsubtype.core.trust import (
    FOLDS,
    SOURCES,
    TYPICAL,
    UNLIKE,
    UNUSUAL,
    VALIDATION,
    ConformalSet,
    GuardFinding,
    GuardReport,
)
from napari_mmsubtype.core.trust_words import (
    conformal_words,
    familiar_words,
    finding_headline,
    finding_words,
    guard_words,
    promise_words,
)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (ConformalSet(0.9, ("Luminal",)), "with 90 % coverage: Luminal alone"),
        (
            ConformalSet(0.95, ("Luminal", "Basal/HER2")),
            "with 95 % coverage: Luminal or Basal/HER2 - the model cannot tell them "
            "apart here",
        ),
        (
            ConformalSet(0.9, ("Luminal",), source="validation"),
            "with about 90 % coverage: Luminal alone",
        ),
        (ConformalSet(0.9, problem="too few"), "no set of classes: too few"),
    ],
)
def test_sets(found, words) -> None:
    assert conformal_words(found) == words


def test_nothing_is_promised_for_a_patient_unlike_the_training_ones() -> None:
    found = ConformalSet(0.9, ("Luminal",))
    odd, fine = (
        GuardReport((GuardFinding("rna", verdict, 9, 9),))
        for verdict in (UNLIKE, UNUSUAL)
    )
    assert conformal_words(found, odd) == (
        "with 90 % coverage: Luminal alone; not promised for a patient unlike the "
        "training patients"
    )
    assert conformal_words(found, fine) == conformal_words(found)


def test_promise_names_whom_it_holds_for() -> None:
    assert promise_words(ConformalSet(0.95, by_class=True, n=240)).startswith(
        "Of patients of each class like the 240 of the calibration, at least 95 %"
    )
    assert promise_words(ConformalSet(0.9, n=50)).startswith("Of patients like the 50")


def test_sets_of_patients_that_served_for_more_promise_less() -> None:
    words = {s: promise_words(ConformalSet(0.9, n=50, source=s)) for s in SOURCES}
    assert words[""] == (
        "Of patients like the 50 of the calibration, at least 90 % have their true "
        "class in such a set. For patients of another kind nothing is promised."
    )
    assert words[VALIDATION] == (
        "Of patients like the 50 of the calibration, about 90 % have their true class "
        "in such a set, slightly fewer, as these patients also chose when training "
        "ended. For patients of another kind nothing is promised."
    )
    assert "about 90 %" in words[FOLDS]
    assert "single folds" in words[FOLDS]


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (GuardFinding("image", TYPICAL, 1, 9), "image: like the training patients"),
        (
            GuardFinding("rna", UNUSUAL, 255, 264, ("why",)),
            "RNA: odder than 96 % of the 264 training patients; why",
        ),
        (
            GuardFinding("rna", UNLIKE, 264, 264, ("one", "two")),
            "RNA: unlike all 264 training patients; the call may not hold; one; two",
        ),
        (
            GuardFinding("clinical", UNLIKE, 263, 264),
            "clinical: unlike 99 % of the 264 training patients; the call may not hold",
        ),
    ],
)
def test_findings(finding, words) -> None:
    assert finding_words(finding) == words
    reasons = () if finding.verdict == TYPICAL else finding.reasons
    assert "; ".join([finding_headline(finding), *reasons]) == words


def test_reports_put_the_odd_first_and_the_rest_on_one_line() -> None:
    fine = [GuardFinding(m, TYPICAL, 1, 9) for m in ("image", "rna", "clinical")]
    odd = GuardFinding("methylation", UNUSUAL, 9, 9)
    assert guard_words(GuardReport(tuple(fine))) == [
        "image, RNA and clinical: like the training patients"
    ]
    assert guard_words(GuardReport((fine[0], odd))) == [
        "methylation: odder than all 9 training patients",
        "image: like the training patients",
    ]
    assert familiar_words(GuardReport((odd,))) == []
    assert guard_words(GuardReport((odd,))) == [
        "methylation: odder than all 9 training patients"
    ]
    assert guard_words(GuardReport(problem="nothing to compare")) == [
        "nothing to compare"
    ]
