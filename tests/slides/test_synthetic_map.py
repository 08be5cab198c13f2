"""The tissue fields of one region."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.slides.synthetic_fields import (
    BASAL,
    LUMINAL,
    NECROSIS,
    TissueFields,
)
from napari_mmsubtype.slides.synthetic_map import (
    enlarge,
    lattice_factor,
    map_region,
)

FIELDS = TissueFields(3, (2048, 2048), 0.5)


def test_enlarging_a_plane_gives_the_plane():
    y, x = np.mgrid[0:5, 0:7].astype(np.float32)
    fine_y, fine_x = np.mgrid[0:32, 0:48] / 8
    assert enlarge(3 * y - 2 * x, 8) == pytest.approx(3 * fine_y - 2 * fine_x)
    assert np.array_equal(enlarge(y, 1), y[:-1, :-1])


@pytest.mark.parametrize(("downsample", "factor"), [(1, 8), (4, 4), (16, 4), (64, 4)])
def test_lattice_is_finer_than_the_fields_where_it_is_seen(downsample, factor):
    assert lattice_factor(downsample) == factor


@settings(max_examples=25, deadline=None)
@given(
    y=st.integers(-40, 500),
    x=st.integers(-40, 500),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    downsample=st.sampled_from([1, 4, 16]),
)
def test_a_region_is_the_crop_of_a_larger_one(y, x, height, width, downsample):
    box = Box(y, x, height, width)
    large = map_region(FIELDS, Box(y - 17, x - 9, height + 40, width + 31), downsample)
    small, crop = map_region(FIELDS, box, downsample), large.cropped(box)
    assert np.array_equal(small.codes, crop.codes)
    if small.codes.any():  # where all is glass, fibres need no direction
        assert np.array_equal(small.warp, crop.warp)
    assert small.weights.keys() == crop.weights.keys()
    for code, weight in small.weights.items():
        assert np.array_equal(weight, crop.weights[code])


def test_weights_add_up_to_one_and_lead_at_the_code():
    tissue = map_region(FIELDS, Box(0, 0, 512, 512), 4)
    total = sum(tissue.weights.values())
    assert total == pytest.approx(np.ones((512, 512)), abs=1e-5)
    for code, weight in tissue.weights.items():
        assert (tissue.codes[weight > 0.51] == code).mean() > 0.995


def test_levels_agree_on_the_outline():
    fine = map_region(FIELDS, Box(0, 0, 2048, 2048), 1).codes > 0
    coarse = map_region(FIELDS, Box(0, 0, 128, 128), 16).codes > 0
    majority = fine.reshape(128, 16, 128, 16).mean((1, 3)) > 0.5
    assert (majority == coarse).mean() > 0.99


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_extreme_slides_have_one_kind_of_tumour(share):
    fields = TissueFields(3, (2048, 2048), share)
    tissue = map_region(fields, Box(0, 0, 512, 512), 4)
    found = set(np.unique(tissue.codes))
    assert found.isdisjoint({LUMINAL} if share else {BASAL, NECROSIS})
    assert (BASAL if share else LUMINAL) in found
    assert all(np.isfinite(weight).all() for weight in tissue.weights.values())


def test_glass_needs_no_further_fields():
    tissue = map_region(FIELDS, Box(-900, -900, 64, 64), 1)
    assert set(tissue.weights) == {0}
    assert not tissue.codes.any()
