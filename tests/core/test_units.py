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
