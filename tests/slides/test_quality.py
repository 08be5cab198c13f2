import os

import numpy as np
import pytest
from scipy import ndimage

from builders.slides import break_tile, draw_scene, write_svs
from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.core.quality_spec import QualitySpec
from napari_mmsubtype.errors import SlideChangedError, SlideReadError
from napari_mmsubtype.slides.quality import (
    assess_quality,
    choose_excluded,
    judge_quality,
)
from napari_mmsubtype.slides.quality_measures import INKS
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tissue import find_tissue

COLORS = {
    "blue": (30, 60, 170),
    "green": (20, 130, 80),
    "black": (20, 20, 24),
    "red": (210, 30, 40),
}


class PaintedSlide:
    """A slide of one level whose pixels a test has changed."""

    def __init__(self, slide, pixels):
        self._slide = slide
        self._pixels = pixels
        self.levels = slide.levels[:1]
        self.is_closed = False

    def read_region(self, level, y, x, height, width):
        assert level == 0
        region = np.full((height, width, 3), 255, np.uint8)
        inside = self._pixels[y : y + height, x : x + width]
        region[: inside.shape[0], : inside.shape[1]] = inside
        return region


def grid_of(slide, min_tissue=0.5):
    return lay_grid(
        PatchSpec(128, 0.5, 128, min_tissue),
        slide.levels[0].shape,
        slide.pixel_size,
        [level.downsample for level in slide.levels],
        find_tissue(slide).mask,
        storage_tile=slide.storage_tile,
    )


@pytest.fixture(scope="module")
def scene():
    """Slide, grid and pixels of clean synthetic tissue."""
    with open_slide("synthetic:seed=1,size=2048") as slide:
        pixels = slide.read_region(0, 0, 0, *slide.levels[0].shape)
        yield slide, grid_of(slide), pixels


def judge(scene, change=None, at=()):
    """Assess a slide after the pixels of some patches were changed."""
    slide, grid, pixels = scene
    pixels = pixels.copy()
    for index in at:
        y, x = grid.origin[index]
        patch = pixels[y : y + 128, x : x + 128]
        patch[:] = change(patch)
    return assess_quality(PaintedSlide(slide, pixels), grid)


def some(scene, every=9):
    grid = scene[1]
    return np.flatnonzero((np.arange(len(grid)) % every == 0) & (grid.tissue > 0.9))


def marked(count, at):
    mask = np.zeros(count, bool)
    mask[at] = True
    return mask


def test_clean_tissue_is_not_flagged(scene):
    quality = judge(scene)
    assert quality.is_clean.all()
    assert len(quality.is_clean) == len(scene[1])


def test_levels_make_no_difference(scene):
    slide, grid, _ = scene
    assert assess_quality(slide, grid).is_clean.all()


@pytest.mark.parametrize("ink", INKS)
def test_opaque_strokes_are_found_in_their_color(scene, ink):
    slide, grid, pixels = scene
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    stroke = np.abs(y - x * 0.4 - 600) < 90
    painted = pixels.copy()
    painted[stroke] = COLORS[ink]
    quality = assess_quality(PaintedSlide(slide, painted), grid)
    share = np.array([stroke[y : y + 128, x : x + 128].mean() for y, x in grid.origin])
    assert quality.pen[share > 0.2].all()
    assert not quality.pen[share == 0].any()
    column = INKS.index(ink)
    assert quality.ink[:, column] == pytest.approx(share, abs=0.13)
    assert np.delete(quality.ink, column, axis=1).max() < 0.1
    assert not quality.bubble.any()


@pytest.mark.parametrize("ink", INKS)
def test_ink_over_tissue_is_found(scene, ink):
    at = some(scene)
    tint = np.array(COLORS[ink]) / 255
    quality = judge(scene, lambda patch: patch * tint, at)
    assert quality.pen[at].all()
    assert not quality.pen[~marked(len(scene[1]), at)].any()


@pytest.mark.parametrize("sigma_um", [2, 4, 8])
def test_planted_blur_is_found_and_nothing_else(scene, sigma_um):
    at = some(scene)
    sigma = (sigma_um / 0.5, sigma_um / 0.5, 0)
    quality = judge(scene, lambda patch: ndimage.gaussian_filter(patch, sigma), at)
    assert (quality.blurred == marked(len(scene[1]), at)).all()
    assert not quality.pen.any()


def test_a_slide_soft_throughout_is_kept(scene):
    slide, grid, pixels = scene
    soft = ndimage.gaussian_filter(pixels, (6, 6, 0))
    quality = assess_quality(PaintedSlide(slide, soft), grid)
    assert quality.blurred.mean() < 0.05
    assert np.nanmedian(quality.measure("sharpness")) < 0.1 * np.nanmedian(
        judge(scene).measure("sharpness")
    )


@pytest.mark.parametrize("width_um", [40, 80, 120])
def test_a_band_of_two_layers_is_a_fold(scene, width_um):
    """The second layer is the tissue a little way off, as when it is turned over."""
    slide, grid, pixels = scene
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    center = 500 + 0.4 * x + 120 * np.sin(x / 150)
    band = np.abs(y - center) < width_um / 0.5 / 2
    second = np.roll(pixels, (170, 130), (0, 1))
    folded = np.where(band[..., None], pixels / 255.0 * second, pixels)
    quality = assess_quality(PaintedSlide(slide, folded.astype(np.uint8)), grid)
    tissue = ndimage.uniform_filter((second.min(2) < 235).astype(float), 31) > 0.5
    both = band & tissue
    share = np.array([both[y : y + 128, x : x + 128].mean() for y, x in grid.origin])
    planted = (share > 0.3) & (grid.tissue > 0.9)
    touched = np.array([band[y : y + 128, x : x + 128].any() for y, x in grid.origin])
    assert planted.sum() >= 5
    assert quality.folded[planted].mean() > 0.85
    assert quality.folded[~touched].mean() < 0.01
    assert not quality.pen.any()


def test_pale_stain_folds_as_well(scene):
    """Thickness is relative to the slide: half the stain, half the threshold."""
    slide, grid, pixels = scene
    order = np.argsort(np.nan_to_num(judge(scene).measure("thickness")))
    at = order[len(order) // 2 :: 7]
    pale = np.rint(255 * (pixels / 255.0) ** 0.5).astype(np.uint8)
    folded = pale.copy()
    for index in at:
        y, x = grid.origin[index]
        patch = folded[y : y + 128, x : x + 128]
        patch[:] = np.rint(255 * (patch / 255.0) ** 2)
    quality = assess_quality(PaintedSlide(slide, folded), grid)
    assert quality.folded[at].mean() > 0.9
    assert quality.folded[~marked(len(order), at)].mean() < 0.01


def test_the_rim_of_a_bubble_is_found(scene):
    slide, grid, pixels = scene
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    rim = np.abs(np.hypot(y - 1000, x - 1000) - 400) < 25
    painted = pixels.copy()
    painted[rim] = (120, 120, 118)
    quality = assess_quality(PaintedSlide(slide, painted), grid)
    share = np.array([rim[y : y + 128, x : x + 128].mean() for y, x in grid.origin])
    assert quality.bubble[share > 0.3].all()
    assert not quality.bubble[share == 0].any()
    assert not quality.pen.any()


def test_the_same_slide_gives_the_same_measures(scene):
    first, second = judge(scene), judge(scene)
    assert np.array_equal(first.measures, second.measures, equal_nan=True)


def test_thresholds_decide(scene):
    slide, grid, _ = scene
    strict = assess_quality(slide, grid, QualitySpec(blur_ratio=1.0))
    assert 0.4 < strict.blurred.mean() < 0.6
    assert strict.spec.blur_ratio == 1.0


def test_an_empty_grid_gives_empty_flags(scene):
    slide = scene[0]
    blank = np.zeros((8, 8), bool)
    spec = PatchSpec(128, 0.5, 128)
    grid = lay_grid(spec, (2048, 2048), slide.pixel_size, [1.0], blank)
    assert assess_quality(slide, grid).is_clean.shape == (0,)


def test_a_damaged_tile_is_told_apart_from_an_artefact(tmp_path):
    write_svs(tmp_path / "b.svs", draw_scene(), levels=1)
    break_tile(tmp_path / "b.svs", 0, 22)
    with open_slide(tmp_path / "b.svs") as slide:
        grid = grid_of(slide)
        quality = assess_quality(slide, grid)
        assert quality.unreadable.sum() == 1
        assert not quality.is_clean[quality.unreadable].any()
        for name in ("pen", "blurred", "folded", "bubble"):
            assert not getattr(quality, name)[quality.unreadable].any()
        slide.close()
        with pytest.raises(SlideReadError, match="closed"):
            assess_quality(slide, grid)
    with open_slide(tmp_path / "b.svs") as slide:
        os.utime(tmp_path / "b.svs", (0, 0))
        with pytest.raises(SlideChangedError, match="open it again"):
            assess_quality(slide, grid)


def test_the_order_of_the_patches_does_not_matter(scene):
    slide, grid, pixels = scene
    pixels = pixels.copy()
    for index in some(scene, 5):
        y, x = grid.origin[index]
        patch = pixels[y : y + 128, x : x + 128]
        patch[:] = ndimage.gaussian_filter(patch, (9, 9, 0))
    quality = assess_quality(PaintedSlide(slide, pixels), grid)
    order = np.random.default_rng(0).permutation(len(grid))
    again = judge_quality(quality.measures[order], quality.spec)
    assert quality.bits.any()
    np.testing.assert_array_equal(again.bits, quality.bits[order])


def test_flagged_patches_are_left_out_by_the_flags_asked_for(scene):
    at = some(scene)
    quality = judge(scene, lambda patch: patch * np.array([0.1, 0.2, 0.7]), at)
    excluded, warning = choose_excluded(quality, ["pen", "blur"])
    np.testing.assert_array_equal(np.flatnonzero(excluded), at)
    assert warning == ""
    assert not choose_excluded(quality, ["bubble"])[0].any()
    assert not choose_excluded(quality, [])[0].any()


@pytest.mark.parametrize(("bad", "kept"), [(5, False), (6, True), (10, True)])
def test_a_slide_is_never_erased(bad, kept):
    measures = np.tile(np.float32([0, 0, 0, 0, 100, 0.5, 0]), (12, 1))
    measures[:bad, 0] = 1  # blue ink
    measures[10:] = np.nan  # two patches could not be read
    quality = judge_quality(measures, QualitySpec())
    assert quality.pen.sum() == bad
    excluded, warning = choose_excluded(quality, ["pen", "blur"])
    assert excluded.any() != kept
    assert (f"{bad} of 10 patches" in warning) == kept


def real_slides(folder):
    yield folder / "slides" / "CMU-1-Small-Region.svs", None
    yield folder / "slides" / "TCGA-CR-7395-01A-01-TS1.svs", 0.25
    for path in sorted((folder / "regions").glob("*/*.tif")):
        yield path, 0.25


def test_real_tissue_without_marks_is_rarely_flagged(real_data):
    flags = []
    for path, mpp in real_slides(real_data):
        with open_slide(path, mpp=mpp) as slide:
            quality = assess_quality(slide, grid_of(slide))
        flags.append(
            np.stack([quality.pen, quality.blurred, quality.bubble, quality.folded])
        )
    found = np.concatenate(flags, axis=1)
    assert found.shape[1] > 400
    assert (found[:3].mean(axis=1) < 0.01).all()
    # Heaps of keratin look as thick as a fold.
    assert found[3].mean() < 0.03
