import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmsubtype.core.units import PixelSize

sizes = st.floats(0.01, 100)


@given(sizes, sizes)
def test_mean_is_the_side_of_a_square_pixel_of_the_same_area(y, x):
    assert PixelSize(y, x).mean ** 2 == pytest.approx(y * x)


@given(sizes, st.floats(1, 64))
def test_scaled_multiplies_both_axes(mpp, factor):
    assert PixelSize.square(mpp).scaled(factor) == PixelSize(mpp * factor, mpp * factor)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_refuses_what_is_no_size(value):
    with pytest.raises(ValueError, match="positive"):
        PixelSize(0.5, value)


@pytest.mark.parametrize(
    ("mpp", "plausible"), [(0.25, True), (0.05, True), (20.0, True), (1000.0, False)]
)
def test_bogus_resolution_tags_are_not_plausible(mpp, plausible):
    assert PixelSize(0.5, mpp).is_plausible is plausible


@given(sizes, sizes, st.floats(1, 64), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_pixels_become_microns_and_the_same_pixels_again(y, x, factor, row, col):
    size = PixelSize(y, x)
    level = size.scaled(factor)
    microns = (row * level.y, col * level.x)
    assert (microns[0] / level.y, microns[1] / level.x) == pytest.approx((row, col))
    at_level_0 = (microns[0] / size.y, microns[1] / size.x)
    assert at_level_0 == pytest.approx((row * factor, col * factor))
    assert level.scaled(1 / factor).mean == pytest.approx(size.mean)
