"""Coarse levels: the cells of the lattice against the whole map, pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.slides.synthetic_cells import cell_region
from napari_mmsubtype.slides.synthetic_fields import (
    BACKGROUND,
    BASAL,
    LUMINAL,
    PHENOTYPES,
    TissueFields,
)
from napari_mmsubtype.slides.synthetic_map import map_region

SLIDE = (9000, 14_000)


def spread(cells, code):
    """The share of one phenotype at every pixel of the box."""
    plane = cells.spread((cells.codes == code).astype(np.float32))
    cells.split(plane)[cells.mixed] = cells.weights[code]
    return plane


@settings(max_examples=40)
@given(
    seed=st.integers(0, 5),
    basal=st.sampled_from([0.0, 0.3, 1.0]),
    y=st.integers(-40, 600),
    x=st.integers(-40, 900),
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    downsample=st.sampled_from([4, 16, 64]),
)
def test_shares_equal_those_of_the_map_to_the_last_bit(
    seed, basal, y, x, height, width, downsample
):
    fields = TissueFields(seed, SLIDE, basal)
    box = Box(y, x, height, width)
    cells, whole = (
        cell_region(fields, box, downsample),
        map_region(fields, box, downsample),
    )
    top, left = y - cells.box.y, x - cells.box.x
    window = np.s_[top : top + height, left : left + width]
    for code in PHENOTYPES.values():
        expected = whole.weights.get(code, np.zeros((height, width), np.float32))
        assert np.array_equal(spread(cells, code)[window], expected), code


def test_few_cells_of_a_coarse_level_are_mixed():
    fields = TissueFields(1, (100_000, 100_000), 0.5)
    cells = cell_region(fields, Box(2048, 2048, 1024, 1024), 16)
    assert 0 < cells.mixed[0].size < 0.2 * cells.codes.size
    assert {LUMINAL, BASAL} <= set(np.unique(cells.codes).tolist())


def test_glass_is_one_code_and_nothing_mixed():
    fields = TissueFields(1, SLIDE, 0.5)
    cells = cell_region(fields, Box(0, 0, 8, 12), 16)
    assert (cells.codes == BACKGROUND).all()
    assert cells.mixed[0].size == 0
    assert all(weight.size == 0 for weight in cells.weights.values())
    assert spread(cells, BACKGROUND) == pytest.approx(1)


def test_a_region_lies_in_whole_cells():
    fields = TissueFields(1, SLIDE, 0.5)
    cells = cell_region(fields, Box(-3, 5, 6, 2), 16)
    assert cells.box == Box(-4, 4, 8, 4)
    assert cells.codes.shape == (2, 1)
