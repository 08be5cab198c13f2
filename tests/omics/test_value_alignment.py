from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from builders.omics import GENES, as_table, barcodes, beta_frame, log_frame, tpm_frame
from napari_mmsubtype.omics.preprocessing import (
    FitOptions,
    align_sample,
    apply_modality,
    fit_modality,
)
from napari_mmsubtype.omics.probe_annotation import tidy_annotation

PATIENT = barcodes(1, "")[0]
ALIQUOT = barcodes(1)[0]
SPEC = fit_modality(log_frame(30, seed=3), modality="rna", unit="log2(tpm+1)")


def test_sparse_tables_give_the_same_values():
    table = as_table(log_frame(), "log2(tpm+1)")
    expected = align_sample(table, PATIENT, SPEC).values
    table.X = csr_matrix(table.X)
    np.testing.assert_array_equal(align_sample(table, PATIENT, SPEC).values, expected)


def test_values_of_the_model_unit_are_given_before_scaling():
    frame = tpm_frame()
    frame.iloc[0, 3] = np.nan
    sample = align_sample(as_table(frame, "tpm"), PATIENT, SPEC)
    np.testing.assert_allclose(sample.unscaled, np.log2(frame.iloc[0] + 1), rtol=1e-5)
    assert "1 missing features filled by the training median" in sample.report.notes


def test_values_that_cannot_be_are_reported_and_clipped():
    frame = tpm_frame()
    frame.iloc[0, :2] = [-5.0, np.inf]
    sample = align_sample(as_table(frame, "tpm"), PATIENT, SPEC)
    notes = " ".join(sample.report.notes)
    assert "1 infinite values count as missing" in notes
    assert "1 tpm values outside 0 to inf (from -5 to -5) were clipped" in notes
    assert sample.unscaled[0] == 0
    beta = beta_frame()
    beta.iloc[0, 0] = 1.4
    spec = fit_modality(beta_frame(), modality="methylation", unit="beta")
    table = as_table(beta, "beta", modality="methylation")
    notes = align_sample(table, ALIQUOT, spec).report.notes
    assert any("1 beta values outside 0 to 1" in note for note in notes)


def test_an_outlier_of_a_z_scored_table_is_clipped_and_its_size_told():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(4, 30)), barcodes(4, ""), list(GENES))
    frame.iloc[0, 4] = 3.7e4
    sample = align_sample(as_table(frame, "z-score"), PATIENT, SPEC)
    assert sample.values[4] == 6
    notes = " ".join(sample.report.notes)
    assert "1 values beyond ±6 standard deviations (up to 3.7e+04)" in notes


def test_logarithms_that_call_themselves_tpm_are_refused():
    rng = np.random.default_rng(0)
    names = [*GENES, *(f"G{i}" for i in range(200))]
    frame = pd.DataFrame(rng.uniform(0, 14, (3, 230)), barcodes(3, ""), names)
    sample = align_sample(as_table(frame, "tpm"), PATIENT, SPEC)
    assert sample.values is None
    assert "logarithms already, not tpm" in sample.report.reason
    sample = align_sample(as_table(tpm_frame() * 9, "log2(tpm+1)"), PATIENT, SPEC)
    assert sample.values is None
    assert "cannot be log2(tpm+1)" in sample.report.reason


def test_ranked_models_take_any_depth_and_refuse_z_scores():
    options = FitOptions(rank_normal=True)
    spec = fit_modality(
        log_frame(30, seed=3), modality="rna", unit="log2(tpm+1)", options=options
    )
    expected = apply_modality(log_frame(), spec)[0]
    for unit, frame in (
        ("log2(tpm+1)", log_frame()),
        ("tpm", tpm_frame()),
        ("fpkm", tpm_frame() / 3),
        ("counts", tpm_frame() * 40),
    ):
        sample = align_sample(as_table(frame, unit), PATIENT, spec)
        np.testing.assert_allclose(sample.values, expected, atol=1e-5)
    assert "counts ranked as they are" in " ".join(sample.report.notes)
    z = (log_frame() - 7) / 2
    sample = align_sample(as_table(z, "z-score"), PATIENT, spec)
    assert "z-scores within a cohort do not allow" in sample.report.reason


def test_gaps_are_filled_by_the_nearest_training_patients():
    training = log_frame(30, seed=3)
    options = FitOptions(imputation="knn", neighbors=1)
    spec = fit_modality(training, modality="rna", unit="log2(tpm+1)", options=options)
    twin = training.iloc[[7]].drop(columns=["ESR1", "VIM"]).set_axis([PATIENT])
    sample = align_sample(as_table(twin, "log2(tpm+1)"), PATIENT, spec)
    expected = apply_modality(training.iloc[[7]], spec)[0]
    np.testing.assert_allclose(sample.values, expected, atol=1e-4)
    assert any("1 nearest training patients" in n for n in sample.report.notes)


@pytest.mark.parametrize("unit", ["beta", "m-value"])
@pytest.mark.parametrize("suffix", ["", "_TC21"])
def test_models_by_gene_take_tables_by_probe(unit, suffix):
    beta = beta_frame(20)
    annotation = tidy_annotation(
        pd.DataFrame(
            {
                "probe": beta.columns,
                "gene": [f"G{i // 4}" for i in range(20)],
                "region": "TSS200",
            }
        )
    )
    options = FitOptions(model_unit="m-value", aggregate="promoter")
    spec = fit_modality(
        beta,
        modality="methylation",
        unit="beta",
        options=options,
        annotation=annotation,
    )
    mean = beta.T.groupby([f"G{i // 4}" for i in range(20)]).mean().T
    expected = align_sample(
        as_table(mean, "beta", modality="methylation"), ALIQUOT, spec
    )
    given = np.log2((beta + 0.01) / (1.01 - beta)) if unit == "m-value" else beta
    given = given.rename(columns=lambda name: name + suffix)
    found = align_sample(as_table(given, unit, modality="methylation"), ALIQUOT, spec)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-4)
    assert any("20 of the model's 20 are in" in note for note in found.report.notes)
    assert found.report.matched == 5


def test_probes_of_the_newest_array_match_those_of_the_older_ones():
    beta = beta_frame(12)
    spec = fit_modality(beta, modality="methylation", unit="beta")
    given = beta.rename(columns=lambda name: f"{name}_BC11")
    sample = align_sample(
        as_table(given, "beta", modality="methylation"), ALIQUOT, spec
    )
    assert sample.report.matched == 20
    assert any("EPICv2 array" in note for note in sample.report.notes)


def test_counts_of_a_few_genes_are_refused_and_not_guessed():
    few = (tpm_frame() * 40).iloc[:, :10]
    spec = fit_modality(
        log_frame(30, seed=3), modality="rna", unit="log2(tpm+1)", min_coverage=0.2
    )
    sample = align_sample(as_table(few, "counts"), PATIENT, spec)
    assert sample.values is None
    assert "only 10 expressed genes are shared" in sample.report.reason


def test_counts_of_all_genes_become_counts_per_million():
    rest = np.random.default_rng(0).integers(0, 3000, (12, 11_000))
    names = [f"LOC{i}" for i in range(11_000)]
    frame = tpm_frame().round().join(pd.DataFrame(rest, tpm_frame().index, names))
    frame.index = barcodes(12, "")
    sample = align_sample(as_table(frame, "counts"), PATIENT, SPEC)
    row = frame.iloc[0]
    expected = np.log2(row[list(GENES)] / row.sum() * 1e6 + 1)
    np.testing.assert_allclose(sample.unscaled, expected, rtol=1e-4)
    assert any("CPM is not TPM" in note for note in sample.report.notes)
