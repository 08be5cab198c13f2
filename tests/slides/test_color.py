import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms

from builders.profiles import (
    SRGB,
    SRGB_COLUMNS,
    encode_srgb,
    gamma_profile,
    gray_profile,
    matrix_profile,
    table_profile,
)
from builders.slides import draw_scene, write_pyramid_tiff
from napari_mmsubtype.slides.color import (
    ColorTransform,
    ColorWarning,
    SlideColor,
    describe_profile,
)
from napari_mmsubtype.slides.registry import open_quietly, open_slide
from napari_mmsubtype.slides.tile_cache import shared_memory

IMAGE = draw_scene(256, 384)


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


def test_swapped_primaries_swap_channels():
    red, green, blue = SRGB_COLUMNS
    changed = ColorTransform(matrix_profile((green, blue, red), 2.2)).apply(IMAGE)
    # What the scanner calls red lights up where green is, and so on.
    expected = 255 * encode_srgb((IMAGE[..., [2, 0, 1]] / 255.0) ** 2.2)
    assert np.abs(changed - expected).max() <= 1.5


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.6])
def test_other_primaries_and_tone_give_the_closed_form(gamma):
    # A scanner whose channels are mixtures: nothing leaves the gamut of sRGB.
    mix = np.array([[0.80, 0.15, 0.05], [0.10, 0.75, 0.15], [0.10, 0.10, 0.80]])
    changed = ColorTransform(matrix_profile(mix @ SRGB_COLUMNS, gamma)).apply(IMAGE)
    light = (IMAGE / 255.0) ** gamma @ mix
    assert np.abs(changed - 255 * encode_srgb(light)).max() <= 1.5


def test_a_table_of_colors_gives_the_closed_form():
    def curve(device):
        return 0.2 + 0.6 * device[:, [1, 2, 0]] ** 2

    changed = ColorTransform(table_profile(curve)).apply(IMAGE)
    flat = IMAGE.reshape(-1, 3) / 255.0
    expected = 255 * encode_srgb(curve(flat)).reshape(IMAGE.shape)
    # Between the nodes of the table colors are interpolated, here along CIELAB.
    assert np.abs(changed - expected).max() <= 4
    assert np.abs(changed - expected).mean() <= 1


def test_a_profile_says_what_it_is():
    about = describe_profile(matrix_profile(words="ScanScope v1"))
    assert about == {"description": "ScanScope v1", "maker": "ACME", "space": "RGB"}
    assert describe_profile(gray_profile())["space"] == "GRAY"
    assert describe_profile(None) == describe_profile(b"profile") == {}


CMYK = table_profile(lambda ink: 1 - ink[:, :3], nodes=3, space=b"CMYK")


@pytest.mark.parametrize(
    "profile",
    [b"profile", b"\0" * 400, SRGB[:300], gray_profile(), CMYK],
    ids=["text", "zeros", "cut", "gray", "cmyk"],
)
def test_a_profile_that_cannot_serve_says_so_and_leaves_colors(profile):
    color = SlideColor(profile, wanted=True, name="a")
    assert "colors are shown as stored" in color.problem
    assert color.problem.startswith("slide 'a': its color profile cannot be used")
    assert color.state == "unusable"
    assert color.apply(IMAGE) is IMAGE


@pytest.mark.parametrize("profile", [b"profile", gray_profile(), CMYK])
def test_an_unusable_profile_is_one_warning(tmp_path, profile):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, IMAGE, compression="lzw", iccprofile=profile)
    with pytest.warns(ColorWarning, match="colors are shown as stored") as caught:
        slide = open_slide(path, icc=True)
    assert len(caught) == 1
    with slide:
        assert (slide.read_region(0, 0, 0, *IMAGE.shape[:2]) == IMAGE).all()
        facts = slide.info()
        assert facts["icc"] == "unusable"
        assert facts["icc_problem"] == slide.color_problem
    with open_quietly(path, icc=True) as slide, open_slide(path) as unwanted:
        assert slide.color_problem
        assert not unwanted.color_problem


def test_a_profile_of_other_than_rgb_colors_is_unusable():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    with pytest.raises(ValueError, match="RGB"):
        ColorTransform(lab)


def test_an_unwanted_profile_is_not_even_read():
    color = SlideColor(b"profile", wanted=False, name="a")
    assert (color.state, color.problem) == ("off", "")
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


def test_the_profile_of_srgb_itself_costs_nothing(tmp_path):
    color = SlideColor(SRGB, wanted=True, name="a")
    assert color.state == "applied"
    assert color.apply(IMAGE) is IMAGE
    assert color.is_stored
    other = SlideColor(matrix_profile(gamma=1.8), wanted=True, name="a")
    assert not other.is_stored
    assert not ColorTransform(matrix_profile(gamma=2.15)).is_identity


def test_slides_in_srgb_share_tiles_with_those_as_stored(tmp_path):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, IMAGE, compression="lzw", iccprofile=SRGB)
    with open_slide(path, icc=True) as shown, open_slide(path) as stored:
        shown.read_region(0, 0, 0, 64, 64)
        kept = shared_memory().size_bytes
        stored.read_region(0, 0, 0, 64, 64)
        assert shared_memory().size_bytes == kept > 0
