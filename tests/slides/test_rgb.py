import numpy as np
import pytest
from PIL import Image

from napari_mmsubtype.slides.rgb import require_pixels, to_rgb, ycbcr_to_rgb


def test_grey_becomes_three_equal_samples():
    grey = np.array([[[7], [200]]], np.uint8)
    assert to_rgb(grey).tolist() == [[[7] * 3, [200] * 3]]
    assert to_rgb(grey, inverted=True).tolist() == [[[248] * 3, [55] * 3]]


def test_sixteen_bits_and_one_bit_become_eight():
    assert to_rgb(np.full((1, 1, 3), 0xABCD, np.uint16)).tolist() == [[[0xAB] * 3]]
    assert to_rgb(np.ones((1, 1, 1), np.bool_)).tolist() == [[[255] * 3]]


def test_transparency_goes_over_white():
    rgba = np.array([[[100, 0, 0, 0], [100, 0, 0, 255], [100, 0, 0, 51]]], np.uint8)
    expected = [[[255] * 3, [100, 0, 0], [224, 204, 204]]]
    assert to_rgb(rgba, alpha=True).tolist() == expected
    rgba[0, 2] = [20, 0, 0, 51]
    assert to_rgb(rgba, alpha=True, premultiplied=True)[0, 2].tolist() == expected[0][2]


def test_grey_with_alpha():
    assert to_rgb(np.array([[[10, 255]]], np.uint8), alpha=True).tolist() == [
        [[10] * 3]
    ]


def test_ycbcr_agrees_with_pillow():
    values = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    planes = [Image.fromarray(plane) for plane in np.moveaxis(values, -1, 0)]
    expected = np.asarray(Image.merge("YCbCr", planes).convert("RGB")).astype(int)
    assert np.abs(ycbcr_to_rgb(values) - expected).max() <= 1


@pytest.mark.parametrize("samples", [2, 5])
def test_other_numbers_of_samples_are_refused(samples):
    with pytest.raises(ValueError, match="color samples"):
        to_rgb(np.zeros((1, 1, samples), np.uint8))


def test_other_types_are_refused():
    with pytest.raises(ValueError, match="float32"):
        to_rgb(np.zeros((1, 1, 3), np.float32))


@pytest.mark.parametrize(
    "tile",
    [
        np.zeros((9, 20, 3), np.uint8),
        np.zeros((20, 9, 3), np.uint8),
        np.zeros((20, 20, 1), np.uint8),
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 3), np.uint16),
    ],
)
def test_a_tile_that_lacks_pixels_is_refused(tile):
    with pytest.raises(ValueError, match="10 x 12 px of RGB are expected"):
        require_pixels(tile, (10, 12))


def test_a_tile_with_more_than_its_share_of_the_level_is_taken():
    tile = np.zeros((20, 20, 3), np.uint8)
    assert require_pixels(tile, (10, 12)) is tile
