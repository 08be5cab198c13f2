import io
import pickle
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms

from builders.slides import draw_scene, write_pyramid_tiff
from napari_mmsubtype.slides.color import ColorTransform, ColorWarning, SlideColor
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene(256, 384)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def gamma_profile(gamma):
    """Change the tone curves of the sRGB profile to a power, byte by byte."""
    count = struct.unpack(">I", SRGB[128:132])[0]
    tags = [struct.unpack(">4sII", SRGB[132 + 12 * i :][:12]) for i in range(count)]
    data = bytearray(SRGB)
    for name, start, _ in tags:
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            value = round(gamma * 65536)
            data[start : start + 16] = b"para" + struct.pack(">IHHi", 0, 0, 0, value)
    return bytes(data)


def encode_srgb(linear):
    low = 12.92 * linear
    return np.where(linear <= 0.0031308, low, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_a_power_law_profile_gives_the_closed_form():
    changed = ColorTransform(gamma_profile(1.8)).apply(IMAGE)
    expected = 255 * encode_srgb((IMAGE / 255.0) ** 1.8)
    assert np.abs(changed - expected).max() <= 2
    assert np.abs(changed.astype(int) - IMAGE).max() > 5


def test_an_srgb_profile_changes_nothing():
    changed = ColorTransform(SRGB).apply(IMAGE)
    assert np.abs(changed.astype(int) - IMAGE).max() <= 1


def test_any_shape_and_stride_is_taken():
    transform = ColorTransform(gamma_profile(1.8))
    whole = transform.apply(IMAGE)
    assert (transform.apply(IMAGE[3:90:2, ::-1]) == whole[3:90:2, ::-1]).all()
    assert transform.apply(IMAGE[:0]).shape == (0, 384, 3)
    assert whole.flags.writeable


def test_threads_share_one_transform():
    transform = ColorTransform(gamma_profile(2.6))
    parts = [np.roll(IMAGE, i, axis=1) for i in range(32)]
    alone = [transform.apply(part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(transform.apply, parts))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("profile", [b"profile", b"\0" * 400, SRGB[:300]])
def test_a_damaged_profile_warns_once_and_leaves_colors(profile):
    with pytest.warns(ColorWarning, match="colors are shown as stored") as caught:
        color = SlideColor(profile, wanted=True, name="a")
    assert len(caught) == 1
    assert color.state == "unusable"
    assert color.apply(IMAGE) is IMAGE


def test_a_profile_of_other_than_rgb_colors_is_unusable():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    with pytest.raises(ValueError, match="RGB"):
        ColorTransform(lab)


def test_an_unwanted_profile_is_not_even_read():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SlideColor(b"profile", wanted=False, name="a").state == "off"
        assert SlideColor(None, wanted=True, name="a").state == "none"


@pytest.fixture
def slide_path(tmp_path):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, IMAGE, compression="lzw", iccprofile=gamma_profile(1.8))
    return path


def test_every_way_to_read_a_slide_gives_the_same_colors(slide_path):
    expected = ColorTransform(gamma_profile(1.8)).apply(IMAGE)
    with open_slide(slide_path, icc=True) as slide:
        assert slide.icc == slide.info()["icc"] == "applied"
        assert (slide.read_region(0, 0, 0, *IMAGE.shape[:2]) == expected).all()
        # Again from the cache: not transformed twice.
        assert (slide.read_region(0, 0, 0, *IMAGE.shape[:2]) == expected).all()
        assert (slide.pyramid()[0].compute() == expected).all()
        assert (slide.read_region(0, -4, -4, 4, 4) == 255).all()


def test_pixels_are_as_stored_unless_asked(slide_path):
    with open_slide(slide_path) as slide:
        assert slide.icc == slide.info()["icc"] == "off"
        assert (slide.read_region(0, 0, 0, *IMAGE.shape[:2]) == IMAGE).all()


@pytest.mark.parametrize("icc", [False, True])
def test_the_choice_survives_pickling(slide_path, icc):
    with open_slide(slide_path, icc=icc) as slide:
        region = slide.read_region(0, 10, 10, 50, 50)
        with pickle.loads(pickle.dumps(slide)) as again:
            assert again.icc == slide.icc
            assert (again.read_region(0, 10, 10, 50, 50) == region).all()


def test_a_real_profile_agrees_with_pillow(real_data):
    path = real_data / "slides" / "TCGA-CR-7395-01A-01-TS1.svs"
    with open_slide(path) as stored, open_slide(path, icc=True) as shown:
        if not stored.icc_profile:
            pytest.skip("the slide has no color profile")
        box = (0, 4096, 4096, 256, 256)
        image = Image.fromarray(stored.read_region(*box))
        profile = ImageCms.ImageCmsProfile(io.BytesIO(stored.icc_profile))
        srgb = ImageCms.createProfile("sRGB")
        intent = ImageCms.Intent(ImageCms.getDefaultIntent(profile))
        expected = ImageCms.profileToProfile(image, profile, srgb, intent)
        assert (shown.read_region(*box) == np.asarray(expected)).all()
