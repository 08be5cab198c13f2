import logging

import numpy as np
import pytest
import torch

from builders.patches import RandomPatches
from builders.tape import Tape
from napari_mmsubtype.inference import recorded_encoder
from napari_mmsubtype.inference.batch_limit import BatchLimit
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.forward import forward_batches
from napari_mmsubtype.inference.recorded_encoder import (
    MIN_BATCHES,
    RecordedEncoder,
    choose_recorded,
)
from napari_mmsubtype.models.registry import create_encoder

CPU = Processor(torch.device("cpu"), None)
SIZE = 32
BATCH = 4
LONG = MIN_BATCHES * BATCH


class Detuned(Tape):
    """Differs in the last bit of one number."""

    def replay(self, images):
        features = super().replay(images)
        first = features[0, 0, 0, :1]
        first.copy_(torch.nextafter(first, first + 1))
        return features


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return prepare(create_encoder("demo-cnn", input_size=SIZE), CPU)


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A CPU that can be recorded, with a clock of its own and no memories."""
    monkeypatch.setenv("MMSUBTYPE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(recorded_encoder, "DEVICES", ("cpu",))
    seconds = {"plain": 1.0, "recorded": 0.5}

    def timed(encoder, images, processor):
        assert images.shape[1:] == (3, SIZE, SIZE)
        kind = "recorded" if isinstance(encoder, RecordedEncoder) else "plain"
        seconds["timed"] = [*seconds.get("timed", []), kind]
        return seconds[kind]

    monkeypatch.setattr(recorded_encoder, "_seconds", timed)
    return seconds


def told_seconds(encoder, images, processor):
    return 0.5 if isinstance(encoder, RecordedEncoder) else 1.0


class Unplayed(Tape):
    """Never does again what was recorded."""

    def replay(self, images):
        return self.features


def choose(encoder, count=LONG, processor=CPU, record=Tape, **more):
    words = {"size_px": SIZE, "batch_size": BATCH, "count": count, **more}
    return choose_recorded(encoder, processor, record=record, **words)


def embed(encoder, count, processor=CPU):
    stream = forward_batches(
        encoder,
        RandomPatches(count, SIZE),
        [range(s, min(s + BATCH, count)) for s in range(0, count, BATCH)],
        processor,
        SIZE,
        lambda features, _: [features.mean((2, 3))],
        BatchLimit(BATCH, processor.device, "tiny"),
    )
    return np.concatenate([arrays[0] for _, arrays in stream])


@pytest.mark.parametrize("kind", [None, torch.bfloat16])
def test_a_slide_has_the_same_numbers_and_its_rest_is_not_replayed(encoder, kind):
    processor = Processor(CPU.device, kind)
    tapes = []

    def record(work, images):
        tapes.append(Tape(work, images))
        return tapes[0]

    recorded = choose(encoder, processor=processor, record=record)
    assert isinstance(recorded, RecordedEncoder)
    assert (recorded.name, recorded.cells) == (encoder.name, encoder.cells)
    before = tapes[0].replays
    count = 5 * BATCH + 1
    np.testing.assert_array_equal(
        embed(recorded, count, processor), embed(encoder, count, processor)
    )
    assert tapes[0].replays == before + 5


def test_images_in_another_layout_run_step_by_step(encoder):
    recorded = choose(encoder)
    images = encoder.normalize(torch.zeros(BATCH, SIZE, SIZE, 3, dtype=torch.uint8))
    replays = recorded._recording.replays
    with torch.inference_mode():
        recorded.feature_map(images.contiguous())
        assert recorded._recording.replays == replays
        recorded.feature_map(images.contiguous(memory_format=torch.channels_last))
    assert recorded._recording.replays == replays + 1


def test_a_short_slide_does_not_repay_the_trial(encoder, machine):
    assert choose(encoder, count=LONG - 1) is encoder
    assert "timed" not in machine


def test_what_is_no_faster_is_left_and_not_tried_again(encoder, machine):
    machine["recorded"] = 0.98
    assert choose(encoder) is encoder
    machine["recorded"] = 0.1
    timed = len(machine["timed"])
    assert choose(encoder) is encoder
    assert len(machine["timed"]) == timed
    assert isinstance(choose(encoder, batch_size=BATCH + 1, count=900), RecordedEncoder)


@pytest.mark.parametrize("record", [Detuned, Unplayed])
def test_other_numbers_are_not_taken(encoder, caplog, record):
    assert choose(encoder, record=record) is encoder
    assert "gives other numbers when it is recorded" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("operation not permitted when stream is capturing\nmore"),
    ],
)
def test_a_recording_that_fails_leaves_the_encoder_as_it_is(encoder, caplog, error):
    def refuse(work, images):
        raise error

    caplog.set_level(logging.INFO)
    assert choose(encoder, record=refuse) is encoder
    assert f"step by step, because {str(error).splitlines()[0]}" in caplog.text


def test_each_timed_batch_lowers_its_weights_anew_as_in_a_run(encoder, monkeypatch):
    monkeypatch.undo()
    entered = []

    class Watched(Processor):
        def autocasting(self):
            entered.append(self.precision)
            return super().autocasting()

    low = Watched(CPU.device, torch.bfloat16)
    images = torch.zeros(1, 3, SIZE, SIZE)
    with torch.inference_mode():
        assert recorded_encoder._seconds(encoder, images, low) > 0
    assert entered == ["bfloat16"] * recorded_encoder._TIMED


def test_a_cpu_is_left_alone(encoder, monkeypatch):
    monkeypatch.undo()
    assert choose(encoder, record=None) is encoder


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_card_replays_the_same_numbers(monkeypatch, machine, name):
    monkeypatch.setattr(recorded_encoder, "DEVICES", ("cuda",))
    monkeypatch.setattr(recorded_encoder, "_seconds", told_seconds)
    kind = None if name == "float32" else torch.bfloat16
    processor = Processor(torch.device("cuda"), kind)
    torch.manual_seed(0)
    encoder = prepare(create_encoder("resnet18", input_size=224), processor)
    words = {"size_px": 224, "batch_size": 8, "count": 8 * MIN_BATCHES}
    recorded = choose_recorded(encoder, processor, **words)
    assert isinstance(recorded, RecordedEncoder)
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode(), processor.autocasting():
        for count in (8, 8, 3):
            shape = (count, 224, 224, 3)
            pixels = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
            images = encoder.normalize(pixels.cuda())
            images = images.contiguous(memory_format=torch.channels_last)
            expected = encoder.feature_map(images)
            assert torch.equal(recorded.feature_map(images), expected)
