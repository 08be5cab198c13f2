from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.clinical_leakage import Leak, find_leaks, refuse_leaks
from napari_mmsubtype.omics.preprocessing import fit_table, transform_table
from napari_mmsubtype.omics.table import read_omics

LABELS = ["Luminal"] * 18 + ["Basal"] * 12


def by_name(*columns: str) -> dict[str, str]:
    frame = pd.DataFrame({column: ["x", "y"] for column in columns})
    return {leak.column: leak.reason for leak in find_leaks(frame)}


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("Subtype", "subtype"),
        ("PAM50Call_RNAseq", "subtype"),
        ("ER_STATUS_BY_IHC", "subtype"),
        ("label", "subtype"),
        ("demographic.vital_status", "outcome"),
        ("Overall Survival (Months)", "outcome"),
        ("demographic.days_to_death", "outcome"),
        ("diagnoses.days_to_last_follow_up", "outcome"),
        ("Person Neoplasm Cancer Status", "outcome"),
        ("Radiation Therapy", "treatment"),
        ("treatments.treatment_type", "treatment"),
        ("diagnoses.prior_treatment", "treatment"),
        ("diagnoses.residual_disease", "treatment"),
        ("diagnoses.morphology", "histology"),
        ("diagnoses.icd_10_code", "histology"),
        ("Oncotree Code", "histology"),
        ("Cancer Type Detailed", "histology"),
        ("diagnoses.primary_diagnosis", "histology"),
        ("Tissue Source Site Code", "site"),
        ("diagnoses.site_of_resection_or_biopsy", "treatment"),
        ("cases.primary_site", "site"),
        ("batch", "site"),
        ("Patient ID", "identifier"),
        ("cases.submitter_id", "identifier"),
        ("bcr_patient_barcode", "identifier"),
    ],
)
def test_leak_prone_names_are_known_with_their_reason(column, reason):
    assert by_name(column)[column].startswith(reason)


def test_honest_columns_are_not_suspected():
    honest = (
        "age", "Diagnosis Age", "demographic.age_at_index", "sex", "demographic.gender",
        "diagnoses.ajcc_pathologic_stage", "diagnoses.ajcc_pathologic_t", "race",
        "Neoplasm Histologic Grade", "tumor_grade", "exposures.pack_years_smoked",
        "exposures.tobacco_smoking_status", "menopausal_status", "tumor_size_mm",
        "nodal_status", "demographic.days_to_birth", "Patient Weight", "bmi",
        "Neoplasm Disease Stage American Joint Committee on Cancer Code",
        "Ethnicity Category", "Mutation Count", "laterality",
    )  # fmt: skip
    assert by_name(*honest) == {}


def test_columns_that_tell_the_label_are_found_by_value():
    rng = np.random.default_rng(0)
    luminal = np.array(LABELS) == "Luminal"
    frame = pd.DataFrame(
        {
            "renamed": np.where(luminal, "A", "B"),
            "finer": np.where(luminal, rng.choice(["A1", "A2"], 30), "B"),
            "asked": np.where(luminal, "yes", None),
            "score": np.where(luminal, 1.0, 9.0) + rng.normal(0, 0.5, 30),
            "age": rng.integers(40, 80, 30),
            "sex": rng.choice(["f", "m"], 30),
            "serial": [f"s{i}" for i in range(30)],
        }
    )
    found = {leak.column: leak.reason for leak in find_leaks(frame, LABELS)}
    assert found.pop("score").startswith("separates the classes (AUC 1.000")
    assert found == {
        "renamed": "equal to the label",
        "finer": "each answer tells the label",
        "asked": "equal to the label",
    }
    assert find_leaks(frame) == ()
    # A handful of patients proves nothing.
    assert find_leaks(frame.iloc[14:24], LABELS[14:24]) == ()


def test_refusal_names_every_column_and_the_way_out():
    leaks = (Leak("os", "outcome"), Leak("pam50", "subtype or label"))
    with pytest.raises(ConfigurationError) as caught:
        refuse_leaks(leaks)
    for words in ("2 clinical", "'os' (outcome)", "'pam50'", "allow=['os', 'pam50']"):
        assert words in str(caught.value)
    refuse_leaks(leaks, ["os", "pam50"])
    with pytest.raises(ConfigurationError, match="1 clinical"):
        refuse_leaks(leaks, ["os"])


def test_labels_must_fit_the_rows():
    with pytest.raises(ConfigurationError, match="3 labels for 2"):
        find_leaks(pd.DataFrame({"a": [1, 2]}), ["x", "y", "x"])


@pytest.mark.real_data
def test_real_breast_table(real_data):
    path = real_data / "clinical" / "brca_tcga_pan_can_atlas_2018_clinical_data.tsv"
    table = read_omics(path, modality="clinical")
    cohort = pd.read_csv(real_data / "cohort_tcga_brca.csv")
    named = [column for column in cohort if cohort[column].dtype == object]
    patients = next(
        c for c in named if cohort[c].astype(str).str.startswith("TCGA-").all()
    )
    labels = dict(zip(cohort[patients].str[:12], cohort["label"], strict=True))
    rows = [name for name in table.obs_names if name[:12] in labels]
    assert len(rows) > 800
    spec = fit_table(table, rows, labels=[labels[name[:12]] for name in rows])
    text = " ".join(spec.steps)
    for column in ("Subtype", "Overall Survival Status", "Radiation Therapy",
                   "Oncotree Code", "Tissue Source Site", "Patient ID"):  # fmt: skip
        assert f"'{column}' (" in text
    variables = set(spec.features["variable"])
    assert {"Diagnosis Age", "Race Category"} <= variables
    assert not any("urviv" in v or "ubtype" in v or "reat" in v for v in variables)
    schema = {
        "age": {"kind": "numeric", "unit": "years"},
        "stage": {"kind": "ordinal", "order": "stage"},
        "t": {"kind": "ordinal", "order": "t",
              "columns": ["American Joint Committee on Cancer Tumor Stage Code"]},
        "sex": "category",
    }  # fmt: skip
    declared = fit_table(table, rows[:700], schema=schema)
    out = transform_table(table[rows[700:]], declared)
    assert out.obs["used"].mean() > 0.95
    assert np.isfinite(out.X[out.obs["used"].to_numpy()]).all()
    ages = declared.features.set_index("feature").loc["age"]
    assert 55 < ages["mean"] < 62


@pytest.mark.real_data
def test_real_lung_table(real_data):
    path = real_data / "clinical" / "gdc_luad" / "clinical.tsv"
    table = read_omics(path, modality="clinical")
    spec = fit_table(table)
    text = " ".join(spec.steps)
    for column in ("demographic.vital_status", "diagnoses.morphology",
                   "diagnoses.primary_diagnosis", "treatments.treatment_type",
                   "cases.primary_site", "cases.case_id"):  # fmt: skip
        assert f"'{column}' (" in text
    schema = {
        "age": {"kind": "numeric", "unit": "years",
                "columns": ["diagnoses.age_at_diagnosis"]},
        "stage": {"kind": "ordinal", "order": "stage"},
        "gender": "category",
    }  # fmt: skip
    declared = fit_table(table, schema=schema)
    row = declared.features.set_index("feature").loc["age"]
    assert 60 < row["mean"] < 70
    assert any("days made years" in step for step in declared.steps)
    stage = declared.features.set_index("feature").loc["stage"]
    assert 1.5 < stage["mean"] < 2.5
    smoking = read_omics(path.with_name("exposure.tsv"), modality=Modality.CLINICAL)
    packs = fit_table(
        smoking,
        schema={"pack_years": {"kind": "numeric", "unit": "pack-years"},
                "smoking": {"kind": "category",
                            "columns": ["exposures.tobacco_smoking_status"]}},
    )  # fmt: skip
    assert 30 < packs.features.set_index("feature").loc["pack_years", "mean"] < 60
    assert "smoking=current smoker" in packs.names
