from __future__ import annotations

import anndata
import numpy as np
import pytest

from builders.omics import as_table, beta_frame, clinical_frame, log_frame, tpm_frame
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.preprocessing import FitOptions, align_sample, fit_modality
from napari_mmsubtype.omics.table_transform import transform_table
from napari_mmsubtype.omics.unit_conversion import m_to_beta

SPEC = fit_modality(
    log_frame(30, seed=3),
    modality="rna",
    unit="log2(tpm+1)",
    options=FitOptions(imputation="knn"),
)


def test_every_row_is_that_of_the_patient_alone():
    frame = tpm_frame().drop(columns=["VIM"])
    frame.iloc[1, 4] = np.nan
    frame.iloc[3, :] = np.nan
    table = as_table(frame, "tpm")
    out = transform_table(table, SPEC)
    assert out.X.dtype == np.float32
    assert out.shape == (12, len(SPEC))
    for patient in frame.index:
        sample = align_sample(table, patient, SPEC)
        row = out[patient]
        assert bool(row.obs["used"].iloc[0]) == sample.report.used
        if sample.values is None:
            assert np.isnan(row.X).all()
            assert row.obs["reason"].iloc[0] == sample.report.reason
        else:
            np.testing.assert_array_equal(row.X[0], sample.values)
            np.testing.assert_allclose(row.layers["unscaled"][0], sample.unscaled, 1e-6)
    assert out.obs["used"].sum() == 11


def test_units_identifiers_samples_and_steps_are_kept():
    table = as_table(tpm_frame(), "tpm")
    table.uns["mmsubtype"]["steps"] = ["read from somewhere"]
    table.obs["batch"] = "a"
    out = transform_table(table, SPEC)
    record = out.uns["mmsubtype"]
    assert record["modality"] == "rna"
    assert record["unit"] == "scaled log2(tpm+1)"
    assert record["source"] == "memory"
    assert record["steps"][0] == "read from somewhere"
    assert "tpm to log2(tpm+1), z-scored by training" in record["steps"][1]
    assert list(out.obs["sample"]) == list(table.obs["sample"])
    assert (out.obs["batch"] == "a").all()
    assert list(out.var_names) == list(SPEC.names)
    assert {"ensembl", "entrez", "aliases", "mean", "std"} <= set(out.var.columns)
    assert out.obs["notes"].str.contains("30 of 30 features").all()
    assert "batch" in table.obs
    assert "used" not in table.obs


def test_nothing_is_scaled_twice():
    out = transform_table(as_table(tpm_frame(), "tpm"), SPEC)
    with pytest.raises(ConfigurationError, match=r"'scaled log2\(tpm\+1\)'"):
        transform_table(out, SPEC)


def test_methylation_is_modeled_in_m_and_shown_in_beta():
    beta = beta_frame(20)
    spec = fit_modality(
        beta,
        modality="methylation",
        unit="beta",
        options=FitOptions(model_unit="m-value"),
    )
    out = transform_table(as_table(beta, "beta", modality="methylation"), spec)
    np.testing.assert_allclose(out.layers["beta"], beta, atol=1e-5)
    np.testing.assert_allclose(m_to_beta(out.layers["unscaled"]), beta, atol=1e-5)


def test_clinical_tables_are_encoded_row_by_row():
    frame = clinical_frame(15)
    spec = fit_modality(frame, modality="clinical")
    table = as_table(frame, "raw", modality="clinical")
    out = transform_table(table, spec)
    assert list(out.var_names) == list(spec.names)
    assert not out.layers
    for patient in frame.index:
        sample = align_sample(table, patient, spec)
        np.testing.assert_array_equal(out[patient].X[0], sample.values)


def test_the_result_survives_a_file(tmp_path):
    out = transform_table(as_table(tpm_frame(), "tpm"), SPEC)
    out.write_h5ad(tmp_path / "t.h5ad")
    again = anndata.read_h5ad(tmp_path / "t.h5ad")
    np.testing.assert_array_equal(again.X, out.X)
    assert again.uns["mmsubtype"]["unit"] == "scaled log2(tpm+1)"
    assert list(again.uns["mmsubtype"]["steps"]) == out.uns["mmsubtype"]["steps"]
    assert list(again.obs["used"]) == list(out.obs["used"])
