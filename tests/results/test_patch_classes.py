import numpy as np
import pytest

from napari_mmsubtype.results.patch_classes import patch_classes


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ([0.1, 0.7, -0.3], 2),
        ([-0.5, -0.7, -0.3], 3),
        ([0.2, 0.1, 0.2], 1),
        ([0.0, 0.0, 0.0], 0),
        ([0.3, 0.3, 0.3], 0),
        ([0.0, 0.0, 1e-30], 3),
    ],
)
def test_a_patch_that_says_as_much_for_every_class_has_none(evidence, expected):
    found = patch_classes(np.array([evidence, [1, 0, 0]], np.float32))
    assert found.dtype == np.uint8
    assert found.tolist() == [expected, 1]


def test_one_class_alone_is_compared_with_nothing():
    assert patch_classes(np.array([[0.5], [0.0], [-0.5]])).tolist() == [1, 0, 1]


def test_of_no_patch_there_is_no_class():
    assert patch_classes(np.zeros((0, 2), np.float32)).shape == (0,)
