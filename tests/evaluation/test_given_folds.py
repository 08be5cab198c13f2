from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.given_folds import given_folds
from napari_mmsubtype.evaluation.splits import HELD_OUT


def test_numbers_sort_as_numbers_and_names_after_them():
    found = given_folds([10, "2", "b", "a", 2.0], list("vwxyz"))
    assert found.names == ("2", "10", "a", "b")
    assert found.folds.tolist() == [1, 0, 3, 2, 0]


@pytest.mark.parametrize("name", ["test", "Test", "HOLDOUT", "held-out", "held_out"])
def test_fixed_test_set_has_a_fold_of_its_own(name):
    found = given_folds(["1", "2", name], list("abc"))
    assert found.names == ("1", "2")
    assert found.folds.tolist() == [0, 1, HELD_OUT]


def test_empty_cells_are_counted_by_patient():
    values = ["1", "2", np.nan, "", None, " "]
    with pytest.raises(ConfigurationError, match=r"3 patients .* \(c, d, e\)"):
        given_folds(values, ["a", "b", "c", "c", "d", "e"])


def test_patient_in_two_folds_is_named():
    with pytest.raises(ConfigurationError, match=r"1 patients .* one fold \(b\)"):
        given_folds(["1", "1", "2", "test"], ["a", "b", "c", "b"])


def test_one_fold_and_a_test_set_are_no_cross_validation():
    with pytest.raises(ConfigurationError, match=r"found 1 \(1\)"):
        given_folds(["1", "1", "test"], list("abc"))


def test_rows_need_a_fold_each():
    with pytest.raises(ValueError, match="need as many folds"):
        given_folds(["1"], ["a", "b"])
