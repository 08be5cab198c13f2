"""Intervals of proportions are those of statsmodels, and cover as they say."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from napari_mmsubtype.evaluation.proportions import mean_share, wilson


@pytest.mark.parametrize(("hits", "count"), [(0, 3), (3, 3), (7, 10), (399, 400)])
def test_the_interval_of_wilson_is_that_of_statsmodels(hits, count):
    expected = proportion_confint(hits, count, method="wilson")
    assert wilson(hits / count, count) == pytest.approx(expected)
    found = mean_share([(hits / count, count)])
    assert (found.low, found.high) == pytest.approx(expected)


def test_the_mean_of_two_shares_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth, counts = (0.9, 0.6), (25, 8)
    drawn = [rng.binomial(n, p, 4000) for p, n in zip(truth, counts, strict=True)]
    inside = 0
    for one, two in zip(*drawn, strict=True):
        found = mean_share([(one / 25, 25), (two / 8, 8)])
        inside += found.low <= 0.75 <= found.high
    assert 0.93 < inside / 4000 < 0.98
