import numpy as np
import pytest

from builders.slides import break_tile, draw_scene, write_pyramid_tiff, write_svs
from napari_mmsubtype.errors import MissingPixelSizeError, SlideChangedError
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tissue import TissueMask, find_tissue
from napari_mmsubtype.slides.tissue_sample import SAMPLE_BOXES, SAMPLE_PX, sample_tissue

IMAGE = draw_scene()


def test_boxes_lie_on_tissue_and_are_the_same_each_time():
    with open_slide("synthetic:seed=1,size=2048") as slide:
        tissue = find_tissue(slide)
        pixels = sample_tissue(slide, tissue)
        assert (pixels == sample_tissue(slide, tissue)).all()
    assert pixels.shape == (SAMPLE_BOXES * SAMPLE_PX**2, 3)
    assert pixels.dtype == np.uint8
    assert (pixels.mean(axis=1) < 235).mean() > 0.5


def test_no_tissue_gives_no_pixels():
    with open_slide("synthetic:size=1024") as slide:
        found = find_tissue(slide)
        empty = TissueMask(np.zeros_like(found.mask), found.pixel_size, 0.1)
        assert sample_tissue(slide, empty).shape == (0, 3)


def test_a_slide_smaller_than_a_box_is_taken_whole(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE[:20, :24], levels=1)
    with open_slide(tmp_path / "a.tif") as slide:
        tissue = TissueMask(np.ones((1, 1), np.bool_), slide.pixel_size, 0.1)
        assert sample_tissue(slide, tissue).shape == (20 * 20, 3)


def test_the_coarsest_level_that_shows_nuclei_is_read(tmp_path, monkeypatch):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE, levels=4)
    with open_slide(tmp_path / "a.tif") as slide:
        levels = []
        real = slide.read_region
        monkeypatch.setattr(
            slide, "read_region", lambda *box: levels.append(box[0]) or real(*box)
        )
        sample_tissue(slide, TissueMask(np.ones((4, 4), bool), slide.pixel_size, 0.1))
    assert set(levels) == {2}  # 0.5 um/px, four times coarser


def test_a_damaged_tile_is_left_out(tmp_path, caplog):
    write_svs(tmp_path / "b.svs", IMAGE, levels=1)
    break_tile(tmp_path / "b.svs", 0, 0)
    with open_slide(tmp_path / "b.svs") as slide:
        mask = np.ones((6, 8), np.bool_)
        pixels = sample_tissue(slide, TissueMask(mask, slide.pixel_size, 0.1))
    assert 0 < len(pixels) < mask.size * SAMPLE_PX**2
    assert "left out of the stain fit" in caplog.text


def test_the_pixel_size_is_needed(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE, mpp=None)
    with open_slide(tmp_path / "a.tif") as slide, pytest.raises(MissingPixelSizeError):
        sample_tissue(slide, TissueMask(np.ones((4, 4), bool), None, 0.1))


def test_a_slide_that_changed_is_not_sampled_in_part(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE, levels=1)
    with open_slide(tmp_path / "a.tif") as slide:
        tissue = TissueMask(np.ones((8, 8), np.bool_), slide.pixel_size, 0.1)
        write_pyramid_tiff(tmp_path / "a.tif", IMAGE[:400], levels=1)
        with pytest.raises(SlideChangedError, match="open it again"):
            sample_tissue(slide, tissue)
