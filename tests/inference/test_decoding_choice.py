import dataclasses
import logging

import numpy as np
import pytest
import torch

from builders.jpeg_sources import source_over
from builders.slides import draw_scene, write_pyramid_tiff
from builders.slides_jpeg import write_jpeg_tiff
from builders.stores import begin_store
from napari_mmsubtype.inference import agreement, decoding_choice, device_patches
from napari_mmsubtype.inference.batch_limit import BatchLimit
from napari_mmsubtype.inference.decoding_choice import (
    FACT,
    FELL_BACK,
    FILE_NAME,
    choose_source,
    record_decoding,
)
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.device_patches import DevicePatches
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.known_numbers import KnownNumbers
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.results.store_writer import StoreWriter
from napari_mmsubtype.slides.registry import open_slide

CPU = Processor(torch.device("cpu"), None)
SIZE, BATCH = 96, 8
IMAGE = draw_scene(700, 900)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return prepare(create_encoder("demo-cnn"), CPU)


@pytest.fixture
def slide(tmp_path):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE, shared=True)
    with open_slide(path) as opened:
        yield opened


@pytest.fixture
def writer(tmp_path):
    return begin_store(tmp_path)


@pytest.fixture
def clock(monkeypatch, tmp_path):
    """What runs take; the CPU counts as a device, and small slides repay a trial."""
    monkeypatch.setenv("MMSUBTYPE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(decoding_choice, "DEVICES", ("cpu",))
    monkeypatch.setattr(decoding_choice, "_MIN_BATCHES", 10)
    seconds = {"device": 1.0, "cpu": 2.0, "runs": []}
    real = decoding_choice._Trial.run

    def timed(self, source, batches):
        kind = "device" if isinstance(source, DevicePatches) else "cpu"
        seconds["runs"].append((kind, [part.start for part in batches]))
        run = real(self, source, batches)
        assert run.seconds > 0
        return dataclasses.replace(run, seconds=seconds[kind])

    monkeypatch.setattr(decoding_choice._Trial, "run", timed)
    return seconds


def choose(encoder, slide, writer, processor=CPU, batch_size=BATCH, **options):
    source = source_over(slide, size_px=SIZE)
    return choose_source(
        source,
        encoder,
        writer,
        processor,
        size_px=SIZE,
        batch_size=batch_size,
        limit=BatchLimit(batch_size, processor.device, "tiny"),
        **options,
    )


def fact_of(writer):
    return StoreWriter(writer.path).attributes["provenance"].get(FACT)


def begin(writer):
    writer.write_patches(0, np.ones(1, np.uint8), np.ones((1, 5)), None)


def warnings_of(caplog):
    return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]


def test_the_cpu_is_no_such_device(encoder, slide, writer):
    assert not isinstance(choose(encoder, slide, writer), DevicePatches)
    assert decoding_choice.DEVICES == ("cuda",)


def test_the_faster_device_is_taken_and_the_store_says_so(
    encoder, slide, writer, clock, caplog
):
    caplog.set_level(logging.INFO)
    found = choose(encoder, slide, writer)
    assert isinstance(found, DevicePatches)
    assert fact_of(writer) == "cpu"
    # Whole batches as the run forms them, around the middle; the device goes first.
    middle = [16, 24, 32, 40, 48]
    assert clock["runs"] == [
        ("device", middle[:1]),
        ("cpu", middle[:1]),
        ("device", middle[1:]),
        ("cpu", middle[1:]),
    ]
    assert "50 % of the time, decoded on cpu" in caplog.text
    record_decoding(found, writer, CPU)
    assert fact_of(writer) == "cpu"


@pytest.mark.parametrize(("seconds", "taken"), [(1.78, True), (1.82, False)])
def test_the_measurement_decides_and_is_remembered(
    encoder, slide, writer, clock, seconds, taken
):
    clock["device"] = seconds
    assert isinstance(choose(encoder, slide, writer), DevicePatches) == taken
    assert (fact_of(writer) is not None) == taken
    assert len(clock["runs"]) == 4
    # What does not pay is not tried again; what does is compared on every slide.
    assert isinstance(choose(encoder, slide, writer), DevicePatches) == taken
    assert len(clock["runs"]) == (8 if taken else 4)


def test_the_number_is_of_this_network_size_and_tile(encoder, slide, writer, clock):
    choose(encoder, slide, writer)
    text = KnownNumbers.of_user(FILE_NAME)._path.read_text(encoding="utf-8")
    (key,) = (word for word in text.split('"') if "demo-cnn" in word)
    for part in ("cpu", "96 px of 96 x 96 px", "tiles of 128 x 128 px", "CPUs"):
        assert part in key
    assert key.endswith("float32")


def test_a_short_slide_does_not_repay_the_trial(encoder, slide, writer, clock):
    assert len(source_over(slide, size_px=SIZE)) == 80
    assert not isinstance(choose(encoder, slide, writer, batch_size=9), DevicePatches)
    assert clock["runs"] == []
    assert isinstance(choose(encoder, slide, writer, batch_size=8), DevicePatches)


def test_a_slide_of_other_tiles_is_not_tried(encoder, writer, clock, tmp_path):
    write_pyramid_tiff(tmp_path / "b.tif", IMAGE, compression="deflate")
    with open_slide(tmp_path / "b.tif") as slide:
        assert not isinstance(choose(encoder, slide, writer), DevicePatches)
    assert clock["runs"] == []


def change_pixels(monkeypatch, change):
    real = device_patches.decode_streams
    monkeypatch.setattr(
        device_patches, "decode_streams", lambda s, device: change(real(s, device))
    )


def forget_colors(tiles):
    """As a decoder that takes RGB for YCbCr."""
    y, cb, cr = (tiles[..., i].float() for i in range(3))
    rgb = (
        y + 1.402 * (cr - 128),
        y - 0.344 * (cb - 128) - 0.714 * (cr - 128),
        y + 1.772 * (cb - 128),
    )
    return torch.stack(rgb, dim=-1).round().clamp(0, 255).to(torch.uint8)


def test_a_decoder_that_gives_other_colors_is_refused(
    encoder, slide, writer, clock, monkeypatch, caplog
):
    change_pixels(monkeypatch, forget_colors)
    assert not isinstance(choose(encoder, slide, writer), DevicePatches)
    assert fact_of(writer) is None
    (line,) = warnings_of(caplog)
    assert line.startswith("tiles of slide a are decoded by the CPU: on cpu, pixels of")
    # Nothing was timed, for that would not change it.
    assert len(clock["runs"]) == 2
    assert KnownNumbers.of_user(FILE_NAME)._read() == {}


@pytest.mark.parametrize(("levels", "taken"), [(1, True), (2, False)])
def test_a_grey_level_is_the_limit(
    encoder, slide, writer, clock, monkeypatch, levels, taken
):
    monkeypatch.setattr(agreement, "MIN_COSINE", -1.0)
    monkeypatch.setattr(agreement, "MIN_CENTERED", -1.0)
    change_pixels(monkeypatch, lambda tiles: tiles.clamp(max=250) + levels)
    slide._backend.read_tile = lambda *at, read=slide._backend.read_tile: np.minimum(
        read(*at), 250
    )
    assert isinstance(choose(encoder, slide, writer), DevicePatches) == taken


def test_embeddings_that_differ_more_than_they_may_are_refused(
    encoder, slide, writer, clock, monkeypatch, caplog
):
    change_pixels(monkeypatch, lambda tiles: tiles.clamp(max=250) + 1)
    monkeypatch.setattr(agreement, "MIN_COSINE", 1.0)
    assert not isinstance(choose(encoder, slide, writer), DevicePatches)
    (line,) = warnings_of(caplog)
    assert "embeddings agree to" in line


def test_a_device_that_loses_other_patches_is_refused(
    encoder, slide, writer, clock, monkeypatch, caplog
):
    load = DevicePatches.load

    def lose_one(self, indices):
        pixels, readable = load(self, indices)
        readable[2] = False
        return pixels, readable

    monkeypatch.setattr(DevicePatches, "load", lose_one)
    assert not isinstance(choose(encoder, slide, writer), DevicePatches)
    (line,) = warnings_of(caplog)
    assert line.endswith("on cpu, other patches are readable")


def test_a_device_that_fails_in_the_trial_says_so_in_one_line(
    encoder, slide, writer, clock, monkeypatch, caplog
):
    def fail(_streams, _device):
        msg = "Couldn't load the image extension."
        raise RuntimeError(msg)

    monkeypatch.setattr(device_patches, "decode_streams", fail)
    assert not isinstance(choose(encoder, slide, writer), DevicePatches)
    (line,) = warnings_of(caplog)
    assert "Couldn't load the image extension" in line
    assert fact_of(writer) is None


def test_a_resumed_run_goes_on_as_it_was_begun(encoder, slide, writer, clock):
    assert isinstance(choose(encoder, slide, writer), DevicePatches)
    begin(writer)
    clock["runs"].clear()
    clock["device"] = 100.0
    assert isinstance(choose(encoder, slide, writer), DevicePatches)
    # Compared once more, not timed.
    assert clock["runs"] == [("device", [16]), ("cpu", [16])]


def test_a_run_that_was_begun_by_the_cpu_stays_there(encoder, slide, writer, clock):
    begin(writer)
    assert not isinstance(choose(encoder, slide, writer), DevicePatches)
    assert clock["runs"] == []


def test_a_resumed_run_says_where_the_device_cannot_go_on(
    encoder, slide, writer, clock, monkeypatch, caplog
):
    assert isinstance(choose(encoder, slide, writer), DevicePatches)
    begin(writer)
    change_pixels(monkeypatch, forget_colors)
    assert not isinstance(choose(encoder, slide, writer), DevicePatches)
    assert "were decoded on the GPU, which cannot go on" in warnings_of(caplog)[-1]


def test_a_device_that_failed_on_the_way_is_in_the_provenance(
    encoder, slide, writer, clock
):
    found = choose(encoder, slide, writer)
    found.give_up("out of memory")
    record_decoding(found, writer, CPU)
    assert fact_of(writer) == FELL_BACK
    begin(writer)
    # The CPU did the rest, and so it does when the run is resumed.
    assert not isinstance(choose(encoder, slide, writer), DevicePatches)
    record_decoding(source_over(slide), writer, CPU)
    assert fact_of(writer) == FELL_BACK


@pytest.mark.gpu
@pytest.mark.parametrize(
    "options",
    [{}, {"subsampling": "420"}, {"rgb": True, "shared": True, "markers": False}],
)
def test_what_a_gpu_is_trusted_with_is_right(
    tmp_path, writer, clock, monkeypatch, options
):
    monkeypatch.setattr(decoding_choice, "DEVICES", ("cuda",))
    cuda = Processor(torch.device("cuda"), None)
    torch.manual_seed(0)
    encoder = prepare(create_encoder("demo-cnn"), cuda)
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE, **options)
    with open_slide(path) as slide:
        found = choose(encoder, slide, writer, processor=cuda)
        # One that knows no RGB streams, or repeats chroma, is refused rightly.
        if isinstance(found, DevicePatches):
            pixels, _ = found.load(range(len(found)))
            expected = np.stack([found.read(i) for i in range(len(found))])
            change = np.abs(pixels.cpu().numpy().astype(int) - expected)
            assert change.mean(axis=(1, 2, 3)).max() <= 1
            assert fact_of(writer) == "cuda"
        else:
            assert options
            assert fact_of(writer) is None
