from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from builders.omics import as_table, clinical_frame, log_frame
from napari_mmsubtype.errors import ConfigurationError, UnmatchedFeaturesError
from napari_mmsubtype.omics.alignment import (
    ClinicalAligner,
    align_sample,
    aligner,
    check_modality,
)
from napari_mmsubtype.omics.preprocessing import fit_modality
from napari_mmsubtype.omics.value_alignment import ValuesAligner

SPEC = fit_modality(log_frame(20), modality="rna", unit="log2(tpm+1)")
SCHEMA = {
    "age": {"kind": "numeric", "unit": "years"},
    "stage": {"kind": "ordinal", "order": "stage"},
}
CLINICAL = fit_modality(clinical_frame(30), modality="clinical", schema=SCHEMA)


def clinical_table(frame: pd.DataFrame):
    return as_table(frame, "raw", modality="clinical")


def test_each_modality_has_its_aligner():
    assert isinstance(
        aligner(as_table(log_frame(), "log2(tpm+1)"), SPEC), ValuesAligner
    )
    table = clinical_table(clinical_frame())
    assert isinstance(aligner(table, CLINICAL), ClinicalAligner)


def test_a_table_without_history_is_refused():
    table = as_table(log_frame(), "log2(tpm+1)")
    del table.uns["mmsubtype"]
    with pytest.raises(ConfigurationError, match=r"read it with read_omics"):
        check_modality(table, SPEC)


@pytest.mark.parametrize(
    ("column", "days"),
    [("diagnoses.age_at_diagnosis", 365.25), ("demographic.days_to_birth", -365.25)],
)
def test_age_in_days_gives_the_same_patient(column, days):
    frame = clinical_frame(8)
    given = frame.rename(columns={"age": column})
    given[column] = frame["age"] * days
    patient = frame.index[2]
    expected = align_sample(clinical_table(frame), patient, CLINICAL)
    found = align_sample(clinical_table(given), patient, CLINICAL)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5)
    assert any(f"column '{column}'" in n and "years" in n for n in found.report.notes)


def test_an_answer_outside_the_order_counts_as_missing_with_a_note():
    frame = clinical_frame(8)
    frame.iloc[0, 2] = "Stage X"
    sample = align_sample(clinical_table(frame), frame.index[0], CLINICAL)
    assert any("'Stage X', not in its order" in note for note in sample.report.notes)
    assert sample.unscaled is None


def test_a_clinical_table_of_other_variables_is_refused():
    frame = clinical_frame(8)[["sex"]]
    with pytest.raises(UnmatchedFeaturesError, match=r"'age'.*'sex'"):
        align_sample(clinical_table(frame), frame.index[0], CLINICAL)
