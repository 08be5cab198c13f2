from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.errors import UnmatchedFeaturesError
from napari_mmsubtype.omics.library_size import (
    WHOLE_TRANSCRIPTOME,
    find_factor,
    library_total,
    tpm_from_counts,
)
from napari_mmsubtype.omics.units import UNITS

RNG = np.random.default_rng(0)
COUNTS = RNG.negative_binomial(1, 0.001, 12_000).astype(np.float64)
LENGTHS = RNG.lognormal(8, 0.8, 12_000)


def test_a_sum_tells_the_depth_where_all_genes_are_there():
    assert library_total(COUNTS, UNITS["counts"]) == COUNTS.sum()
    logged = np.log2(COUNTS + 1)
    assert library_total(logged, UNITS["log2(counts+1)"]) == pytest.approx(COUNTS.sum())
    assert library_total(COUNTS[: WHOLE_TRANSCRIPTOME - 1], UNITS["counts"]) is None
    assert library_total(COUNTS, UNITS["tpm"]) is None
    assert library_total(np.zeros(12_000), UNITS["counts"]) is None


def test_missing_values_do_not_make_a_whole_transcriptome():
    sparse = COUNTS.copy()
    sparse[:1_500] = np.nan
    assert library_total(sparse, UNITS["counts"]) == COUNTS[1_500:].sum()
    sparse[:2_500] = np.nan
    assert library_total(sparse, UNITS["counts"]) is None


def test_factors_follow_their_formulas():
    counts, cpm, tpm, fpkm = (UNITS[n] for n in ("counts", "cpm", "tpm", "fpkm"))
    expected = COUNTS[:50] + 1
    assert find_factor(expected, expected, fpkm, tpm, 4e5)[0] == pytest.approx(2.5)
    assert find_factor(expected, expected, counts, cpm, 2e7)[0] == pytest.approx(0.05)
    assert find_factor(expected, expected, cpm, tpm, None)[0] == 1.0
    # DESeq's: the median of the ratios, whatever a few outliers do.
    shifted = expected / 8
    shifted[:5] *= 1e4
    factor, note = find_factor(shifted, expected, fpkm, tpm, None)
    assert factor == pytest.approx(8)
    assert "median ratio to the training means over 50 genes" in note


def test_nothing_is_scaled_by_a_guess():
    few = np.full(19, 100.0)
    with pytest.raises(UnmatchedFeaturesError, match=r"only 19 .*give a table in TPM"):
        find_factor(few, few, UNITS["counts"], UNITS["tpm"], None)


def test_counts_and_lengths_give_tpm():
    counts = np.stack([COUNTS, COUNTS * 30])
    tpm, note = tpm_from_counts(counts, LENGTHS)
    expected = COUNTS / LENGTHS / (COUNTS / LENGTHS).sum() * 1e6
    np.testing.assert_allclose(tpm, [expected, expected], rtol=1e-5)
    np.testing.assert_allclose(tpm.sum(axis=1), 1e6, rtol=1e-4)
    assert note == "made TPM by the table's own gene lengths"


def test_few_missing_lengths_are_counted_and_many_refused():
    lengths = LENGTHS.copy()
    lengths[:20] = [np.nan, 0.0] * 10
    tpm, note = tpm_from_counts(COUNTS[None], lengths)
    assert np.isnan(tpm[0, :20]).all()
    assert np.nansum(tpm) == pytest.approx(1e6, rel=1e-4)
    assert "20 genes without a length count as missing" in note
    lengths[:200] = np.nan
    assert tpm_from_counts(COUNTS[None], lengths)[0] is None
    assert tpm_from_counts(COUNTS[None, :900], LENGTHS[:900])[0] is None
