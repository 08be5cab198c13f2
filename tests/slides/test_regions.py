import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.draw import polygon2mask

from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides.regions import (
    Region,
    draw_region,
    outline_mask,
    restrict_mask,
)

SHAPE = (400, 800)
SQUARE = [(100, 200), (100, 400), (300, 400), (300, 200)]


def box(y0, y1, x0, x1):
    return [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]


def test_a_square_covers_its_pixels_at_any_resolution():
    for size in [(400, 800), (100, 200), (40, 160)]:
        expected = np.zeros(size, bool)
        y, x = size[0] / 400, size[1] / 800
        expected[round(100 * y) : round(300 * y), round(200 * x) : round(400 * x)] = 1
        assert (draw_region(Region(SQUARE), SHAPE, size) == expected).all()


@pytest.mark.parametrize("corners", [3, 4, 5, 9, 40])
def test_a_polygon_is_drawn_as_scikit_image_draws_it(corners):
    rng = np.random.default_rng(corners)
    for _ in range(10):
        ring = rng.uniform(-30, 130, (corners, 2))
        drawn = draw_region(Region(ring), (100, 90), (100, 90))
        assert (drawn == polygon2mask((100, 90), ring - 0.5)).all()


def test_neighbors_share_no_pixel_and_leave_no_gap():
    shared = [(0.5, 30.5), (20.5, 50.5), (60.5, 10.5), (99.5, 40.5)]
    left = Region([(-5, -5), (-5, 30.5), *shared, (105, 40.5), (105, -5)])
    right = Region([(-5, 95), (-5, 30.5), *shared, (105, 40.5), (105, 95)])
    drawn = [draw_region(part, (100, 90), (100, 90)) for part in (left, right)]
    assert (drawn[0] ^ drawn[1]).all()


def test_an_outline_of_many_corners_fills_its_area():
    angle = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    circle = 5000 + 4000 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    drawn = draw_region(Region(circle), (10_000, 10_000), (1000, 1000))
    assert drawn.sum() == pytest.approx(np.pi * 400**2, rel=1e-3)


def test_a_hole_is_left_out():
    ring = Region(SQUARE, (np.array(box(150, 250, 250, 350)),))
    drawn = draw_region(ring, SHAPE, SHAPE)
    assert drawn.sum() == 200 * 200 - 100 * 100
    assert not drawn[200, 300]


def test_what_lies_beyond_the_slide_is_cut_off():
    drawn = draw_region(Region(box(-500, 200, 700, 9000)), SHAPE, SHAPE)
    assert drawn.sum() == 200 * 100


def test_included_regions_join_and_excluded_ones_are_cut_out():
    mask = np.ones(SHAPE, bool)
    mask[:, :50] = False
    first = Region(box(0, 200, 0, 100), name="Tumor")
    second = Region(box(0, 200, 80, 200))
    out = Region(box(0, 100, 0, 800), name="Ignore*")
    kept = restrict_mask(mask, [first, second, out], SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[100:200, 50:200] = True
    assert (kept == expected).all()
    assert mask.sum() == 400 * 750


def test_excluded_regions_alone_keep_the_rest():
    out = Region(SQUARE, name="exclude")
    assert out.is_excluded
    kept = restrict_mask(np.ones(SHAPE, bool), [out], SHAPE)
    assert (~kept).sum() == 200 * 200


def test_regions_of_another_slide_are_refused():
    far = Region(box(10_000, 10_100, 0, 100))
    with pytest.raises(ConfigurationError, match=r"outside the slide.*10000 to 10100"):
        restrict_mask(np.ones(SHAPE, bool), [far], SHAPE)
    near = restrict_mask(np.ones(SHAPE, bool), [far, Region(SQUARE)], SHAPE)
    assert near.sum() == 200 * 200


def test_no_regions_are_refused():
    with pytest.raises(ConfigurationError, match="no regions"):
        restrict_mask(np.ones(SHAPE, bool), [], SHAPE)


def test_microns_count_from_the_center_of_the_first_pixel():
    size = PixelSize(0.25, 0.5)
    corner_um = (np.array(SQUARE) - 0.5) * [0.25, 0.5]
    region = Region.from_um(corner_um, size, name="Tumor")
    assert region.outline == pytest.approx(np.array(SQUARE))
    assert region.name == "Tumor"
    assert region.to_um(size)[0] == pytest.approx(corner_um)


def test_a_closing_corner_is_not_kept_twice():
    assert len(Region([*SQUARE, SQUARE[0]]).outline) == 4


@pytest.mark.parametrize(
    ("corners", "says"),
    [
        ([(0, 0), (1, 1)], "at least 3 different corners, found 2"),
        ([(0, 0), (1, 1), (0, 0), (1, 1)], "found 2"),
        ([(0, 0), (1, float("nan")), (2, 2)], "NaN"),
        ([(0, 0), (1, 1e12), (2, 2)], "reaches 1e\\+12 px"),
        ([(0, 0, 0), (1, 1, 1), (2, 0, 0)], "pairs"),
        ([(0, 0), (1,), (2, 0)], "pairs"),
        ("abc", "pairs"),
        ([], "pairs"),
    ],
)
def test_nonsense_is_refused(corners, says):
    with pytest.raises(ConfigurationError, match=says):
        Region(corners)


@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
@settings(max_examples=100)
def test_a_traced_mask_drawn_again_is_the_mask(mask):
    slide = (mask.shape[0] * 7, mask.shape[1] * 7 + 1)
    drawn = np.zeros(mask.shape, bool)
    for region in outline_mask(mask, slide, name="tissue"):
        assert region.name == "tissue"
        part = draw_region(region, slide, mask.shape)
        assert not (drawn & part).any()
        drawn |= part
    assert (drawn == mask).all()


def test_a_traced_ring_is_one_region_with_a_hole():
    mask = np.zeros((9, 9), bool)
    mask[1:8, 1:8] = True
    mask[3:6, 3:6] = False
    (region,) = outline_mask(mask, (90, 90))
    assert len(region.holes) == 1
    assert region.outline.min() == pytest.approx(10)
    assert region.outline.max() == pytest.approx(80)
