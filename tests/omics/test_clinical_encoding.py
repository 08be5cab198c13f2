from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmsubtype.omics.clinical_encoding import encode_clinical
from napari_mmsubtype.omics.clinical_fitting import fit_clinical

FRAME = pd.DataFrame(
    {
        "age": ["40", "50", "60", "70", "80", "NA", "65", "55"],
        "sex": ["Male", "Female", "FEMALE", " female", "male", "Female", "male", "'--"],
        "grade": [1, 2, 2, 1, 1, 2, 1, 2],
    }
)
FEATURES = fit_clinical(FRAME).features


def encode(**row: object) -> tuple[dict[str, float], tuple[str, ...], tuple[str, ...]]:
    values, missing, notes = encode_clinical(row, FEATURES, clip=6.0)
    assert values.dtype == np.float32
    named = zip(FEATURES["feature"], values.tolist(), strict=True)
    return dict(named), missing, notes


def test_number_becomes_its_training_z_score():
    known = np.array([40, 50, 60, 70, 80, 65, 55])
    values, missing, _ = encode(age="72", sex="Male", grade=1)
    assert values["age"] == pytest.approx((72 - known.mean()) / known.std(), rel=1e-6)
    assert values["age=missing"] == 0
    assert missing == ()


def test_missing_number_takes_the_median_and_the_indicator():
    known = np.array([40, 50, 60, 70, 80, 65, 55])
    values, missing, _ = encode(sex="male", grade=2)
    assert values["age"] == pytest.approx((60 - known.mean()) / known.std(), abs=1e-6)
    assert values["age=missing"] == 1
    assert missing == ("age",)


@pytest.mark.parametrize("sex", ["FEMALE", " Female ", "female"])
def test_spelling_of_a_category_does_not_matter(sex):
    values, _, _ = encode(age=50, sex=sex, grade="2")
    assert (values["sex=female"], values["sex=male"], values["sex=unknown"]) == (
        1,
        0,
        0,
    )
    assert (values["grade=1"], values["grade=2"]) == (0, 1)


def test_numbers_as_categories_agree_across_types():
    assert encode(grade=2)[0] == encode(grade=2.0)[0] == encode(grade="2")[0]


def test_missing_and_unseen_categories_are_unknown():
    missing = encode(age=50, grade=1)
    unseen = encode(age=50, sex="other", grade=1)
    assert missing[0] == unseen[0]
    assert missing[0]["sex=unknown"] == 1
    assert missing[1] == ("sex",)
    assert unseen[1] == ()
    assert "not seen in training" in unseen[2][0]


def test_without_an_unknown_column_the_training_shares_stand_in():
    values, _, _ = encode(age=50, sex="male")
    assert (values["grade=1"], values["grade=2"]) == (0.5, 0.5)


def test_words_for_a_number_count_as_missing_with_a_note():
    values, _, notes = encode(age="fifty", sex="male", grade=1)
    assert values["age=missing"] == 1
    assert "'fifty'" in notes[0]


def test_number_far_outside_training_is_clipped_with_a_note():
    values, _, notes = encode(age=4000, sex="male", grade=1)
    assert values["age"] == 6
    assert "4000" in notes[0]


@given(
    age=st.one_of(st.none(), st.floats(), st.text(max_size=5)),
    sex=st.one_of(st.none(), st.text(max_size=5)),
    grade=st.one_of(st.none(), st.integers(), st.floats()),
)
def test_any_row_encodes_to_finite_values_within_the_clip(age, sex, grade):
    values, _, _ = encode(age=age, sex=sex, grade=grade)
    array = np.array(list(values.values()))
    assert np.isfinite(array).all()
    assert (np.abs(array) <= 6).all()
    assert values["sex=female"] + values["sex=male"] + values["sex=unknown"] == 1
