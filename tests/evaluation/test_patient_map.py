from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from napari_mmsubtype.evaluation.patient_map import patient_map


@pytest.mark.slow  # UMAP is compiled first
def test_groups_lie_apart_and_the_map_repeats():
    rng = np.random.default_rng(0)
    group = np.arange(60) % 3
    values = rng.normal(size=(60, 80)) + 4 * np.eye(3)[group] @ rng.normal(size=(3, 80))
    values[5, 3] = np.nan
    found = patient_map(values, seed=1)
    assert found.shape == (60, 2)
    assert silhouette_score(found, group) > 0.6
    np.testing.assert_array_equal(found, patient_map(values, seed=1))


def test_few_columns_and_few_patients_have_a_map_too():
    found = patient_map(np.random.default_rng(1).normal(size=(10, 2)))
    assert np.isfinite(found).all()
    assert len(np.unique(found, axis=0)) == 10


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((9, 4)), r"needs 10 patients, found values \(9, 4\)"),
        (np.ones(20), "needs 10 patients"),
        (np.ones((20, 4)), "values that differ"),
    ],
)
def test_what_has_no_map_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        patient_map(values)
