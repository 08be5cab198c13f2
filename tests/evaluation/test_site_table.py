"""Sites have intervals that are wide where patients are few."""

from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.evaluation.proportions import wilson
from napari_mmsubtype.evaluation.site_table import site_table


def test_sites_are_told_largest_first_and_without_what_cannot_be_had():
    labels = [0, 0, 1, 1, 1, 1]
    scores = np.eye(2)[[0, 1, 1, 1, 1, 0]]
    patients = ["a", "b", "c", "d", "e", "e"]
    sites = ["S", "S", "S", "S", "T", "T"]
    large, small = site_table(labels, scores, patients, sites)
    assert (large["site"], large["patients"]) == ("S", 4)
    assert large["balanced_accuracy"].value == large["accuracy"].value == 0.75
    assert (small["site"], small["patients"]) == ("T", 1)
    assert small["balanced_accuracy"] is None
    # One patient, judged twice: right once.
    assert small["accuracy"].value == 0.5
    expected = wilson(0.5, 1)
    assert (small["accuracy"].low, small["accuracy"].high) == pytest.approx(expected)


def test_a_site_without_an_error_has_an_interval_all_the_same():
    scores = np.eye(2)[[0, 0, 1, 1]]
    (row,) = site_table([0, 0, 1, 1], scores, list("abcd"), ["S"] * 4)
    assert row["balanced_accuracy"].high == row["accuracy"].high == 1.0
    assert row["balanced_accuracy"].low < 0.7
    assert row["accuracy"].low == pytest.approx(wilson(1.0, 4)[0])
