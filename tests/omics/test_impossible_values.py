from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.omics.impossible_values import contradiction, settle_values
from napari_mmsubtype.omics.units import UNITS

TPM = np.random.default_rng(0).lognormal(1, 2, 12_000)


@pytest.mark.parametrize(
    ("unit", "values", "settled", "words"),
    [
        ("beta", [-0.2, 0.5, 1.3], [0, 0.5, 1], "2 beta values outside 0 to 1"),
        ("counts", [-3, 0, 7], [0, 0, 7], "1 counts values outside 0 to inf"),
        ("z-score", [3.7e4, 0.2, -9], [6, 0.2, -6], "from -9 to 3.7e+04"),
        ("log2(tpm+1)", [-1.5, 2, 40], [0, 2, 40], "1 log2"),
        ("m-value", [-20, 0, 6], [np.log2(0.01 / 1.01), 0, 6], "1 m-value"),
        ("tpm", [1, np.inf, 2], [1, np.nan, 2], "1 infinite"),
    ],
)
def test_values_that_cannot_be_are_clipped_and_told(unit, values, settled, words):
    found, notes = settle_values(np.array(values, float), UNITS[unit], 6.0)
    np.testing.assert_allclose(found, settled)
    assert words in notes[0]


def test_values_that_can_be_are_left_alone():
    values = np.array([[0.0, 0.3, np.nan, 1.0]])
    found, notes = settle_values(values, UNITS["beta"], 6.0)
    np.testing.assert_array_equal(found, values)
    assert notes == ()
    # Four digits of log2(0.001) are a little below it.
    assert settle_values(np.array([-9.9658]), UNITS["log2(tpm+0.001)"], 6.0)[1] == ()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_settling_keeps_precision_and_input(dtype):
    values = np.array([[-1.0, 0.5]], dtype=dtype)
    found, _ = settle_values(values, UNITS["beta"], 6.0)
    assert found.dtype == dtype
    assert values[0, 0] == -1


@pytest.mark.parametrize(
    ("values", "unit", "words"),
    [
        (np.log2(TPM + 1)[:300], "tpm", "logarithms already, not tpm"),
        (np.log2(TPM + 1)[:300], "counts", "logarithms already, not counts"),
        (TPM, "log2(tpm+1)", "cannot be log2"),
        (np.log2(np.log2(TPM + 1) + 1), "log2(tpm+1)", "taken twice"),
        (np.log2(np.log2(TPM + 1) + 1), "log2(x+1)", "taken twice"),
    ],
)
def test_a_logarithm_too_many_or_too_few_is_refused(values, unit, words):
    assert words in contradiction(values, UNITS[unit])
    assert words in contradiction(values[None], UNITS[unit])


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (TPM, "tpm"),
        (np.rint(TPM), "counts"),
        (np.log2(TPM + 1), "log2(tpm+1)"),
        # A panel of genes may be low without being logged twice.
        (np.log2(TPM / 1e3 + 1)[:300], "log2(tpm+1)"),
        (np.full(12_000, np.nan), "log2(tpm+1)"),
        (np.random.default_rng(0).random(500), "beta"),
    ],
)
def test_values_that_fit_their_unit_pass(values, unit):
    assert contradiction(values, UNITS[unit]) == ""
