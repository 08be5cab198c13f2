import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_mmsubtype.inference.device_resize import resize_area_on_device
from napari_mmsubtype.slides.area_resize import resize_area

SIDES = st.integers(1, 60)


def noise(*shape):
    return np.random.default_rng(shape[1]).integers(0, 256, (*shape, 3), np.uint8)


def both(images, height, width, device="cpu"):
    found = resize_area_on_device(torch.from_numpy(images).to(device), height, width)
    assert (found.dtype, found.device.type) == (torch.uint8, device)
    expected = np.stack([resize_area(image, height, width) for image in images])
    return found.cpu().numpy(), expected


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5, 8])
def test_whole_factors_give_the_very_pixels(factor):
    found, expected = both(noise(2, 24 * factor, 24 * factor), 24, 24)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("read", "size"), [(257, 256), (300, 224), (448, 300), (135, 224), (447, 224)]
)
def test_other_factors_give_the_pixels_but_for_ties(read, size):
    found, expected = both(noise(2, read, read), size, size)
    change = np.abs(found.astype(int) - expected)
    assert change.max() <= 1
    assert change.mean() < 1e-3


@settings(max_examples=50, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_any_size_is_the_same_as_on_the_cpu(rows, cols, height, width):
    found, expected = both(noise(1, rows, cols), height, width)
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.gpu
@pytest.mark.parametrize(("read", "size"), [(448, 224), (300, 224), (135, 224)])
def test_a_gpu_resizes_as_the_cpu(read, size):
    found, expected = both(noise(8, read, read), size, size, device="cuda")
    change = np.abs(found.astype(int) - expected)
    assert change.max() <= 1
    assert change.mean() < 1e-2
