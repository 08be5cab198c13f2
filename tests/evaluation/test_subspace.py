from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA

from napari_mmsubtype.evaluation.subspace import (
    MAX_COMPONENTS,
    Subspace,
    fit_subspace,
)


def correlated(n: int, g: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(3, g))
    return rng.normal(size=(n, 3)) @ mix + 0.5 * rng.normal(size=(n, g)) + 7


@pytest.mark.parametrize(("n", "g"), [(200, 8), (60, 150)])
def test_directions_are_those_of_scikit_learn(n: int, g: int) -> None:
    rows = correlated(n, g)
    space = fit_subspace(rows)
    standard = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    reference = PCA(len(space.basis)).fit(standard)
    aligned = np.abs((space.basis * reference.components_).sum(axis=1))
    assert aligned == pytest.approx(np.ones(len(space.basis)))
    assert space.basis @ space.basis.T == pytest.approx(
        np.eye(len(space.basis)), abs=1e-9
    )


def test_whole_distance_is_that_of_the_shrunk_covariance() -> None:
    # With every direction kept, both parts together are scikit-learn's distance.
    rows = correlated(200, 3)
    space = fit_subspace(rows)
    assert len(space.basis) == 3 or space.rest > 0
    standard = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    reference = LedoitWolf(assume_centered=True).fit(standard)
    values = space.standardize(rows[:5])
    full = Subspace(
        space.mean,
        space.scale,
        np.linalg.eigh(reference.covariance_)[1].T,
        np.linalg.eigh(reference.covariance_)[0],
        0.0,
    )
    expected = np.einsum("ij,jk,ik->i", values, reference.precision_, values)
    assert 3 * full.distances(rows[:5])[:, 0] == pytest.approx(expected)
    k = len(space.basis)
    own = np.linalg.eigh(reference.covariance_)[0][::-1]
    assert space.variance == pytest.approx(own[:k])
    if k < 3:
        assert space.rest == pytest.approx(own[k:].mean())


@pytest.mark.parametrize(("n", "g"), [(200, 8), (40, 150), (30, 30)])
def test_shrinkage_is_that_of_scikit_learn(n: int, g: int) -> None:
    rows = correlated(n, g)
    space = fit_subspace(rows)
    standard = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    shrunk = LedoitWolf(assume_centered=True).fit(standard).covariance_
    largest = np.linalg.eigvalsh(shrunk)[::-1][: len(space.basis)]
    assert space.variance == pytest.approx(largest)


def test_training_rows_are_about_one_away() -> None:
    rows = correlated(400, 40)
    assert fit_subspace(rows).distances(rows).mean(axis=0) == pytest.approx(
        [1, 1], rel=0.15
    )


def test_distances_closed_form() -> None:
    space = Subspace(
        np.array([1.0, 0.0, 0.0]),
        np.array([2.0, 1.0, 1.0]),
        np.array([[1.0, 0.0, 0.0]]),
        np.array([4.0]),
        0.5,
    )
    # Standardized (4, 1, 2): along 16 / 4, beside (1 + 4) / (0.5 * 2).
    assert space.distances([[9.0, 1.0, 2.0]]) == pytest.approx(np.array([[4.0, 5.0]]))
    assert space.contributions([9.0, 1.0, 2.0]) == pytest.approx([4.0, 2.0, 8.0])


def test_contributions_add_up_to_the_whole_distance() -> None:
    rows = correlated(100, 30)
    space = fit_subspace(rows)
    k, g = space.basis.shape
    along, beside = space.distances(rows[:1])[0]
    assert space.contributions(rows[0]).sum() == pytest.approx(
        k * along + (g - k) * beside
    )


def test_number_of_directions_is_bounded_by_rows_and_columns() -> None:
    rng = np.random.default_rng(0)
    assert len(fit_subspace(rng.normal(size=(50, 200))).basis) == 5
    assert len(fit_subspace(rng.normal(size=(2000, 300))).basis) == MAX_COMPONENTS
    assert len(fit_subspace(rng.normal(size=(200, 2))).basis) == 2


def test_a_column_that_never_varied_counts_when_it_does() -> None:
    rows = correlated(100, 5)
    rows[:, 2] = 3.0
    space = fit_subspace(rows)
    other = rows[:1].copy()
    other[0, 2] = 30.0
    assert space.distances(other)[0].max() > 10 * space.distances(rows[:1])[0].max()
    assert np.isfinite(fit_subspace(np.ones((10, 4))).distances(np.ones((1, 4)))).all()


def test_round_trip_through_arrays() -> None:
    rows = correlated(100, 30)
    space = fit_subspace(rows)
    again = Subspace.from_arrays(space.to_arrays())
    assert again.distances(rows) == pytest.approx(space.distances(rows), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mean", None, "lacks mean"),
        ("basis", np.zeros((2, 3)), "does not describe a subspace"),
        ("scale", np.zeros(30), "does not describe a subspace"),
        ("rest", np.array(np.nan), "does not describe a subspace"),
    ],
)
def test_damaged_arrays_are_refused(name, value, message) -> None:
    arrays = fit_subspace(correlated(100, 30)).to_arrays()
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    with pytest.raises(ValueError, match=message):
        Subspace.from_arrays(arrays)


@pytest.mark.parametrize("rows", [np.ones((1, 3)), np.ones(3), [[np.inf], [1.0]]])
def test_unusable_rows_are_refused(rows) -> None:
    with pytest.raises(ValueError, match="finite rows"):
        fit_subspace(rows)
