from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmsubtype.slides.area_resize import resize_area, shrink


def exact_axis(values, new):
    """Area averaging along the first axis in exact fractions."""
    old = len(values)
    out = []
    for i in range(new):
        low, high = Fraction(i * old, new), Fraction((i + 1) * old, new)
        total = Fraction(0)
        for j in range(old):
            share = min(high, j + 1) - max(low, j)
            if share > 0:
                total += share * int(values[j])
        out.append(total / (high - low))
    return np.array([float(value) for value in out])


@pytest.mark.parametrize(
    ("old", "new"), [(448, 224), (37, 11), (10, 9), (5, 5), (7, 1)]
)
def test_shrinking_equals_exact_area_means(old, new):
    column = np.random.default_rng(old).integers(0, 256, old).astype(np.uint8)
    image = np.repeat(column[:, None, None], 4, axis=1).repeat(3, axis=2)
    resized = resize_area(image, new, 4)
    assert np.abs(resized[:, 0, 0] - exact_axis(column, new)).max() <= 0.5 + 1e-3


def test_both_axes_are_averaged_alike():
    image = np.random.default_rng(1).integers(0, 256, (30, 45, 3)).astype(np.uint8)
    one = resize_area(image, 13, 17)
    other = resize_area(image.transpose(1, 0, 2), 17, 13).transpose(1, 0, 2)
    assert np.abs(one.astype(int) - other).max() <= 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_a_constant_image_stays_constant(rows, height, width, value):
    image = np.full((rows, 23, 3), value, np.uint8)
    assert (resize_area(image, height, width) == value).all()


def test_growing_interpolates_linearly():
    ramp = np.array([0, 100], np.uint8)[:, None, None].repeat(2, 1).repeat(3, 2)
    assert resize_area(ramp, 4, 2)[:, 0, 0].tolist() == [0, 25, 75, 100]


def test_the_same_size_is_the_same_image():
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3)).astype(np.uint8)
    assert resize_area(image, 8, 9) is image


def test_shrink_averages_what_a_cut_block_has():
    image = np.zeros((5, 5, 3), np.uint8)
    image[4, 4] = 200
    image[:4, 4] = 40
    small = shrink(image, 4)
    assert small.shape == (2, 2, 3)
    assert small[1, 1, 0] == 200
    assert small[0, 1, 0] == 40
    assert small[0, 0, 0] == 0


def test_shrink_equals_block_means():
    image = np.random.default_rng(2).integers(0, 256, (16, 24, 3)).astype(np.uint8)
    means = image.reshape(4, 4, 6, 4, 3).mean(axis=(1, 3))
    assert np.abs(shrink(image, 4) - means).max() <= 0.5 + 1e-3
    assert shrink(image, 1) is image
