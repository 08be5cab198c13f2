from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.units import (
    UNITS,
    check_unit,
    looks_logged,
    parse_unit,
    to_linear,
)

RNG = np.random.default_rng(1)
TPM = RNG.lognormal(4, 1.5, 200)
LOG_TPM = np.log2(TPM + 1)


@pytest.mark.parametrize(
    ("name", "modality", "expected"),
    [
        ("TPM", "rna", "tpm"),
        ("CPM", "rna", "cpm"),
        ("log2 cpm", "rna", "log2(cpm+1)"),
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


@pytest.mark.parametrize("name", ["log2(tpm+1)", "log2(cpm+1)", "log2(tpm+0.001)"])
def test_logarithms_are_undone(name):
    unit = UNITS[name]
    logged = np.log2(TPM + unit.pseudocount)
    np.testing.assert_allclose(to_linear(logged, unit), TPM)
    np.testing.assert_array_equal(to_linear(TPM, UNITS["cpm"]), TPM)


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
        (np.where(TPM.max() == TPM, -999.0, TPM)[None], "tpm", "may stand for a miss"),
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


@pytest.mark.parametrize("name", ["counts", "cpm", "tpm", "fpkm"])
def test_a_few_negative_values_become_zero_and_are_counted(name):
    values = np.tile(TPM, (2, 1))
    values[0, 3:5] = [-0.25, -4.0]
    checked, notes = check_unit(values, UNITS[name])
    assert checked[0, 3:5].tolist() == [0, 0]
    np.testing.assert_array_equal(checked[1], TPM)
    assert notes == (f"2 negative {name} values (down to -4) set to 0",)
