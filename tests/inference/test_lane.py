from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch

from builders.patches import RandomPatches
from napari_mmsubtype.inference import forward
from napari_mmsubtype.inference import lane as lane_module
from napari_mmsubtype.inference.batch_limit import BatchLimit
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.forward import forward_batches
from napari_mmsubtype.inference.lane import CudaLane, Lane, open_lane, stream_of
from napari_mmsubtype.models.registry import create_encoder

CPU = torch.device("cpu")
SIZE = 32


class LateLane(Lane):
    """As for a GPU: numbers arrive when they are asked for, one batch later."""

    ahead = 1

    def __init__(self):
        super().__init__(CPU)
        self.story = []

    def room(self, shape):
        self.story.append(("room", shape))
        return super().room(shape)

    def send(self, pixels):
        self.story.append("send")
        return super().send(pixels)

    def fetch(self, tensors, sent):
        def arrive():
            self.story.append("arrive")
            return [tensor.numpy() for tensor in tensors]

        return arrive


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return prepare(create_encoder("demo-cnn"), Processor(CPU, None))


def embed(encoder, count=10, size=4, processor=None, limit=None, patches=None):
    processor = processor or Processor(CPU, None)
    stream = forward_batches(
        encoder,
        patches or RandomPatches(count, SIZE, damaged=[6]),
        [range(s, min(s + size, count)) for s in range(0, count, size)],
        processor,
        SIZE,
        lambda features, _: [features.mean((2, 3)), features.amax((2, 3))],
        limit or BatchLimit(size, processor.device, "tiny"),
    )
    return list(stream)


def assert_same(found, expected):
    for (batch, arrays), (other, wanted) in zip(found, expected, strict=True):
        assert batch.start == other.start
        np.testing.assert_array_equal(batch.readable, other.readable)
        for one, two in zip(arrays, wanted, strict=True):
            np.testing.assert_array_equal(one, two)


def test_the_next_batch_is_sent_before_the_numbers_of_the_last_are_waited_for(
    encoder, monkeypatch
):
    expected = embed(encoder)
    lane = LateLane()
    monkeypatch.setattr(forward, "open_lane", lambda _: lane)
    found = embed(encoder)
    assert_same(found, expected)
    steps = [step for step in lane.story if isinstance(step, str)]
    assert steps == ["send", "send", "arrive", "send", "arrive", "arrive"]
    rooms = [step[1] for step in lane.story if not isinstance(step, str)]
    assert rooms == [(4, SIZE, SIZE, 3)] * 2 + [(2, SIZE, SIZE, 3)]


def test_parts_of_a_batch_that_did_not_fit_arrive_in_order(encoder, monkeypatch):
    limit = BatchLimit(4, CPU, "tiny")
    limit.size = 3
    expected = embed(encoder, limit=BatchLimit(3, CPU, "tiny"))
    monkeypatch.setattr(forward, "open_lane", lambda _: LateLane())
    assert_same(embed(encoder, limit=limit), expected)


def test_numbers_of_the_plain_lane_are_there_at_once():
    lane = open_lane(CPU)
    assert type(lane) is Lane
    assert lane.ahead == 0
    pixels = lane.room((2, 4, 4, 3))
    pixels[:] = 7
    tensor = lane.send(pixels)
    assert tensor.dtype == torch.uint8
    (found,) = lane.fetch([tensor], tensor)()
    np.testing.assert_array_equal(found, pixels)


def test_where_pinned_memory_is_short_ordinary_memory_serves(monkeypatch, caplog):
    def refuse(*_, pin_memory=False, **__):
        assert pin_memory
        raise RuntimeError("CUDA error: out of memory")

    lane = CudaLane.__new__(CudaLane)
    monkeypatch.setattr(torch, "empty", refuse)
    caplog.set_level("DEBUG")
    room = lane.room((2, 4, 4, 3))
    assert (room.shape, room.dtype) == ((2, 4, 4, 3), np.uint8)
    assert "no pinned memory for (2, 4, 4, 3)" in caplog.text


@pytest.mark.gpu
def test_patches_cross_to_the_gpu_and_back_unchanged():
    lane = open_lane(torch.device("cuda"))
    assert isinstance(lane, CudaLane)
    arrivals, sent = [], []
    draw = np.random.default_rng(0)
    for _ in range(6):
        pixels = lane.room((64, 224, 224, 3))
        assert torch.from_numpy(pixels).is_pinned()
        pixels[:] = draw.integers(0, 256, pixels.shape, np.uint8)
        sent.append(pixels)
        tensor = lane.send(pixels)
        assert tensor.device.type == "cuda"
        means = tensor.float().mean((1, 2, 3))
        arrivals.append(lane.fetch([tensor, means], tensor))
    for pixels, arrive in zip(sent, arrivals, strict=True):
        same, means = arrive()
        np.testing.assert_array_equal(same, pixels)
        np.testing.assert_allclose(means, pixels.mean((1, 2, 3)), rtol=1e-4)


@pytest.mark.gpu
def test_the_gpu_gives_the_numbers_of_the_cpu(encoder):
    expected = embed(encoder, count=40, size=8)
    gpu = Processor(torch.device("cuda"), None)
    torch.manual_seed(0)
    moved = prepare(create_encoder("demo-cnn"), gpu)
    for (batch, arrays), (other, wanted) in zip(
        embed(moved, count=40, size=8, processor=gpu), expected, strict=True
    ):
        assert batch.start == other.start
        for one, two in zip(arrays, wanted, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-2, atol=1e-3)


def test_a_device_has_one_stream_for_each_purpose(monkeypatch):
    made = []

    class Stream:
        def __init__(self, index, priority):
            made.append((index, priority))

    @contextmanager
    def at(device):
        indices.append(device.index or 0)
        yield
        indices.pop()

    indices = []
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "device", at)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: indices[-1])
    monkeypatch.setattr(lane_module, "_stream", cache(lane_module._stream.__wrapped__))
    card, other = torch.device("cuda"), torch.device("cuda:1")
    copies = stream_of(card, "copies")
    assert stream_of(torch.device("cuda:0"), "copies") is copies
    assert stream_of(card, "tiles") is not copies
    assert stream_of(other, "copies") is not copies
    assert made == [(0, -1), (0, -1), (1, -1)]
