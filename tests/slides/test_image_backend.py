import errno
import os

import numpy as np
import pytest
from PIL import Image, ImageFile

from builders.slides import cut, draw_scene
from napari_mmsubtype.core.units import MppSource
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides import image_backend
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.image_backend import ImageBackend
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.system_fault import is_system_fault

IMAGE = draw_scene(200, 300)


@pytest.mark.parametrize("ending", ["png", "bmp", "webp", "jpg"])
def test_plain_images_are_slides_of_one_level(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    options = {"lossless": True} if ending == "webp" else {"quality": 95}
    Image.fromarray(IMAGE).save(path, **options)
    with open_slide(path) as slide:
        assert slide.backend == "image"
        assert [level.shape for level in slide.levels] == [(200, 300)]
        region = slide.read_region(0, 0, 0, 200, 300).astype(int)
    limit = 0 if ending != "jpg" else 1.5
    assert np.abs(region - IMAGE).mean() <= limit


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA"])
def test_modes_equal_pillows_own_conversion(tmp_path, mode):
    image = Image.fromarray(IMAGE).convert(mode)
    image.save(tmp_path / "a.png")
    expected = np.asarray(image.convert("RGB"))
    with open_slide(tmp_path / "a.png") as slide:
        assert (slide.read_region(0, 0, 0, 200, 300) == expected).all()


def test_sixteen_bits_keep_their_upper_half(tmp_path):
    Image.fromarray(IMAGE[:, :, 0].astype(np.uint16) << 8).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        region = slide.read_region(0, 0, 0, 200, 300)
    assert (region == IMAGE[:, :, :1]).all()


def test_transparency_is_white(tmp_path):
    Image.fromarray(np.zeros((9, 9, 4), np.uint8)).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        assert (slide.read_region(0, 0, 0, 9, 9) == 255).all()


def test_resolution_is_believed_only_within_reason(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.png", dpi=(72, 72))
    with open_slide(tmp_path / "a.png") as slide:
        assert slide.pixel_size is None
    Image.fromarray(IMAGE).save(tmp_path / "b.png", dpi=(50_800, 50_800))
    with open_slide(tmp_path / "b.png") as slide:
        assert slide.pixel_size.mean == pytest.approx(0.5, rel=1e-3)
        assert slide.mpp_source is MppSource.RESOLUTION_TAG


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp"])
def test_a_cut_image_is_refused_at_open(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(IMAGE).save(path)
    cut(path, 0.7)
    with pytest.raises(SlideOpenError, match="truncated"):
        open_slide(path)


def test_a_huge_image_is_refused_with_the_way_out(tmp_path, monkeypatch):
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    monkeypatch.setattr(image_backend, "LARGEST_PX", 1000)
    with pytest.raises(SlideOpenError, match=r"200 x 300 px found.*vips tiffsave"):
        open_slide(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(SlideOpenError, match="too large"):
        open_slide(tmp_path / "a.png")


def test_opening_decodes_nothing_and_looking_decodes_once(tmp_path, monkeypatch):
    Image.fromarray(np.tile(IMAGE, (8, 5, 1))).save(tmp_path / "a.png")
    calls = []
    real = image_backend._to_array
    monkeypatch.setattr(
        image_backend, "_to_array", lambda image: calls.append(1) or real(image)
    )
    with open_slide(tmp_path / "a.png") as slide:
        assert calls == []
        slide.read_region(0, 0, 0, 1600, 1500)
        assert calls == [1]


def test_an_outage_leaves_the_image_to_be_decoded_later(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 30), (1, 2, 3)).save(path)
    backend = ImageBackend(str(path))

    def _fail(*_words, **_more):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(ImageFile.ImageFile, "load", _fail)
        patched.setattr(Image, "open", _fail)
        for _ in range(3):
            with pytest.raises((OSError, BackendRefusal)) as told:
                backend.read_tile(0, 0, 0)
            assert is_system_fault(told.value)
    assert (backend.read_tile(0, 0, 0) == (1, 2, 3)).all()
    backend.close()
    with pytest.raises(ValueError, match="the file is closed"):
        backend.read_tile(0, 0, 0)


def test_other_content_is_left_to_others(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(BackendRefusal, match="no PNG, JPEG"):
        ImageBackend(str(tmp_path / "a.png"))
    with pytest.raises(BackendRefusal, match="folder"):
        ImageBackend(str(tmp_path))


def test_closing_and_reading_after(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.png", icc_profile=b"profile")
    backend = ImageBackend(str(tmp_path / "a.png"))
    assert backend.icc_profile == b"profile"
    with pytest.raises(KeyError):
        backend.read_associated("label")
    backend.close()
    backend.close()
    with pytest.raises(ValueError, match="closed"):
        backend.read_tile(0, 0, 0)


def test_the_preview_of_a_mirax_slide_does_not_pass_for_the_slide(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(tmp_path / "a.mrxs")
    with pytest.raises(SlideOpenError, match=r"only a preview"):
        open_slide(tmp_path / "a.mrxs")
