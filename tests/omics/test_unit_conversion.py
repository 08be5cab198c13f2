from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_mmsubtype.errors import UnmatchedFeaturesError
from napari_mmsubtype.omics.unit_conversion import beta_to_m, m_to_beta, to_unit
from napari_mmsubtype.omics.units import UNITS, to_linear

RNG = np.random.default_rng(1)
TPM = RNG.lognormal(4, 1.5, 200)
LOG_TPM = np.log2(TPM + 1)
REFERENCE = np.log2(TPM * RNG.lognormal(0, 0.3, 200) + 1)

expression = arrays(np.float64, 30, elements=st.floats(0, 1e5))
beta = arrays(np.float64, 30, elements=st.floats(0, 1))


@given(expression)
def test_logarithms_are_undone_before_they_are_taken(values):
    log = UNITS["log2(tpm+1)"]
    logged, _ = to_unit(values, UNITS["tpm"], log, reference=values)
    again, _ = to_unit(logged, log, log, reference=values)
    np.testing.assert_allclose(logged, np.log2(values + 1))
    np.testing.assert_array_equal(again, logged)
    np.testing.assert_allclose(to_linear(logged, log), values, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in UNITS if name.startswith("log2")])
def test_no_unit_is_logged_twice(name):
    unit = UNITS[name]
    values = np.log2(TPM + unit.pseudocount)
    out, _ = to_unit(values, unit, UNITS["log2(tpm+1)"], reference=LOG_TPM)
    # Twice logged, log2(TPM) of about 6 would come out near 2.7.
    assert abs(np.median(out) - np.median(LOG_TPM)) < 0.1


@given(st.floats(1e-3, 1e3))
def test_sequencing_depth_does_not_matter(depth):
    once, _ = to_unit(TPM, UNITS["counts"], UNITS["log2(tpm+1)"], reference=REFERENCE)
    deep, notes = to_unit(
        TPM * depth, UNITS["counts"], UNITS["log2(tpm+1)"], reference=REFERENCE
    )
    np.testing.assert_allclose(deep, once, rtol=1e-9)
    assert "gene lengths" in notes[1]


def test_median_ratio_is_that_of_the_paper():
    out, _ = to_unit(
        TPM * 17, UNITS["counts"], UNITS["log2(tpm+1)"], reference=REFERENCE
    )
    expected = np.exp2(REFERENCE) - 1
    keep = expected >= 1
    size = 1 / np.median(expected[keep] / (TPM[keep] * 17))
    # The median of the ratios and of their logarithms agree but for interpolation.
    np.testing.assert_allclose(out, np.log2(TPM * 17 / size + 1), atol=0.02)


def test_fpkm_of_a_whole_transcriptome_becomes_tpm_exactly():
    fpkm = TPM * 0.37
    out, notes = to_unit(
        fpkm,
        UNITS["fpkm"],
        UNITS["log2(tpm+1)"],
        reference=REFERENCE,
        total=float(fpkm.sum()),
    )
    np.testing.assert_allclose(out, np.log2(fpkm / fpkm.sum() * 1e6 + 1))
    assert "million" in notes[1]


def test_too_few_genes_without_a_sum_are_refused():
    with pytest.raises(UnmatchedFeaturesError, match="only 5 expressed genes are shar"):
        to_unit(TPM[:5], UNITS["counts"], UNITS["log2(tpm+1)"], reference=REFERENCE[:5])


@pytest.mark.parametrize("depth", [1.0, 7.5, 250.0])
@pytest.mark.parametrize("source", ["counts", "log2(counts+1)"])
@pytest.mark.parametrize("target", ["log2(cpm+1)", "log2(tpm+1)"])
def test_counts_with_a_sum_become_counts_per_million(depth, source, target):
    counts = TPM * depth
    given = np.log2(counts + 1) if source.startswith("log2") else counts
    out, notes = to_unit(
        given,
        UNITS[source],
        UNITS[target],
        reference=REFERENCE,
        total=float(counts.sum()),
    )
    np.testing.assert_allclose(out, np.log2(TPM / TPM.sum() * 1e6 + 1), rtol=1e-6)
    assert any("CPM is not TPM" in note for note in notes) is ("tpm" in target)


def test_what_most_genes_of_a_model_share_survives_a_sum_over_all_genes():
    """A model of proliferation genes, and a patient who has twice of each."""
    doubled = TPM * 2
    total = 1e6
    summed, _ = to_unit(
        doubled, UNITS["counts"], UNITS["tpm"], reference=TPM, total=total
    )
    guessed, notes = to_unit(doubled, UNITS["counts"], UNITS["tpm"], reference=TPM)
    np.testing.assert_allclose(summed / TPM, 2.0)
    np.testing.assert_allclose(guessed / TPM, 1.0)
    assert "for want of a sum over all genes" in notes[1]


@pytest.mark.parametrize("source", ["counts", "log2(counts+1)", "fpkm", "cpm"])
def test_a_model_of_unknown_logarithms_takes_no_depth_for_its_own(source):
    unit = UNITS[source]
    given = np.log2(TPM * 40 + 1) if unit.is_log else TPM * 40
    out, notes = to_unit(given, unit, UNITS["log2(x+1)"], reference=LOG_TPM)
    np.testing.assert_allclose(out, LOG_TPM, atol=1e-6)
    assert "scaled by 0.025" in notes[1]


def test_unknown_logarithm_is_taken_for_the_models_and_it_is_said():
    out, notes = to_unit(
        LOG_TPM, UNITS["log2(x+1)"], UNITS["log2(tpm+1)"], reference=REFERENCE
    )
    np.testing.assert_array_equal(out, LOG_TPM)
    assert "taken to be" in notes[0]


@given(beta)
def test_beta_and_m_values_are_inverse(values):
    m, _ = to_unit(values, UNITS["beta"], UNITS["m-value"], reference=values)
    back, _ = to_unit(m, UNITS["m-value"], UNITS["beta"], reference=values)
    assert np.isfinite(m).all()
    np.testing.assert_allclose(back, values, atol=1e-9)
    order = np.argsort(values)
    assert (np.diff(m[order]) >= 0).all()


@given(beta)
def test_conversion_of_methylation_follows_its_formula(values):
    m = beta_to_m(values)
    np.testing.assert_allclose(m, np.log2((values + 0.01) / (1.01 - values)))
    np.testing.assert_allclose(m_to_beta(m), values, atol=1e-12)
    assert np.abs(m).max() <= np.log2(101) + 1e-12
    # A smaller offset gives M-values that no beta has.
    assert m_to_beta(np.array([-12.0, 12.0])).tolist() == [0, 1]


def test_missing_values_stay_missing():
    values = TPM.copy()
    values[7] = np.nan
    for name in ("tpm", "counts"):
        out, _ = to_unit(values, UNITS[name], UNITS["log2(tpm+1)"], reference=REFERENCE)
        assert np.isnan(out).nonzero()[0].tolist() == [7]
