import pickle

import numpy as np
import pytest

from builders.profiles import gamma_profile
from builders.slides import draw_scene, write_pyramid_tiff
from napari_mmsubtype.slides.color import ColorTransform
from napari_mmsubtype.slides.recolor import recolor
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.slide import Slide
from napari_mmsubtype.slides.stain import StainNormalizer, fit_pixels

IMAGE = draw_scene(256, 384)
PROFILE = gamma_profile(1.8)
WHOLE = (0, 0, 0, 256, 384)


@pytest.fixture
def slide(tmp_path):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, IMAGE, compression="lzw", iccprofile=PROFILE)
    with open_slide(path, mpp=0.3) as opened:
        yield opened


def test_the_profile_is_switched_and_all_else_stays(slide):
    with recolor(slide, icc=True) as shown, recolor(shown, icc=False) as stored:
        expected = ColorTransform(PROFILE).apply(IMAGE)
        assert (shown.read_region(*WHOLE) == expected).all()
        assert (stored.read_region(*WHOLE) == IMAGE).all()
        assert (slide.icc, shown.icc, stored.icc) == ("off", "applied", "off")
        assert shown.pixel_size == slide.pixel_size
        assert shown.levels == slide.levels
        assert shown.backend == slide.backend


def test_the_stain_comes_after_the_profile_and_reaches_every_level(slide):
    fit = fit_pixels(ColorTransform(PROFILE).apply(IMAGE).reshape(-1, 3))
    assert not fit.is_identity
    with recolor(slide, icc=True) as shown, recolor(slide, icc=True, stain=fit) as new:
        for level in range(len(slide.levels)):
            box = (level, 0, 0, *slide.levels[level].shape)
            expected = fit.transform(shown.read_region(*box))
            assert (new.read_region(*box) == expected).all()
            assert (new.pyramid()[level].compute() == expected).all()
        with pickle.loads(pickle.dumps(new)) as again:
            assert (again.read_region(*WHOLE) == new.read_region(*WHOLE)).all()


def test_tiles_are_changed_once_and_kept(slide, monkeypatch):
    changed = []
    real = StainNormalizer.transform
    monkeypatch.setattr(
        StainNormalizer, "transform", lambda *at: changed.append(1) or real(*at)
    )
    with recolor(slide, icc=False, stain=fit_pixels(IMAGE.reshape(-1, 3))) as new:
        first = new.read_region(*WHOLE)
        count = len(changed)
        assert (new.read_region(*WHOLE) == first).all()
    assert len(changed) == count == 6


def test_computed_levels_in_other_stain_are_not_kept_on_disk(tmp_path, monkeypatch):
    path = tmp_path / "giant.tif"
    write_pyramid_tiff(path, np.tile(IMAGE, (9, 7, 1)), levels=1)
    with open_slide(path) as slide:
        level = slide.native_levels
        box = (level, 0, 0, *slide.levels[level].shape)
        before = slide.read_region(*box)
        fit = fit_pixels(IMAGE.reshape(-1, 3))
        with recolor(slide, icc=False, stain=fit) as new:
            assert (new.read_region(*box) != before).any()
    with open_slide(path) as slide:
        assert (slide.read_region(*box) == before).all()


def test_a_slide_in_memory_cannot_be_opened_again(slide):
    copy = Slide(slide._backend, path=slide.path)
    with pytest.raises(TypeError, match="open_slide"):
        recolor(copy, icc=True)
