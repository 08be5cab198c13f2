import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.filters import threshold_otsu

from builders.slides import break_tile, draw_scene, write_pyramid_tiff
from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import (
    MissingPixelSizeError,
    SlideChangedError,
    SlideReadError,
)
from napari_mmsubtype.slides import tissue
from napari_mmsubtype.slides.backend import Level
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tissue import (
    FAINT_THRESHOLD,
    THRESHOLD_RANGE,
    choose_threshold,
    find_tissue,
)

GLASS, PINK = (244, 243, 246), (220, 150, 190)


def paint(height, width, *, boxes=(), back=GLASS, front=PINK, noise=3):
    """A slide of two colors with a little noise."""
    rng = np.random.default_rng(0)
    image = np.empty((height, width, 3), np.int64)
    image[:] = back
    for y0, y1, x0, x1 in boxes:
        image[y0:y1, x0:x1] = front
    image += rng.integers(-noise, noise + 1, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture
def find(tmp_path):
    def search(image, *, file_mpp=2.0, levels=1, **options):
        path = tmp_path / "a.tif"
        write_pyramid_tiff(
            path, image, levels=levels, mpp=file_mpp, compression="deflate"
        )
        with open_slide(path) as slide:
            return find_tissue(slide, **options)

    return search


def test_the_threshold_is_otsus_where_two_classes_are_plain():
    rng = np.random.default_rng(0)
    values = np.concatenate(
        [rng.normal(0.02, 0.01, 5000), rng.normal(0.25, 0.05, 3000)]
    )
    values = np.clip(values, 0, 1)
    ours, theirs = choose_threshold(values), threshold_otsu(values)
    assert ours == pytest.approx(theirs, abs=2 / 256)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 50))
@settings(max_examples=50)
def test_the_threshold_stays_in_its_range(first, second, count):
    values = np.array([first] * 10 + [second] * count)
    low, high = THRESHOLD_RANGE
    assert low <= choose_threshold(values) <= high


def test_no_values_give_the_lower_bound():
    assert choose_threshold(np.array([])) == THRESHOLD_RANGE[0]


def test_a_square_of_tissue_is_found_where_it_lies(find):
    image = paint(1200, 1600, boxes=[(400, 800, 600, 1200)])
    found = find(image)
    assert found.mask.shape == (300, 400)
    assert found.pixel_size.y == pytest.approx(8.0)
    expected = np.zeros((300, 400), np.bool_)
    expected[100:200, 150:300] = True
    assert (found.mask ^ expected).mean() < 0.002


def test_the_mask_covers_the_slide_whatever_its_size(find):
    found = find(paint(1003, 777), file_mpp=1.7)
    height, width = found.mask.shape
    assert height * found.pixel_size.y == pytest.approx(1003 * 1.7)
    assert width * found.pixel_size.x == pytest.approx(777 * 1.7)
    assert found.pixel_size.y == pytest.approx(8.0, rel=0.01)


def test_blank_glass_has_no_tissue_and_is_no_error(find):
    for back in ((255, 255, 255), GLASS, (230, 230, 230), (0, 0, 0)):
        found = find(paint(600, 600, back=back))
        assert not found.mask.any()


def test_a_region_that_is_tissue_throughout_is_kept_whole(find):
    rng = np.random.default_rng(0)
    blobs = np.kron(rng.uniform(0, 1, (50, 50, 1)), np.ones((20, 20, 1)))
    shades = np.array(PINK) * blobs + np.array((110, 60, 140)) * (1 - blobs)
    found = find(np.rint(shades).astype(np.uint8), file_mpp=0.25)
    assert found.mask.all()
    assert find(paint(1000, 1000, back=PINK), file_mpp=0.25).mask.all()


def test_evenly_tinted_glass_is_still_glass(find):
    image = paint(
        1200, 1200, boxes=[(300, 800, 300, 900)], back=(245, 238, 222), noise=1
    )
    found = find(image)
    assert found.mask.mean() == pytest.approx(500 * 600 / 1200**2, rel=0.05)


def test_specks_are_dropped_and_small_holes_filled(find):
    image = paint(1600, 1600, boxes=[(300, 1300, 300, 1300), (40, 80, 40, 80)])
    image[700:740, 700:740] = GLASS
    image[900:1200, 400:700] = GLASS
    found = find(image)
    assert not found.mask[:60, :60].any()
    assert found.mask[175:185, 175:185].all()
    assert not found.mask[240:285, 115:160].any()


def test_tissue_at_the_border_is_not_eaten(find):
    found = find(paint(1000, 1000, boxes=[(0, 1000, 0, 400)]))
    assert found.mask[:, :98].all()
    assert not found.mask[:, 104:].any()


def test_a_pyramid_gives_the_same_mask_as_its_first_level(find):
    image = np.tile(draw_scene(), (2, 2, 1))
    one, many = find(image), find(image, levels=3)
    assert (one.mask ^ many.mask).mean() < 0.01


def test_block_borders_leave_no_trace(find, monkeypatch):
    image = np.tile(draw_scene(), (2, 2, 1))
    whole = find(image, file_mpp=1.9)
    monkeypatch.setattr(tissue, "BLOCK_PX", 33)
    assert (find(image, file_mpp=1.9).mask ^ whole.mask).mean() < 0.005


@pytest.mark.parametrize("strip", [1, 3, 10, 4096])
def test_strips_leave_no_trace(find, monkeypatch, strip):
    boxes = [(40, 60, 700, 500), (500, 200, 900, 830), (100, 700, 160, 760)]
    image = paint(960, 900, boxes=boxes, noise=20)
    expected = find(image)
    assert 0.2 < expected.mask.mean() < 0.8
    monkeypatch.setattr(tissue, "STRIP_PX", strip)
    np.testing.assert_array_equal(find(image).mask, expected.mask)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.sampled_from([1, 3, 5]), st.integers(1, 40))
def test_the_median_of_a_mask_is_that_of_its_pixels(seed, side, height):
    mask = np.random.default_rng(seed).random((height, 17)) < 0.5
    found = tissue._take_median(mask, side)
    expected = ndimage.median_filter(mask.astype(np.uint8), side, mode="nearest")
    np.testing.assert_array_equal(found, expected > 0)


def test_a_very_large_slide_gets_coarser_pixels(find, monkeypatch):
    monkeypatch.setattr(tissue, "LARGEST_MASK_PX", 100)
    found = find(paint(1600, 1200))
    assert found.mask.shape == (100, 75)
    assert found.pixel_size.y == pytest.approx(32.0)


def test_without_a_pixel_size_nothing_is_searched(find):
    with pytest.raises(MissingPixelSizeError):
        find(paint(200, 200), file_mpp=None)


def test_what_cannot_be_read_counts_as_tissue(tmp_path, caplog):
    path = tmp_path / "a.tif"
    image = paint(1600, 1600, boxes=[(800, 1600, 800, 1600)])
    write_pyramid_tiff(path, image, levels=1, mpp=2.0, compression="deflate")
    break_tile(path, 0, 0)
    with caplog.at_level(logging.WARNING), open_slide(path) as slide:
        found = find_tissue(slide)
        grid = lay_grid(
            PatchSpec(64, 2.0, 64), (1600, 1600), slide.pixel_size, [1.0], found.mask
        )
    assert found.mask[:30, :30].all()
    assert not found.mask[60:, :60].any()
    assert found.mask[205:, 205:].all()
    assert (0, 0) in [tuple(cell) for cell in grid.cell]
    assert [record.getMessage().count("row 0") for record in caplog.records] == [1]


def test_a_computed_level_loses_no_more_than_the_damaged_tiles(tmp_path):
    # The mask is read from a computed level, each of whose tiles is made of 256 stored
    # ones.
    path = tmp_path / "a.tif"
    image = paint(2200, 2200, boxes=[(1200, 2000, 1200, 2000)])
    write_pyramid_tiff(path, image, levels=1, mpp=0.5, compression="deflate")
    with open_slide(path) as slide:
        assert (slide.native_levels, len(slide.levels)) == (1, 2)
        expected = find_tissue(slide).mask
    break_tile(path, 0, 2 * 18 + 3)
    break_tile(path, 0, 12 * 18 + 12)
    with open_slide(path) as slide:
        found = find_tissue(slide).mask
        assert slide.unreadable_tiles == ((0, 2, 3), (0, 12, 12))
    expected[16:25, 24:33] = True
    assert expected[96:104, 96:104].all()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("is_fine_damaged", [False, True])
def test_a_finer_level_holds_what_a_coarse_tile_lost(tmp_path, is_fine_damaged):
    path = tmp_path / "a.tif"
    image = paint(1600, 1600, boxes=[(300, 900, 300, 900)])
    write_pyramid_tiff(path, image, levels=3, mpp=2.0, compression="deflate")
    with open_slide(path) as slide:
        expected = find_tissue(slide).mask
    break_tile(path, 2, 0)
    if is_fine_damaged:
        break_tile(path, 1, 0)
        break_tile(path, 0, 0)
        break_tile(path, 0, 12)
    with open_slide(path) as slide:
        found = find_tissue(slide).mask
        assert (2, 0, 0) in slide.unreadable_tiles
    if is_fine_damaged:
        expected[:32, :32] = True
    assert (found ^ expected).sum() <= 20


def test_damage_makes_no_tissue_of_the_glass_around_it(tmp_path):
    # A tile of glass within tissue, and a bay of it that is small enough to be filled
    # where the tile seals it off.
    image = paint(1600, 1600, boxes=[(200, 1000, 200, 1000)])
    image[256:384, 256:384] = image[256:308, 384:436] = 250
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, image, levels=1, mpp=2.0, compression="deflate")
    with open_slide(path) as slide:
        expected = find_tissue(slide).mask
    break_tile(path, 0, 28)
    with open_slide(path) as slide:
        found = find_tissue(slide).mask
    damaged = np.zeros_like(found)
    damaged[64:96, 64:96] = True
    assert found[damaged].all()
    assert not expected[66:75, 96:107].any()
    np.testing.assert_array_equal(found[~damaged], expected[~damaged])


def test_a_slide_that_changed_is_no_slide_without_tissue(tmp_path):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, paint(200, 200), mpp=2.0)
    with open_slide(path) as slide:
        write_pyramid_tiff(path, paint(240, 240), mpp=2.0)
        with pytest.raises(SlideChangedError, match="open it again"):
            find_tissue(slide)


def test_a_slide_closed_underway_is_an_error(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", paint(200, 200), mpp=2.0)
    slide = open_slide(tmp_path / "a.tif")
    slide.close()
    with pytest.raises(SlideReadError, match="closed"):
        find_tissue(slide)


class PixelSlide:
    """A slide of one level that is all in memory."""

    is_closed = False

    def __init__(self, pixels, mpp):
        self.pixels, self.mpp = pixels.astype(np.uint8), mpp
        self.levels = (Level(pixels.shape[:2], 1.0),)

    def require_pixel_size(self):
        return PixelSize.square(self.mpp)

    def read_region(self, level, y, x, height, width):
        assert level == 0
        return self.pixels[y : y + height, x : x + width]


def fade(image, share, glass=(243, 241, 244), noise=2.0):
    """Take away stain: the optical density is cut to a share, on glass with noise."""
    rng = np.random.default_rng(0)
    pale = np.asarray(glass) * (image / 255.0) ** share
    return np.clip(np.rint(pale + rng.normal(0, noise, image.shape)), 0, 255)


@pytest.mark.parametrize("noise", [0, 2, 4])
@pytest.mark.parametrize("glass", [(250, 250, 250), (243, 241, 244), (228, 226, 222)])
def test_noisy_glass_stays_empty(noise, glass):
    blank = fade(np.full((1600, 1600, 3), 255), 1.0, glass, noise)
    assert not find_tissue(PixelSlide(blank, 2.0)).mask.any()


def test_faint_synthetic_tissue_is_found_where_it_lies():
    with open_slide("synthetic:seed=3,size=2048") as slide:
        expected = find_tissue(slide).mask
        pixels = slide.read_region(0, 0, 0, 2048, 2048)
    found = find_tissue(PixelSlide(fade(pixels, 0.25), 0.5))
    assert found.threshold < FAINT_THRESHOLD
    assert found.mask[expected].mean() > 0.95
    assert (found.mask & ~expected).sum() < 0.2 * expected.sum()


@pytest.mark.parametrize("share", [0.25, 0.15])
def test_faded_real_tissue_is_found(real_data, share):
    for path in sorted((real_data / "regions").rglob("*.tif"))[::2]:
        on_glass = np.full((2000, 2000, 3), 255, np.uint8)
        with open_slide(path, mpp=0.25) as slide:
            on_glass[500:1500, 500:1500] = slide.read_region(0, 0, 0, 1000, 1000)
        found = find_tissue(PixelSlide(fade(on_glass, share), 0.5)).mask
        side = found.shape[0] // 4
        assert found[side : 3 * side, side : 3 * side].mean() > 0.95, path.name
        assert found.sum() < 1.3 * (2 * side) ** 2, path.name
    with open_slide(real_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        whole = find_tissue(slide).mask
        pixels = slide.read_region(0, 0, 0, *slide.levels[0].shape)
    found = find_tissue(PixelSlide(fade(pixels, share), 0.499)).mask
    assert found[whole].mean() > 0.95
    assert found.sum() < 1.5 * whole.sum()


def test_real_regions_are_tissue_and_real_slides_have_glass(real_data):
    for path in sorted((real_data / "regions").rglob("*.tif")):
        with open_slide(path, mpp=0.25) as slide:
            assert find_tissue(slide).mask.mean() > 0.95, path.name
    with open_slide(real_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        assert 0.25 < find_tissue(slide).mask.mean() < 0.45
