from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.units import (
    UNITS,
    beta_to_m,
    check_unit,
    looks_logged,
    m_to_beta,
    parse_unit,
    to_linear,
    to_unit,
)

RNG = np.random.default_rng(1)
TPM = RNG.lognormal(4, 1.5, 200)
LOG_TPM = np.log2(TPM + 1)
REFERENCE = np.log2(TPM * RNG.lognormal(0, 0.3, 200) + 1)

expression = arrays(np.float64, 30, elements=st.floats(0, 1e5))
beta = arrays(np.float64, 30, elements=st.floats(0, 1))


@pytest.mark.parametrize(
    ("name", "modality", "expected"),
    [
        ("TPM", "rna", "tpm"),
        ("log2", "rna", "log2(x+1)"),
        ("log2 tpm", "rna", "log2(tpm+1)"),
        ("zscore", "rna", "z-score"),
        ("β", "methylation", "beta"),
        ("M", "methylation", "m-value"),
    ],
)
def test_units_go_by_several_spellings(name, modality, expected):
    assert parse_unit(name, Modality(modality)).name == expected


@pytest.mark.parametrize(
    ("name", "modality"), [("beta", "rna"), ("tpm", "methylation")]
)
def test_units_of_another_modality_are_refused(name, modality):
    with pytest.raises(ConfigurationError, match="is not one of"):
        parse_unit(name, Modality(modality))


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


def test_too_few_genes_are_not_scaled_and_it_is_said():
    out, notes = to_unit(
        TPM[:5], UNITS["counts"], UNITS["log2(tpm+1)"], reference=REFERENCE[:5]
    )
    np.testing.assert_allclose(out, LOG_TPM[:5])
    assert "not scaled" in notes[1]


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


def test_logarithms_are_told_from_linear_values():
    assert looks_logged(np.tile(LOG_TPM, (3, 2)))
    assert not looks_logged(np.tile(TPM, (3, 2)))
    assert not looks_logged(np.rint(np.tile(LOG_TPM, (3, 2))))
    assert not looks_logged(LOG_TPM[:50])
    assert not looks_logged(np.full(300, np.nan))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_checking_keeps_the_precision_and_the_input(dtype):
    values = np.array([[0.25, 1.001, np.inf] + [0.5] * 200], dtype=dtype)
    checked, _ = check_unit(values, UNITS["beta"])
    assert checked.dtype == dtype
    assert np.isinf(values[0, 2])
    assert np.isnan(checked[0, 2])


def test_missing_values_stay_missing():
    values = TPM.copy()
    values[7] = np.nan
    for name in ("tpm", "counts"):
        out, _ = to_unit(values, UNITS[name], UNITS["log2(tpm+1)"], reference=REFERENCE)
        assert np.isnan(out).nonzero()[0].tolist() == [7]


def test_few_impossible_betas_are_clipped_and_counted():
    values = np.full((10, 100), 0.5)
    values[0, :2] = [1.2, -0.1]
    checked, notes = check_unit(values, UNITS["beta"])
    assert checked.min() == 0
    assert checked.max() == 1
    assert notes[0].startswith("2 beta values outside 0 to 1")


@pytest.mark.parametrize(
    ("values", "unit", "words"),
    [
        (np.full((2, 5), 1.5), "beta", "cannot be beta"),
        (np.array([[3.0, -2.0]]), "counts", "1 negative values"),
        (np.tile(LOG_TPM, (3, 2)), "tpm", "logarithms already"),
        (np.tile(LOG_TPM, (3, 2)), "counts", "logarithms already"),
        (np.tile(TPM, (3, 1)), "log2(tpm+1)", "cannot be log2"),
    ],
)
def test_values_impossible_in_a_declared_unit_are_refused(values, unit, words):
    with pytest.raises(TableReadError, match=words):
        check_unit(values, UNITS[unit])


def test_infinite_values_become_missing():
    checked, notes = check_unit(np.array([[1.5, np.inf]]), UNITS["z-score"])
    assert np.isnan(checked[0, 1])
    assert "1 infinite" in notes[0]
