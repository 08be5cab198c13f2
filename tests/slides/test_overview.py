import numpy as np
import pytest

from builders.slides import draw_scene, write_pyramid_tiff
from napari_mmsubtype.slides.backend import Level
from napari_mmsubtype.slides.overview import (
    COARSEST_PX,
    OverviewPyramid,
    plan_overviews,
)
from napari_mmsubtype.slides.registry import open_slide


@pytest.mark.parametrize("side", [1, 2048, 2049, 4096, 5000, 100_000])
def test_the_plan_ends_small_and_keeps_exact_factors(side):
    native = Level((side, side // 2 + 1), 1.0)
    plan = plan_overviews(native)
    before = native
    for level, factor in plan:
        assert factor in (2, 4)
        assert level.downsample == before.downsample * factor
        assert level.shape == tuple(-(-s // factor) for s in before.shape)
        before = level
    assert max(before.shape) <= COARSEST_PX
    assert bool(plan) == (side > COARSEST_PX)


def test_a_tile_is_the_mean_of_what_lies_below_and_no_white_enters():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2101, 2530, 3)).astype(np.uint8)
    boxes = []

    def read(level, y, x, height, width):
        assert level == 0
        boxes.append((y, x, height, width))
        return image[y : y + height, x : x + width]

    pyramid = OverviewPyramid([Level((2101, 2530), 1.0)], read)
    (level,) = pyramid.levels
    assert level.shape == (1051, 1265)
    corner = pyramid.read_tile(1, 2, 2)
    assert corner.shape == (1051 - 1024, 1265 - 1024, 3)
    block = image[2048:2100, 2048:2530].reshape(26, 2, 241, 2, 3).mean(axis=(1, 3))
    assert np.abs(corner[:26] - block).max() <= 0.5 + 1e-3
    last = image[2100, 2048:2530].reshape(241, 2, 3).mean(axis=1)
    assert np.abs(corner[26] - last).max() <= 0.5 + 1e-3
    assert boxes == [(2048, 2048, 53, 482)]


def test_a_large_single_level_slide_gets_overviews_that_agree_with_level_zero(tmp_path):
    image = np.tile(draw_scene(), (3, 3, 1))
    write_pyramid_tiff(tmp_path / "a.tif", image, levels=1, compression="deflate")
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.native_levels == 1
        assert [level.downsample for level in slide.levels] == [1.0, 2.0]
        height, width = slide.levels[1].shape
        small = slide.read_region(1, 0, 0, height, width)
    means = image.reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 0.5 + 1e-3
