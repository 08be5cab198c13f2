import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmsubtype.core.geometry import Box

ints = st.integers(-20, 20)
sides = st.integers(0, 20)


@given(ints, ints, sides, sides, sides, sides)
def test_clipped_holds_exactly_the_common_pixels(y, x, h, w, height, width):
    image = np.zeros((80, 80), bool)
    image[30 : 30 + height, 30 : 30 + width] = True
    box = np.zeros_like(image)
    box[30 + y : 30 + y + h, 30 + x : 30 + x + w] = True
    clipped = Box(y, x, h, w).clipped(height, width)
    assert clipped.height * clipped.width == (image & box).sum()
    assert clipped.is_empty == (not (image & box).any())


def test_refuses_negative_extent():
    with pytest.raises(ValueError, match="-1 x 3"):
        Box(0, 0, -1, 3)
