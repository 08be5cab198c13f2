from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.clinical_scales import (
    UNITS,
    convert_number,
    read_level,
    read_number,
)

STAGES = (
    "Stage 0", "Stage IA", "Stage IB", "Stage IC", "Stage IIA", "Stage IIB",
    "Stage IIC", "Stage IIIA", "Stage IIIB", "Stage IIIC", "Stage IVA", "Stage IVB",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "number"),
    [("61", 61), (" 6.5 ", 6.5), ("6,5", 6.5), (7, 7), (np.int64(3), 3), ("-4", -4)],
)
def test_numbers_are_read(text, number):
    assert read_number(text) == number


@pytest.mark.parametrize("text", ["", "NA", "'--", None, "sixty", "1,234", "inf"])
def test_what_is_no_number_is_missing(text):
    assert np.isnan(read_number(text))


def test_days_become_years():
    assert convert_number(21915, "days", "years") == pytest.approx(60)
    assert convert_number(-21915, "days before", "years") == pytest.approx(60)
    assert convert_number(2.5, "cm", "mm") == 25
    assert convert_number(7, "", "years") == 7


@given(
    st.floats(-1e6, 1e6),
    st.sampled_from([u for u, (k, _) in UNITS.items() if k == "time"]),
)
def test_conversion_is_undone_by_its_reverse(number, unit):
    back = convert_number(convert_number(number, unit, "years"), "years", unit)
    assert back == pytest.approx(number, abs=1e-9)


@pytest.mark.parametrize(
    ("units", "words"),
    [(("years", "cm"), "measures time"), (("fortnights", "days"), "'fortnights'")],
)
def test_units_that_do_not_go_together_are_refused(units, words):
    with pytest.raises(ConfigurationError, match=words):
        convert_number(1.0, *units)


def test_stages_are_in_their_order_and_sub_letters_lie_between():
    values = [read_level(text, "stage") for text in STAGES]
    assert values == sorted(values)
    assert len(set(values)) == len(values)
    assert read_level("STAGE IIIC", "stage") == pytest.approx(3 + 2 / 3)
    # Without a letter: the middle of its letters.
    assert read_level("Stage II", "stage") == read_level("Stage IIB", "stage")
    assert read_level("Stage IA1", "stage") < read_level("Stage IA3", "stage")
    assert read_level("Stage IA3", "stage") < read_level("Stage IB", "stage")


@pytest.mark.parametrize("text", ["Stage X", "not reported", "", None, "Stage V", "T2"])
def test_what_is_no_stage_is_missing(text):
    assert np.isnan(read_level(text, "stage"))


@pytest.mark.parametrize(
    ("text", "axis", "value"),
    [
        ("T2", "t", 2.25),
        ("T1c", "t", 1.5),
        ("pT4b", "t", 4.25),
        ("Tis", "t", 0.5),
        ("N0 (I-)", "n", 0),
        ("N0 (MOL+)", "n", 0),
        ("N1MI", "n", 1),
        ("N3A", "n", 3),
        ("cM0 (i+)", "m", 0),
        ("M1a", "m", 1),
    ],
)
def test_extent_is_read(text, axis, value):
    assert read_level(text, axis) == value


@pytest.mark.parametrize("text", ["TX", "N1", "T5", "MX"])
def test_extent_that_is_not_known_is_missing(text):
    assert np.isnan(read_level(text, "t"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("G2", 2), ("Grade III", 3), (1, 1), (2.0, 2), ("High Grade", 3),
     ("Moderately differentiated", 2), ("undifferentiated", 4)],
)  # fmt: skip
def test_grades_are_read(text, value):
    assert read_level(text, "grade") == value
    assert np.isnan(read_level("GX", "grade"))


def test_an_order_of_ones_own_counts_from_its_least():
    order = ("never", "former", "current")
    assert [read_level(a, order) for a in ("Never", " former", "CURRENT")] == [0, 1, 2]
    assert np.isnan(read_level("sometimes", order))


@pytest.mark.parametrize(
    ("answers", "place"),
    [
        (("Lifelong Non-Smoker", "Never", "never smoker", "Non-smoker", "No"), 0),
        (
            (
                "Current Reformed Smoker for > 15 yrs",
                "Current Reformed Smoker, Duration Not Specified",
                "Former",
                "ex-smoker",
                "Ex smoker",
                "Quit 1999",
            ),
            1,
        ),
        (("Current Smoker", "current", "Smoker", "Yes"), 2),
        (("Not Reported", "'--", "4", "yesterday", ""), np.nan),
    ],
)
def test_smoking_is_never_former_or_current(answers, place):
    for answer in answers:
        np.testing.assert_equal(read_level(answer, "smoking"), place)
