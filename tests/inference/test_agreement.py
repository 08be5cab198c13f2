import numpy as np
import pytest

from napari_mmsubtype.inference.agreement import Agreement, compare


def test_agreement_is_cosine_similarity():
    whole = np.array([[1.0, 0.0], [3.0, 0.0]])
    turned = np.array([[1.0, 0.1], [3.0, 0.0]])
    found = compare(whole, turned)
    assert found.cosine == pytest.approx(1 / np.sqrt(1.01))
    assert found.centered == pytest.approx(2 / np.sqrt(2 * 2.01))
    same = compare(whole, whole)
    assert (same.cosine, same.centered) == pytest.approx((1, 1))


def test_a_common_shift_is_no_agreement_once_centered():
    draw = np.random.default_rng(0)
    whole = draw.normal(size=(8, 4)) + 100
    found = compare(whole, whole + 3)
    assert found.cosine > 0.999
    assert found.centered < 0.995


def test_equal_patches_have_nothing_to_be_centered():
    assert compare(np.ones((3, 2)), np.ones((3, 2))).centered == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_what_is_no_number_does_not_hold(value):
    assert not compare(np.ones((2, 3)), np.full((2, 3), value)).holds


@pytest.mark.parametrize("changed", [(0.9989, 1, 0), (1, 0.9949, 0), (1, 1, 0.011)])
def test_each_limit_counts(changed):
    assert Agreement(0.999, 0.995, 0.01).holds
    assert not Agreement(*changed).holds


def test_it_is_told_in_words():
    said = str(Agreement(0.99951, 0.9961, 0.0042))
    assert said == (
        "embeddings agree to 0.9995 (0.9961 less their mean), class probabilities "
        "within 0.0042"
    )
