from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.impute import KNNImputer
from sklearn.preprocessing import StandardScaler

from builders.omics import GENES, log_frame
from napari_mmsubtype.omics.preprocessing import FitOptions, fit_modality
from napari_mmsubtype.omics.scaling import (
    impute_neighbors,
    rank_normal,
    scale_values,
)

TRAINING = log_frame(40, seed=3)
RNG = np.random.default_rng(0)


def with_gaps(shape: tuple[int, int], share: float = 0.2) -> np.ndarray:
    values = RNG.normal(size=shape)
    values[RNG.random(shape) < share] = np.nan
    return values


def test_ranks_become_the_quantiles_of_blom():
    values = np.array([[3.0, 1.0, np.nan, 2.0, 2.0]])
    quantile = NormalDist().inv_cdf
    expected = [quantile((r - 0.375) / 4.25) for r in (4, 1, 2.5, 2.5)]
    found = rank_normal(values)
    np.testing.assert_allclose(found[0, [0, 1, 3, 4]], expected)
    assert np.isnan(found[0, 2])
    assert np.isnan(rank_normal(np.full((1, 3), np.nan))).all()


@given(
    arrays(np.float64, 20, elements=st.integers(0, 50).map(float)),
    st.floats(0.1, 1e3),
)
def test_nothing_but_the_order_matters_to_ranks(values, factor):
    one = rank_normal(values[None])
    np.testing.assert_allclose(rank_normal(values[None] * factor), one, atol=1e-9)
    np.testing.assert_allclose(rank_normal(np.log2(values + 1)[None]), one, atol=1e-9)


def test_neighbors_agree_with_a_search_by_hand():
    reference = with_gaps((25, 8)).astype(np.float32)
    values = with_gaps((6, 8), 0.4)
    found = impute_neighbors(values, pd.DataFrame(reference), 3)
    for row, filled in zip(values, found, strict=True):
        seen = np.isfinite(row)
        np.testing.assert_array_equal(filled[seen], row[seen])
        both = np.isfinite(reference) & seen
        square = np.where(both, (reference - np.where(seen, row, 0)) ** 2, 0)
        with np.errstate(invalid="ignore"):
            distance = np.sqrt(square.sum(axis=1) * 8 / both.sum(axis=1))
        for gap in np.flatnonzero(~seen):
            donors = np.flatnonzero(np.isfinite(reference[:, gap]))
            nearest = donors[np.argsort(distance[donors])[:3]]
            assert filled[gap] == pytest.approx(
                reference[nearest, gap].mean(), rel=1e-5
            )


def test_neighbors_agree_with_scikit_learn_and_keep_empty_rows():
    reference = with_gaps((30, 6)).astype(np.float32)
    values = with_gaps((10, 6))
    values[0] = np.nan
    found = impute_neighbors(values, pd.DataFrame(reference), 5)
    known = KNNImputer(n_neighbors=5).fit(reference.astype(np.float64))
    np.testing.assert_allclose(found[1:], known.transform(values[1:]))
    assert np.isnan(found[0]).all()


def test_a_gap_that_no_patient_can_fill_stays():
    reference = pd.DataFrame([[1.0, np.nan], [2.0, np.nan], [np.nan, 5.0]])
    found = impute_neighbors(np.array([[1.0, np.nan]]), reference, 2)
    # The only one who has the feature has nothing in common with the row.
    assert np.isnan(found[0, 1])


def test_z_scores_agree_with_scikit_learn():
    spec = fit_modality(TRAINING, modality="rna", unit="log2(tpm+1)", clip=50)
    other = log_frame(9, seed=5)
    known = StandardScaler().fit(TRAINING.to_numpy()).transform(other.to_numpy())
    scaled, clipped = scale_values(other.to_numpy(), spec)
    np.testing.assert_allclose(scaled, known, atol=1e-4)
    assert not clipped.any()


def test_clipping_is_marked_and_gaps_take_the_fill():
    spec = fit_modality(TRAINING, modality="rna", unit="log2(tpm+1)", clip=2)
    values = TRAINING.to_numpy()[:1].copy()
    values[0, 0], values[0, 1] = 1e3, np.nan
    scaled, clipped = scale_values(values, spec)
    assert scaled[0, 0] == 2
    assert clipped[0, 0]
    assert not clipped[0, 1]
    row = spec.features.iloc[1]
    expected = (row["fill"] - row["mean"]) / row["std"]
    assert scaled[0, 1] == pytest.approx(expected, abs=1e-6)


def test_ranked_models_see_no_depth_and_no_unit():
    options = FitOptions(rank_normal=True)
    spec = fit_modality(TRAINING, modality="rna", unit="log2(tpm+1)", options=options)
    values = log_frame(5, seed=8).to_numpy()
    expected, _ = scale_values(values, spec)
    np.testing.assert_array_equal(scale_values(values * 1.7 + 3, spec)[0], expected)
    assert len(spec) == len(GENES)
