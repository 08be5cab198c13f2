from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.training_conversion import convert_training
from napari_mmsubtype.omics.unit_conversion import beta_to_m
from napari_mmsubtype.omics.units import UNITS

TPM = np.random.default_rng(0).lognormal(2, 1.5, (20, 6))


def convert(values, source, target, totals=None, kind=Modality.RNA):
    return convert_training(
        values, UNITS[source], UNITS[target], totals=totals, kind=kind
    )


def test_logarithms_are_taken_once():
    logged, _ = convert(TPM, "tpm", "log2(tpm+1)")
    np.testing.assert_allclose(logged, np.log2(TPM + 1))
    again, notes = convert(logged, "log2(tpm+1)", "log2(tpm+1)")
    assert again is logged
    assert notes == ()
    unknown, _ = convert(logged, "log2(x+1)", "log2(tpm+1)")
    np.testing.assert_array_equal(unknown, logged)


def test_betas_become_m_values():
    beta = TPM / TPM.max()
    found, _ = convert(beta, "beta", "m-value", kind=Modality.METHYLATION)
    np.testing.assert_allclose(found, beta_to_m(beta))


def test_sums_of_all_genes_make_counts_comparable():
    totals = np.linspace(1e6, 2e7, len(TPM))
    found, _ = convert(TPM, "counts", "cpm", totals)
    np.testing.assert_allclose(found, TPM / totals[:, None] * 1e6)


@pytest.mark.parametrize(
    ("source", "target", "way"),
    [
        ("z-score", "log2(tpm+1)", "give another table"),
        ("counts", "tpm", r"give all genes \(10,000 or more\)"),
        ("counts", "cpm", "not every training patient has a whole transcriptome"),
        ("fpkm", "log2(tpm+1)", "leave out the model unit"),
    ],
)
def test_conversions_that_need_other_patients_are_refused(source, target, way):
    with pytest.raises(ConfigurationError, match=f"{source} cannot be made.*{way}"):
        convert(TPM, source, target)


def test_counts_of_all_genes_are_no_tpm_but_may_be_cpm():
    with pytest.raises(ConfigurationError, match=r"model_unit='log2\(cpm\+1\)'"):
        convert(TPM, "counts", "tpm", np.full(len(TPM), 1e6))
