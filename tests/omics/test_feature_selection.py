from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import median_abs_deviation

from napari_mmsubtype.omics.feature_selection import (
    expressed_share,
    keep_top,
    missing_share,
    spread,
)

VALUES = np.random.default_rng(0).lognormal(1, 1, (30, 12))
VALUES[3:9, 2] = np.nan
VALUES[:, 5] = np.nan


def test_shares_count_all_patients():
    linear = np.array([[0.5, 2.0, np.nan], [1.0, 3.0, 4.0]])
    np.testing.assert_array_equal(expressed_share(linear, 1.0), [0.5, 1.0, 0.5])
    np.testing.assert_array_equal(missing_share(linear), [0, 0, 0.5])


def test_spread_agrees_with_scipy_and_numpy():
    kept = [i for i in range(12) if i != 5]
    mad = median_abs_deviation(VALUES[:, kept], axis=0, nan_policy="omit")
    np.testing.assert_allclose(spread(VALUES, "mad")[kept], mad)
    variance = [np.var(column[np.isfinite(column)]) for column in VALUES[:, kept].T]
    np.testing.assert_allclose(spread(VALUES, "variance")[kept], variance)
    assert spread(VALUES, "mad")[5] == spread(VALUES, "variance")[5] == 0


def test_an_outlier_moves_the_variance_and_not_the_deviation():
    wild = VALUES.copy()
    wild[0, 0] = 3.7e4
    assert spread(wild, "variance")[0] > 1e6
    assert spread(wild, "mad")[0] == pytest.approx(spread(VALUES, "mad")[0], rel=0.2)


@given(arrays(np.float64, 15, elements=st.floats(0, 10)), st.integers(1, 20))
def test_the_kept_features_are_the_highest(scores, top):
    kept = keep_top(scores, top)
    assert kept.sum() == min(top, 15)
    if not kept.all():
        assert scores[kept].min() >= scores[~kept].max()


def test_of_equal_scores_the_earlier_are_kept():
    assert keep_top(np.ones(4), 2).tolist() == [True, True, False, False]
