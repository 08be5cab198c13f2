import numpy as np
import pytest
import torch

from builders.patches import RandomPatches
from napari_mmsubtype.errors import DeviceLostError
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.trial import (
    random_images,
    sample_patches,
    try_patches,
)
from napari_mmsubtype.models.registry import create_encoder

CPU = Processor(torch.device("cpu"), None)
SIZE = 64


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return prepare(create_encoder("demo-cnn", input_size=SIZE), CPU)


def test_patches_are_taken_from_all_over_the_slide():
    source = RandomPatches(100, SIZE)
    assert sample_patches(source).shape == (16, SIZE, SIZE, 3)
    assert (source.reads[0], source.reads[-1]) == (0, 99)
    assert set(np.diff(source.reads)) == {6, 7}


def test_no_patch_of_a_short_slide_is_taken_twice():
    source = RandomPatches(5, SIZE)
    assert len(sample_patches(source)) == 5
    assert source.reads == [0, 1, 2, 3, 4]


def test_damaged_patches_are_left_out():
    some = sample_patches(RandomPatches(100, SIZE, damaged=[0, 99]))
    whole = sample_patches(RandomPatches(100, SIZE))
    np.testing.assert_array_equal(some, whole[1:-1])
    assert len(sample_patches(RandomPatches(100, SIZE, damaged=range(100)))) == 0


def test_they_get_the_colors_of_the_run():
    source = RandomPatches(3, SIZE)
    plain = sample_patches(source)
    found = sample_patches(source, lambda pixels: 255 - pixels)
    np.testing.assert_array_equal(found, 255 - plain)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_trial_gives_the_embeddings_of_the_patches(encoder, count):
    pixels = sample_patches(RandomPatches(count, SIZE))
    rows, seconds = try_patches(encoder, pixels, CPU)
    with torch.inference_mode():
        expected = encoder(encoder.normalize(torch.from_numpy(pixels)))
    np.testing.assert_allclose(rows, expected.numpy(), rtol=1e-5, atol=1e-5)
    assert 0 < seconds < 60


def test_the_faster_half_counts(encoder, monkeypatch):
    ticks = iter([0.0, 8.0, 10.0, 12.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    pixels = sample_patches(RandomPatches(8, SIZE))
    assert try_patches(encoder, pixels, CPU)[1] == 0.5


def test_a_device_that_is_lost_in_the_trial_is_told(encoder, monkeypatch):
    def _lose(_):
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(encoder, "feature_map", _lose)
    with pytest.raises(DeviceLostError, match="stopped answering"):
        try_patches(encoder, sample_patches(RandomPatches(2, SIZE)), CPU)


def test_random_images_are_the_same_every_time_and_laid_out_as_batches_are(encoder):
    images = random_images(encoder, 3, SIZE, CPU.device)
    assert images.shape == (3, 3, SIZE, SIZE)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, random_images(encoder, 3, SIZE, CPU.device))
    black, white = (
        encoder.normalize(torch.full((1, 1, 1, 3), value, dtype=torch.uint8))
        for value in (0, 255)
    )
    assert torch.equal(images.amin((0, 2, 3)), black.flatten())
    assert torch.equal(images.amax((0, 2, 3)), white.flatten())
