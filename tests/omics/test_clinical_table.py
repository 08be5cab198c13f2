from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.clinical_table import (
    gather_patients,
    is_unanswered,
    match_variables,
)


def text(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype=object)


@pytest.mark.parametrize("value", ["", "NA", "'--", " Not Reported ", None, np.nan])
def test_no_answers_are_known(value):
    assert is_unanswered(value)


@pytest.mark.parametrize("value", ["No", "0", 0, 0.0, "none given", "I"])
def test_answers_are_kept(value):
    assert not is_unanswered(value)


def test_rows_of_a_patient_are_gathered_by_their_first_answers():
    table = text(
        **{
            "cases.case_id": ["u1", "u1", "u2"],
            "cases.submitter_id": ["TCGA-05-4244", "TCGA-05-4244", "TCGA-05-4249"],
            "demographic.gender": ["'--", "male", "female"],
            "diagnoses.stage": ["I", "II", np.nan],
        }
    )
    frame, steps = gather_patients(table, "clinical.tsv")
    assert frame.index.tolist() == ["TCGA-05-4244", "TCGA-05-4249"]
    assert frame["demographic.gender"].tolist() == ["male", "female"]
    assert frame["diagnoses.stage"].iloc[0] == "I"
    assert pd.isna(frame["diagnoses.stage"].iloc[1])
    assert "3 rows gathered into 2 patients; 1 of them" in steps[1]


def test_other_tumours_of_a_patient_do_not_answer_for_this_one():
    flag = "diagnoses.diagnosis_is_primary_disease"
    table = text(
        **{
            "cases.submitter_id": ["P1", "P1", "P2", "P3"],
            flag: ["false", "true", "false", "'--"],
            "diagnoses.stage": ["Stage IV", np.nan, "Stage I", "Stage II"],
            "diagnoses.site": ["Skin", "Lung", "Lung", "Lung"],
            "demographic.gender": ["male", "male", "female", "female"],
        }
    )
    frame, steps = gather_patients(table, "clinical.tsv")
    assert pd.isna(frame.loc["P1", "diagnoses.stage"])
    assert frame.loc["P1", "diagnoses.site"] == "Lung"
    assert frame.loc["P1", "demographic.gender"] == "male"
    assert frame["diagnoses.stage"].tolist()[1:] == ["Stage I", "Stage II"]
    assert "1 rows on other diagnoses" in steps[1]


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ({"Study ID": ["s", "s"], "Patient ID": ["P1", "P2"]}, "Patient ID"),
        ({"study": ["s", "s"], "who": ["TCGA-05-4244", "TCGA-05-4249"]}, "who"),
        (
            {"case_id": ["u", "v"], "submitter_id": ["TCGA-05-4244", "TCGA-05-4249"]},
            "submitter_id",
        ),
        ({"name": ["a", "b"], "age": ["1", "2"]}, "name"),
    ],
)
def test_column_of_patients_is_found(columns, chosen):
    frame, steps = gather_patients(text(**columns), "c.csv")
    assert frame.index.tolist() == columns[chosen]
    assert repr(chosen) in steps[0]


def test_rows_without_a_patient_are_dropped_and_counted():
    frame, steps = gather_patients(text(patient_id=["P1", None], age=["1", "2"]), "c")
    assert frame.index.tolist() == ["P1"]
    assert "1 rows without a patient" in steps[1]


def test_table_without_patients_says_what_to_name():
    with pytest.raises(TableReadError, match=r"'c.csv'.*'sex'.*'patient_id'"):
        gather_patients(text(sex=["f", "f"], age=["1", "2"]), "c.csv")


@pytest.mark.parametrize(
    ("variable", "column"),
    [
        ("age", "age"),
        ("age", "AGE"),
        ("age", "Diagnosis Age"),
        ("age", "demographic.age_at_index"),
        ("sex", "demographic.gender"),
        ("gender", "Sex"),
        (
            "stage",
            "Neoplasm Disease Stage American Joint Committee on Cancer Code",
        ),
        ("smoking", "exposures.smoking"),
        ("smoking", "exposures.tobacco_smoking_status"),
        ("smoking", "SMOKING_STATUS"),
        ("age", "Age (years)"),
        ("age", "Age [y]"),
        ("age", "Age at surgery (years)"),
        ("age", "age_at_index.demographic"),
        ("sex", "gender.demographic"),
        ("sex", "Sex assigned at birth"),
        ("stage", "Stage at diagnosis"),
        ("stage", "ajcc_pathologic_stage.diagnoses"),
    ],
)
def test_variables_are_found_under_public_names(variable, column):
    columns = ["diagnoses.age_at_diagnosis", "Cancer Type", column]
    assert match_variables(columns, [variable]) == {variable: column}


def test_exact_name_wins_and_absence_is_said():
    found = match_variables(["Age", "age"], ["age", "sex"])
    assert found == {"age": "age", "sex": None}


def test_brackets_that_hold_no_unit_are_part_of_the_name():
    columns = ["Stage (clinical)", "Sex (M/F)"]
    assert match_variables(columns, ["stage", "sex"]) == {
        "stage": None,
        "sex": "Sex (M/F)",
    }
