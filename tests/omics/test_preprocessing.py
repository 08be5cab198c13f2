from __future__ import annotations

from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.omics import (
    GENES,
    as_table,
    barcodes,
    beta_frame,
    clinical_frame,
    log_frame,
    tpm_frame,
    write,
)
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import (
    ConfigurationError,
    UnmatchedFeaturesError,
    UnmatchedSampleError,
)
from napari_mmsubtype.omics.preprocessing import (
    ModalitySpec,
    align_sample,
    apply_modality,
    fit_modality,
)
from napari_mmsubtype.omics.table import read_omics

TRAINING = log_frame(40, seed=3)
SPEC = fit_modality(TRAINING, modality="rna", unit="log2(tpm+1)")
PATIENT = barcodes(1, "")[0]


def equal(one: ModalitySpec, other: ModalitySpec) -> bool:
    return one.features.equals(other.features) and one.unit == other.unit


def test_fitted_values_are_those_of_the_definition():
    frame = TRAINING.copy()
    frame.iloc[0, 0] = np.nan
    spec = fit_modality(frame, modality="rna", unit="log2 tpm")
    assert spec.names == GENES
    assert len(spec) == len(GENES)
    assert spec.unit == "log2(tpm+1)"
    np.testing.assert_allclose(spec.features["mean"], frame.mean())
    np.testing.assert_allclose(spec.features["std"], frame.std(ddof=0))
    np.testing.assert_allclose(spec.features["fill"], frame.median())


def test_training_patients_come_out_standardized():
    values = apply_modality(TRAINING, SPEC)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-5)


@given(seed=st.integers(0, 10_000), scale=st.floats(-50, 50))
def test_rows_outside_training_change_nothing(seed, scale):
    cohort = log_frame(30)
    training = cohort.index[:20]
    altered = cohort.copy()
    rng = np.random.default_rng(seed)
    altered.iloc[20:] += scale * rng.normal(size=(10, len(GENES)))
    one = fit_modality(cohort.loc[training], modality="rna", unit="log2(tpm+1)")
    other = fit_modality(altered.loc[training], modality="rna", unit="log2(tpm+1)")
    assert equal(one, other)
    # Nor do the other rows of a table change what is made of one patient.
    expected = align_sample(as_table(cohort, "log2(tpm+1)"), PATIENT, one)
    found = align_sample(as_table(altered, "log2(tpm+1)"), PATIENT, other)
    np.testing.assert_array_equal(found.values, expected.values)


def test_fitting_and_applying_leave_their_input_alone():
    frame = TRAINING.copy()
    spec = fit_modality(frame, modality="rna", unit="log2(tpm+1)")
    apply_modality(frame, spec)
    pd.testing.assert_frame_equal(frame, TRAINING)


def test_constant_and_empty_features_are_left_out():
    frame = TRAINING.assign(ACTB=5.0, B2M=np.nan)
    names = fit_modality(frame, modality="rna", unit="log2(tpm+1)").names
    assert names == tuple(g for g in GENES if g not in {"ACTB", "B2M"})
    with pytest.raises(ConfigurationError, match="none of the 30 rna features"):
        fit_modality(TRAINING * 0, modality="rna", unit="log2(tpm+1)")


@pytest.mark.parametrize(
    "spec",
    [
        SPEC.with_weights(np.linspace(0, 1, len(SPEC))),
        fit_modality(beta_frame(), modality="methylation", unit="beta"),
        fit_modality(clinical_frame(), modality="clinical"),
    ],
    ids=lambda spec: spec.modality.value,
)
def test_feature_tables_survive_parquet(spec):
    buffer = BytesIO()
    spec.features.to_parquet(buffer)
    buffer.seek(0)
    again = ModalitySpec(
        spec.modality.value,
        spec.unit,
        spec.clip,
        spec.min_coverage,
        pd.read_parquet(buffer),
    )
    assert isinstance(again.modality, Modality)
    assert equal(again, spec)


def test_identifiers_are_kept_and_matched():
    identifiers = pd.DataFrame(
        {"ensembl": ["ENSG00000091831"], "aliases": ["ER|ESR"]}, index=["ESR1"]
    )
    spec = fit_modality(
        TRAINING, modality="rna", unit="log2(tpm+1)", identifiers=identifiers
    )
    frame = log_frame().rename(columns={"ESR1": "ENSG00000091831.24"})
    report = align_sample(as_table(frame, "log2(tpm+1)"), PATIENT, spec).report
    assert report.matched == len(GENES)
    assert any("Ensembl" in note for note in report.notes)


def test_alignment_agrees_with_applying():
    frame = log_frame()
    table = as_table(frame.sample(frac=1, axis=1, random_state=0), "log2(tpm+1)")
    for patient, row in zip(frame.index, apply_modality(frame, SPEC), strict=True):
        sample = align_sample(table, patient, SPEC)
        np.testing.assert_allclose(sample.values, row, atol=1e-5)
        assert sample.values.dtype == np.float32


@pytest.mark.parametrize("unit", ["tpm", "fpkm", "log2(tpm+1)", "log2(fpkm+1)"])
def test_same_patient_in_any_unit_gives_the_same_values(unit):
    tpm = tpm_frame(seed=3)
    values = tpm / 2.5 if "fpkm" in unit else tpm
    frame = np.log2(values + 1) if "log2" in unit else values
    spec = fit_modality(np.log2(tpm + 1), modality="rna", unit="log2(tpm+1)", clip=9)
    expected = apply_modality(np.log2(tpm + 1), spec)[0]
    found = align_sample(as_table(frame, unit), PATIENT, spec).values
    # Scaling FPKM by a median ratio leaves one offset per patient, of a fraction of a
    # standard deviation; logging twice would be off by several.
    assert np.abs(found - expected).max() < (1.0 if "fpkm" in unit else 1e-3)


def test_file_and_memory_agree(tmp_path):
    frame = tpm_frame(suffix="-01A-11R-A12D-07")
    table = read_omics(write(frame.T, tmp_path / "t.tsv.gz", corner="gene"))
    sample = align_sample(table, PATIENT, SPEC)
    row = np.log2(frame.to_numpy()[0] + 1)
    expected = (row - SPEC.features["mean"]) / SPEC.features["std"]
    np.testing.assert_allclose(sample.values, expected.clip(-6, 6), atol=1e-4)
    assert sample.report.sample == barcodes(1)[0]
    assert "converted from tpm to log2(tpm+1)" in sample.report.notes


def test_z_scores_are_used_as_they_are_and_clipped():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        rng.normal(size=(12, len(GENES))), barcodes(12, ""), list(GENES)
    )
    frame.iloc[0, 4] = 3.7e4
    sample = align_sample(as_table(frame, "z-score"), PATIENT, SPEC)
    np.testing.assert_allclose(sample.values, frame.iloc[0].clip(-6, 6), rtol=1e-6)
    notes = " ".join(sample.report.notes)
    assert "not comparable across cohorts" in notes
    assert "1 values beyond ±6" in notes


def test_model_of_z_scores_refuses_other_units():
    spec = fit_modality(
        (TRAINING - TRAINING.mean()) / TRAINING.std(), modality="rna", unit="z-score"
    )
    sample = align_sample(as_table(log_frame(), "log2(tpm+1)"), PATIENT, spec)
    assert sample.values is None
    assert not sample.report.used
    assert "z-scored table" in sample.report.reason


def test_beta_and_m_values_meet():
    beta = beta_frame()
    spec = fit_modality(
        np.log2((beta + 0.01) / (1.01 - beta)), modality="methylation", unit="m-value"
    )
    table = as_table(beta, "beta", modality="methylation")
    sample = align_sample(table, barcodes(1)[0], spec)
    expected = apply_modality(np.log2((beta + 0.01) / (1.01 - beta)), spec)[0]
    np.testing.assert_allclose(sample.values, expected, atol=1e-3)


def test_missing_features_take_the_training_fill():
    frame = log_frame().drop(columns=["ESR1", "PGR"])
    frame.iloc[0, 0] = np.nan
    absent = frame.columns[0]
    sample = align_sample(as_table(frame, "log2(tpm+1)"), PATIENT, SPEC)
    table = SPEC.features.set_index("feature")
    for name in ("ESR1", "PGR", absent):
        row = table.loc[name]
        expected = (row["fill"] - row["mean"]) / row["std"]
        assert sample.values[SPEC.names.index(name)] == pytest.approx(
            expected, abs=1e-5
        )
    assert sample.report.missing == tuple(
        name for name in GENES if name in {"ESR1", "PGR", absent}
    )
    assert sample.report.coverage == pytest.approx(27 / 30)


def test_coverage_below_the_models_need_refuses_the_table_with_a_reason():
    table = as_table(log_frame().iloc[:, :10], "log2(tpm+1)")
    sample = align_sample(table, PATIENT, SPEC)
    assert sample.values is None
    assert "coverage 33%" in sample.report.reason
    assert sample.report.matched == 10


def test_gene_that_the_model_leans_on_counts_more():
    weights = np.where(np.arange(len(SPEC)) < 10, 5.0, 0.1)
    table = as_table(log_frame().iloc[:, :10], "log2(tpm+1)")
    sample = align_sample(table, PATIENT, SPEC.with_weights(weights))
    assert sample.report.used
    assert any("96.2% of the model's weight" in note for note in sample.report.notes)


def test_row_without_values_is_refused_with_a_reason():
    frame = log_frame()
    frame.iloc[0] = np.nan
    sample = align_sample(as_table(frame, "log2(tpm+1)"), PATIENT, SPEC)
    assert sample.values is None
    assert "no value" in sample.report.reason


def test_no_common_feature_names_examples_of_both_sides():
    frame = log_frame().rename(columns=lambda name: f"locus-{name.lower()}")
    with pytest.raises(UnmatchedFeaturesError, match=r"'ESR1'.*'locus-esr1'"):
        align_sample(as_table(frame, "log2(tpm+1)"), PATIENT, SPEC)


def test_unknown_patient_and_wrong_modality_are_errors():
    table = as_table(log_frame(), "log2(tpm+1)")
    with pytest.raises(UnmatchedSampleError, match="12 samples"):
        align_sample(table, "TCGA-ZZ-0000", SPEC)
    beta = as_table(beta_frame(), "beta", modality="methylation")
    with pytest.raises(ConfigurationError, match="holds methylation"):
        align_sample(beta, PATIENT, SPEC)


def test_wrong_unit_is_remarked():
    table = as_table(log_frame() * 0.3, "log2(tpm+1)")
    notes = align_sample(table, PATIENT, SPEC).report.notes
    assert any("check the unit" in note for note in notes)


@given(st.lists(st.sampled_from(GENES), min_size=15, unique=True), st.randoms())
def test_values_never_depend_on_the_tables_column_order(kept, random):
    frame = log_frame()[kept]
    shuffled = list(kept)
    random.shuffle(shuffled)
    one = align_sample(as_table(frame, "log2(tpm+1)"), PATIENT, SPEC)
    other = align_sample(as_table(frame[shuffled], "log2(tpm+1)"), PATIENT, SPEC)
    np.testing.assert_array_equal(one.values, other.values)
    assert np.isfinite(one.values).all()
    assert np.abs(one.values).max() <= SPEC.clip


def test_clinical_rows_align_and_agree_with_applying(tmp_path):
    frame = clinical_frame(20)
    spec = fit_modality(frame.iloc[:15], modality="clinical")
    renamed = frame.rename(columns={"age": "Diagnosis Age", "sex": "gender"})
    table = read_omics(write(renamed, tmp_path / "c.csv"), modality="clinical")
    expected = apply_modality(frame, spec)
    for patient, row in zip(frame.index, expected, strict=True):
        sample = align_sample(table, patient, spec)
        np.testing.assert_allclose(sample.values, row, atol=1e-6)
        assert sample.report.matched == sample.report.expected == 3
    assert "age read from column 'Diagnosis Age'" in sample.report.notes


def test_clinical_rows_outside_training_change_nothing():
    frame = clinical_frame(20)
    altered = frame.copy()
    altered.iloc[15:, 0] = 150
    altered.iloc[15:, 2] = "Stage IX"
    one = fit_modality(frame.iloc[:15], modality="clinical")
    assert equal(one, fit_modality(altered.iloc[:15], modality="clinical"))


def test_clinical_row_without_answers_is_refused():
    frame = clinical_frame().astype(object)
    spec = fit_modality(frame, modality="clinical")
    frame.iloc[0, :2] = "'--"
    sample = align_sample(as_table(frame, "raw", modality="clinical"), PATIENT, spec)
    assert sample.values is None
    assert "1 of 3 clinical variables" in sample.report.reason
    other = frame.rename(columns=lambda name: f"x {name}")
    with pytest.raises(UnmatchedFeaturesError, match=r"'age'.*'x age'"):
        align_sample(as_table(other, "raw", modality="clinical"), PATIENT, spec)
