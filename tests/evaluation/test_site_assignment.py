from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from napari_mmsubtype.evaluation import site_assignment
from napari_mmsubtype.evaluation.site_assignment import (
    assign_sites,
    criterion,
    greedy_folds,
)


def held(counts, fold, k):
    return np.array([counts[np.asarray(fold) == i].sum(axis=0) for i in range(k)])


def brute_force(counts, k):
    """Try every assignment that leaves no fold empty and none with a whole class."""
    costs = []
    for fold in product(range(k), repeat=len(counts)):
        inside = held(counts, fold, k)
        if (inside.sum(axis=1) > 0).all() and (inside < counts.sum(axis=0)).all():
            costs.append(criterion(inside))
    return min(costs)


def sites(seed: int, count: int, classes: int = 2, high: int = 12):
    rng = np.random.default_rng(seed)
    return rng.integers(1, high, (count, classes))


def test_criterion_is_the_sum_of_squared_deviations():
    # Class totals 6 and 4, two folds: (2*4-6)^2 * 2 + (2*1-4)^2 * 2.
    assert criterion(np.array([[4, 1], [2, 3]])) == 4 + 4 + 4 + 4
    assert criterion(np.array([[3, 2], [3, 2]])) == 0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("count", "k"), [(6, 2), (6, 3), (8, 2)])
def test_assignment_is_the_best_there_is(seed: int, count: int, k: int):
    counts = sites(seed, count)
    found = assign_sites(counts, k)
    assert found.criterion == brute_force(counts, k)
    assert found.is_optimal
    np.testing.assert_array_equal(found.counts, held(counts, found.fold, k))
    assert found.criterion == criterion(found.counts)


@pytest.mark.parametrize("seed", range(3))
def test_solver_is_never_worse_than_greedy(seed: int):
    counts = sites(seed, 11, classes=3, high=40)
    greedy = greedy_folds(counts, 4)
    assert assign_sites(counts, 4, time_limit_s=1).criterion <= greedy.criterion


def test_solver_mends_what_swaps_cannot(monkeypatch):
    # Greedy filling alone, without moves, swaps and restarts, is worse here.
    counts = sites(9, 7)
    monkeypatch.setattr(site_assignment, "_RESTARTS", 1)
    monkeypatch.setattr(site_assignment, "_improved", lambda _, fold, __: fold)
    poor = greedy_folds(counts, 3)
    found = assign_sites(counts, 3)
    assert found.criterion == brute_force(counts, 3) < poor.criterion
    assert found.is_optimal


def test_without_time_greedy_folds_are_given_as_such():
    counts = sites(1, 9, high=50)
    found = assign_sites(counts, 3, time_limit_s=0)
    assert not found.is_optimal
    assert found.criterion == greedy_folds(counts, 3).criterion


def test_perfectly_even_folds_are_known_to_be_optimal_without_solving():
    found = assign_sites(np.array([[2, 1]] * 6), 3, time_limit_s=0)
    assert (found.criterion, found.is_optimal) == (0, True)


def test_no_fold_takes_a_whole_class_even_where_that_were_more_even():
    # Both sites of the second class are small: together they would fit anywhere.
    counts = np.array([[20, 0], [20, 0], [18, 1], [2, 1], [1, 0]])
    found = assign_sites(counts, 2)
    assert (found.counts[:, 1] == 1).all()


def test_sites_that_cannot_be_dealt_out_are_refused():
    with pytest.raises(ValueError, match="do not fill 3 folds"):
        greedy_folds(np.array([[3, 1], [2, 2]]), 3)
