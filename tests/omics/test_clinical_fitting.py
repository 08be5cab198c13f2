from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.clinical_encoding import encode_clinical, read_variables
from napari_mmsubtype.omics.clinical_fitting import fit_clinical
from napari_mmsubtype.omics.clinical_schema import parse_schema

FRAME = pd.DataFrame(
    {
        "age": ["40", "50", "60", "70", "80", "NA", "65", "55"],
        "sex": ["Male", "Female", "FEMALE", " female", "male", "Female", "male", "'--"],
        "grade": [1, 2, 2, 1, 1, 2, 1, 2],
    }
)
FEATURES = fit_clinical(FRAME).features


def test_kinds_are_inferred_and_spelled_out():
    assert FEATURES["feature"].tolist() == [
        "age",
        "age=missing",
        "sex=female",
        "sex=male",
        "sex=unknown",
        "grade=1",
        "grade=2",
    ]
    assert FEATURES["kind"].tolist() == ["numeric", "missing", *["category"] * 5]


def test_rare_levels_are_trained_as_unknown():
    frame = pd.DataFrame({"stage": ["I", "I", "II", "II", "IV"]})
    assert fit_clinical(frame).features["category"].tolist() == ["i", "ii", "unknown"]


def test_schema_decides_over_appearance():
    features = fit_clinical(FRAME, {"grade": "numeric"}).features
    assert features["kind"].tolist() == ["numeric"]
    assert features["mean"].item() == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("frame", "schema", "words"),
    [
        (FRAME, {"height": "numeric"}, "'height' is not among"),
        (FRAME, {"sex": "numeric"}, "no number"),
        (pd.DataFrame({"a": ["x"] * 5}), None, "no clinical variable varies"),
        (
            pd.DataFrame({"ward": [f"p{i // 2}" for i in range(80)]}),
            {"ward": "category"},
            "40 levels",
        ),
    ],
)
def test_variables_that_cannot_be_encoded_are_refused(frame, schema, words):
    with pytest.raises(ConfigurationError, match=words):
        fit_clinical(frame, schema)


STAGES = pd.DataFrame(
    {
        "stage": ["Stage I", "STAGE IIA", "Stage IIIC", "Stage X", "NA", "stage iv"],
        "diagnoses.age_at_diagnosis": [18262.5, 21915, 25567.5, "'--", 14610, 21915],
        "sex": ["female", "male", "female", "male", "male", "female"],
    }
)
SCHEMA = {
    "stage": {"kind": "ordinal", "order": "stage"},
    "age": {
        "kind": "numeric",
        "unit": "years",
        "columns": {"diagnoses.age_at_diagnosis": "days"},
    },
    "sex": "category",
}


def test_ordinals_become_z_scores_with_a_missing_indicator():
    fit = fit_clinical(STAGES, SCHEMA)
    known = np.array([4 / 3, 2, 11 / 3, 13 / 3])
    row = fit.features.set_index("feature").loc["stage"]
    assert row["kind"] == "ordinal"
    assert row["mean"] == pytest.approx(known.mean())
    assert row["std"] == pytest.approx(known.std())
    values, missing, notes = encode_clinical(
        {"stage": "Stage IIB", "age": 60, "sex": "male"}, fit.features, clip=6.0
    )
    named = dict(zip(fit.features["feature"], values.tolist(), strict=True))
    expected = (7 / 3 - known.mean()) / known.std()
    assert named["stage"] == pytest.approx(expected, abs=1e-6)
    assert (named["stage=missing"], missing, notes) == (0, (), ())
    values, _, notes = encode_clinical(
        {"stage": "Stage IX", "age": 60, "sex": "male"}, fit.features, clip=6.0
    )
    assert values[fit.features["feature"].tolist().index("stage=missing")] == 1
    assert notes == ("stage is 'Stage IX', not in its order: it counts as missing",)


def test_days_are_read_as_years_and_it_is_said():
    fit = fit_clinical(STAGES, SCHEMA)
    row = fit.features.set_index("feature").loc["age"]
    assert row["mean"] == pytest.approx(np.mean([50, 60, 70, 40, 60]))
    assert any("days made years" in step for step in fit.steps)


def test_what_the_schema_says_is_kept_with_the_features():
    variables = read_variables(fit_clinical(STAGES, SCHEMA).features)
    assert variables == parse_schema(SCHEMA)
    plain = read_variables(FEATURES)
    assert [v.kind for v in plain.values()] == ["numeric", "category", "category"]


def test_declared_leaks_are_refused_by_name_unless_allowed():
    frame = FRAME.assign(**{"PAM50 subtype": ["LumA", "Basal"] * 4})
    schema = {"age": "numeric", "PAM50 subtype": "category"}
    with pytest.raises(
        ConfigurationError, match=r"'PAM50 subtype' \(subtype or label\).*allow="
    ):
        fit_clinical(frame, schema)
    fit = fit_clinical(frame, schema, allow=["PAM50 subtype"])
    assert "PAM50 subtype=luma" in fit.features["feature"].tolist()
    assert "used on purpose: PAM50 subtype" in fit.steps


def test_a_leak_does_not_hide_behind_another_name():
    frame = FRAME.assign(Subtype=["LumA", "Basal"] * 4)
    for name, column in (("sort", "Subtype"), ("pam50", "grade")):
        schema = {name: {"kind": "category", "columns": [column]}}
        with pytest.raises(ConfigurationError, match="subtype or label"):
            fit_clinical(frame, schema)
        for allowed in (name, column):
            assert fit_clinical(frame, schema, allow=[allowed]).features.size


def test_a_declared_variable_without_spread_is_told():
    fit = fit_clinical(
        FRAME.assign(race="white"), {"age": "numeric", "race": "category"}
    )
    assert "race is the same for every patient and was left out" in fit.steps


def test_undeclared_leaks_are_left_out_and_named():
    frame = FRAME.assign(patient_id=[f"p{i}" for i in range(8)], vital_status="alive")
    fit = fit_clinical(frame)
    pd.testing.assert_frame_equal(fit.features, FEATURES)
    for words in ("2 columns", "'patient_id' (identifier)", "'vital_status' (outcome)"):
        assert words in fit.steps[1]


def test_columns_that_equal_the_label_are_found_by_value():
    labels = ["a", "b"] * 12
    frame = pd.DataFrame(
        {
            "age": np.arange(24) % 11,
            "verdict": np.where(np.array(labels) == "a", "x", "y"),
        }
    )
    with pytest.raises(ConfigurationError, match=r"'verdict' \(equal to the label\)"):
        fit_clinical(frame, {"age": "numeric", "verdict": "category"}, labels=labels)
    assert fit_clinical(frame, labels=labels).features["variable"].unique() == ["age"]


def test_a_column_of_many_levels_is_left_out_where_nobody_asked_for_it():
    frame = FRAME.loc[FRAME.index.repeat(10)].reset_index(drop=True)
    frame = frame.assign(ward=[f"w{i // 2}" for i in range(80)])
    fit = fit_clinical(frame)
    assert "ward" not in set(fit.features["variable"])
    assert any("'ward' has 40 levels" in step for step in fit.steps)
