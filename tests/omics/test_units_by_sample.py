from __future__ import annotations

import numpy as np
import pytest

from builders.omics import beta_frame, tpm_frame
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.units import UNITS
from napari_mmsubtype.omics.units_by_sample import check_samples

TPM = tpm_frame(10).to_numpy()
BETA = beta_frame(10, 60).to_numpy()
NAMES = [f"P{i}" for i in range(10)]
RNG = np.random.default_rng(0)
Z = RNG.normal(0, 1, (10, 60))


def mixed(values, changed):
    values = values.copy()
    values[[2, 5]] = changed[[2, 5]]
    return values


@pytest.mark.parametrize(
    ("values", "unit", "words"),
    [
        (mixed(TPM, np.log2(TPM + 1)), "tpm", "logarithms"),
        (mixed(TPM, np.rint(TPM)), "tpm", "whole counts"),
        (mixed(Z, np.abs(Z) + 5), "z-score", "expression"),
        (mixed(np.log2(BETA / (1 - BETA)), BETA), "m-value", "beta values"),
        (mixed(BETA, np.log2(BETA / (1 - BETA))), "beta", "no beta"),
    ],
)
def test_samples_in_another_unit_are_named(values, unit, words):
    with pytest.raises(TableReadError, match=rf"2 of 10 \('P2', 'P5'\).*{words}"):
        check_samples(values, NAMES, UNITS[unit])


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (TPM, "tpm"),
        (np.rint(TPM), "counts"),
        (Z, "z-score"),
        (BETA, "beta"),
        (np.log2(BETA / (1 - BETA)), "m-value"),
        (np.log2(TPM + 1), "log2(tpm+1)"),
    ],
)
@pytest.mark.parametrize("emptied", [False, True])
def test_samples_in_one_unit_pass(values, unit, emptied):
    values = values.copy()
    if emptied:
        values[3] = np.nan
    check_samples(values, NAMES, UNITS[unit])


def test_quiet_sample_is_no_logarithm():
    # A failed library: small numbers that do not follow the others.
    values = TPM.copy()
    values[4] = RNG.permutation(np.linspace(0.1, 9.7, TPM.shape[1]))
    check_samples(values, NAMES, UNITS["tpm"])


def test_few_features_are_not_judged():
    check_samples(mixed(TPM, np.log2(TPM + 1))[:, :10], NAMES, UNITS["tpm"])
