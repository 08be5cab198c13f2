import threading

import numpy as np
import pytest
import torch

from builders.jpeg_sources import read_all, source_over
from builders.slides import break_tile, draw_scene
from builders.slides_jpeg import write_jpeg_tiff
from napari_mmsubtype.core.quality_spec import QualitySpec
from napari_mmsubtype.errors import DeviceLostError, SlideChangedError
from napari_mmsubtype.inference import device_patches, device_stream
from napari_mmsubtype.inference.batch_limit import BatchLimit
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.device_patches import open_device_patches
from napari_mmsubtype.inference.device_stream import read_on_device
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.forward import forward_batches
from napari_mmsubtype.inference.stream import read_batches
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.slides.quality_measures import MEASURES, PatchMeter
from napari_mmsubtype.slides.registry import open_slide

CPU = torch.device("cpu")
SIZE = 96
BATCH = 9


@pytest.fixture
def path(tmp_path):
    return write_jpeg_tiff(tmp_path / "a.tif", draw_scene(700, 900), subsampling="420")


@pytest.fixture
def slide(path):
    with open_slide(path) as opened:
        yield opened


def batches_of(source):
    count = len(source)
    return [range(s, min(s + BATCH, count)) for s in range(0, count, BATCH)]


def both(slide, **options):
    """Batches by the device and by threads of the CPU."""
    source = source_over(slide)
    patches = open_device_patches(source, CPU)
    batches = batches_of(source)
    found = list(read_on_device(patches, batches, SIZE, **options))
    return patches, found, list(read_batches(source, batches, SIZE, **options))


def assert_same(found, expected):
    assert len(found) == len(expected) > 3
    for one, other in zip(found, expected, strict=True):
        assert one.start == other.start
        np.testing.assert_array_equal(np.asarray(one.pixels), other.pixels)
        np.testing.assert_array_equal(one.readable, other.readable)
        np.testing.assert_array_equal(one.measures, other.measures)


def test_batches_are_those_that_threads_read(slide):
    patches, found, expected = both(slide)
    assert_same(found, expected)
    assert all(isinstance(batch.pixels, torch.Tensor) for batch in found)
    assert patches._pool is None


def test_quality_is_measured_as_ever_beside_a_damaged_tile(path):
    break_tile(path, 0, 9)
    meter = PatchMeter(QualitySpec(), SIZE, 0.5)
    with open_slide(path) as slide:
        _, found, expected = both(slide, measure=meter, measures=len(MEASURES))
    assert_same(found, expected)
    lost = np.concatenate([~batch.readable for batch in found])
    measures = np.concatenate([batch.measures for batch in found])
    assert 0 < lost.sum() < 6
    np.testing.assert_array_equal(np.isnan(measures).all(axis=1), lost)
    assert all(isinstance(batch.pixels, torch.Tensor) for batch in found)


def test_transformed_patches_come_as_arrays_in_the_room_that_was_made(path):
    break_tile(path, 0, 9)
    rooms = []

    def room(shape):
        rooms.append(np.zeros(shape, np.uint8))
        return rooms[-1]

    def measure(pixels):
        return pixels.reshape(len(pixels), -1).mean(axis=1, keepdims=True)

    options = {"measure": measure, "measures": 1, "transform": lambda p: 255 - p}
    with open_slide(path) as slide:
        source = source_over(slide)
        batches = batches_of(source)
        patches = open_device_patches(source, CPU)
        found = list(read_on_device(patches, batches, SIZE, room=room, **options))
        assert_same(found, list(read_batches(source, batches, SIZE, **options)))
    for batch, made in zip(found, rooms, strict=True):
        assert batch.pixels is made
    # A patch that cannot be read stays white, and is not measured.
    lost = np.concatenate([~batch.readable for batch in found])
    pixels = np.concatenate([batch.pixels for batch in found])
    assert 0 < lost.sum() < 6
    assert (pixels[lost] == 255).all()
    measures = np.concatenate([batch.measures[:, 0] for batch in found])
    inverted = pixels[~lost].reshape(np.count_nonzero(~lost), -1).mean(axis=1)
    np.testing.assert_allclose(measures[~lost], 255 - inverted, rtol=1e-4)


def test_only_a_few_batches_are_ahead_and_closing_ends_the_threads(slide, monkeypatch):
    source = source_over(slide)
    patches = open_device_patches(source, CPU)
    loaded = []
    load = patches.load
    monkeypatch.setattr(
        patches, "load", lambda part: loaded.append(part.start) or load(part)
    )
    stream = read_on_device(patches, batches_of(source), SIZE)
    next(stream)
    stream.close()
    # What was handed to the thread but not begun is given up.
    assert loaded in ([0], [0, 9], [0, 9, 18])
    names = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith("mmsubtype-") for name in names)
    assert patches._pool is None


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        ImportError("cannot import name 'decode_jpeg'"),
        TypeError("decode_jpeg() got an unexpected keyword"),
        MemoryError(),
    ],
)
def test_where_the_device_fails_threads_go_on_from_there(
    slide, monkeypatch, caplog, error
):
    calls = []
    real = device_patches.decode_streams

    def fail_later(streams, device):
        calls.append(len(streams))
        if len(calls) > 2:
            raise error
        return real(streams, device)

    monkeypatch.setattr(device_patches, "decode_streams", fail_later)
    patches, found, expected = both(slide)
    assert_same(found, expected)
    kinds = [type(batch.pixels) for batch in found]
    assert kinds[0] is torch.Tensor
    assert kinds[-1] is np.ndarray
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    reason = str(error) or "MemoryError"
    assert told == [
        f"tiles of slide a are decoded by the CPU from now on; on cpu: {reason}"
    ]
    # And it is not tried again, as in the pass that draws maps.
    tried = len(calls)
    source = source_over(slide)
    assert_same(list(read_on_device(patches, batches_of(source), SIZE)), expected)
    assert len(calls) == tried


def test_a_lost_device_and_a_changed_slide_end_the_reading(slide, monkeypatch):
    source = source_over(slide)
    patches = open_device_patches(source, CPU)

    def lose(_):
        msg = "CUDA error: unspecified launch failure"
        raise RuntimeError(msg)

    monkeypatch.setattr(patches, "load", lose)
    with pytest.raises(DeviceLostError, match="stopped answering"):
        list(read_on_device(patches, batches_of(source), SIZE))

    def change(_):
        raise SlideChangedError("the slide is another one")

    monkeypatch.setattr(patches, "load", change)
    with pytest.raises(SlideChangedError, match="another one"):
        list(read_on_device(patches, batches_of(source), SIZE))
    assert not patches.failure


def test_the_network_gives_the_same_numbers_both_ways(slide):
    torch.manual_seed(0)
    processor = Processor(CPU, None)
    encoder = prepare(create_encoder("demo-cnn"), processor)
    source = source_over(slide)
    limit = BatchLimit(BATCH, CPU, "tiny")
    # Parts of a batch that do not fit at once.
    limit.size = 5

    def embed(patches):
        stream = forward_batches(
            encoder,
            patches,
            batches_of(source),
            processor,
            SIZE,
            lambda features, _: [features.mean((2, 3))],
            limit,
        )
        return np.concatenate([rows for _, (rows,) in stream])

    patches = open_device_patches(source, CPU)
    used = []
    load = patches.load
    patches.load = lambda part: used.append(part) or load(part)
    np.testing.assert_array_equal(embed(patches), embed(source))
    assert len(used) == len(batches_of(source))


def test_depth_bounds_what_is_loaded(monkeypatch):
    monkeypatch.setattr(device_stream, "DEPTH", 1)
    story = []

    def load(_helpers, indices):
        story.append(indices.start)
        return indices

    stream = device_stream._load_ahead(load, [range(i, i + 1) for i in range(5)], 1)
    seen = []
    for batch in stream:
        seen.append(batch.start)
        assert len(story) <= len(seen) + 1
    assert seen == story == [0, 1, 2, 3, 4]


@pytest.mark.gpu
def test_a_gpu_decodes_beside_the_network(slide):
    torch.manual_seed(0)
    processor = Processor(torch.device("cuda"), None)
    encoder = prepare(create_encoder("demo-cnn"), processor)
    source = source_over(slide)
    limit = BatchLimit(BATCH, processor.device, "tiny")

    def embed(patches):
        stream = forward_batches(
            encoder,
            patches,
            batches_of(source),
            processor,
            SIZE,
            lambda features, _: [features.mean((2, 3))],
            limit,
        )
        return np.concatenate([rows for _, (rows,) in stream])

    patches = open_device_patches(source, processor.device)
    found, expected = embed(patches), embed(source)
    assert not patches.failure
    scale = np.abs(expected).max()
    assert np.abs(found - expected).mean() < 0.02 * scale


def test_unreadable_patches_are_white(path):
    break_tile(path, 0, 9)
    with open_slide(path) as slide:
        patches, found, _ = both(slide)
        expected, readable = read_all(source_over(slide))
    pixels = np.concatenate([np.asarray(batch.pixels) for batch in found])
    np.testing.assert_array_equal(pixels, expected)
    assert (pixels[~readable] == 255).all()
    assert not patches.failure
