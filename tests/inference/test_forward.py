"""Patches go through an encoder batch by batch, on a CPU in several threads."""

import gc
import threading
import weakref

import numpy as np
import pytest
import torch

from builders.cores import cores
from builders.patches import RandomPatches
from napari_mmsubtype.errors import DeviceLostError
from napari_mmsubtype.inference import forward
from napari_mmsubtype.inference.batch_limit import BatchLimit
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.draw_cells import draw_cells_job
from napari_mmsubtype.inference.encode import batches_left, prepare
from napari_mmsubtype.inference.forward import forward_batches, reader_threads
from napari_mmsubtype.inference.lane import Lane
from napari_mmsubtype.models.attention_rollout import AttentionTap
from napari_mmsubtype.models.registry import create_encoder

CPU = torch.device("cpu")
SIZE = 64


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return prepare(create_encoder("demo-cnn"), Processor(CPU, None))


def embed(encoder, source, limit, size=16):
    """Embed through the engine; give rows, and the threads that ran the encoder."""
    seen = []
    hook = encoder.body.register_forward_pre_hook(
        lambda *_: seen.append(threading.current_thread().name)
    )
    batches = batches_left(np.zeros(len(source)), size)
    found = forward_batches(
        encoder,
        source,
        batches,
        Processor(CPU, None),
        SIZE,
        lambda features, part: [features.mean((2, 3)), torch.arange(64)[part]],
        limit,
    )
    rows = [arrays for _, arrays in found]
    hook.remove()
    return *(np.concatenate(x) for x in zip(*rows, strict=True)), seen


def test_the_engine_gives_the_numbers_of_whole_batches(encoder):
    source = RandomPatches(20, SIZE)
    with cores(1):
        expected, _, whole = embed(encoder, source, BatchLimit(16, CPU, "demo"))
    with cores(2):
        found, order, teams = embed(encoder, source, BatchLimit(16, CPU, "demo"))
        assert torch.get_num_threads() == 2
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert order.tolist() == list(range(20))
    assert set(whole) == {threading.current_thread().name}
    assert len(teams) == 4
    assert len(set(teams)) == 2


def test_memory_that_runs_out_in_a_team_halves_the_batch(encoder):
    source = RandomPatches(20, SIZE)
    expected, _, _ = embed(encoder, source, BatchLimit(16, CPU, "demo"))
    limit = BatchLimit(16, CPU, "demo")

    def refuse(_module, inputs):
        if len(inputs[0]) > 2:
            msg = "DefaultCPUAllocator: can't allocate memory"
            raise RuntimeError(msg)

    hook = encoder.body.register_forward_pre_hook(refuse)
    try:
        with cores(2):
            found, order, _ = embed(encoder, source, limit)
    finally:
        hook.remove()
    assert limit.size == 4
    assert order.tolist() == list(range(20))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_memory_that_ran_out_while_two_batches_were_under_way_is_tried_again(encoder):
    source = RandomPatches(64, SIZE)
    limit, refused = BatchLimit(16, CPU, "demo"), []

    def refuse_twice(_module, inputs):
        if len(refused) < 2:
            refused.append(len(inputs[0]))
            raise MemoryError("other programs are large")

    hook = encoder.body.register_forward_pre_hook(refuse_twice)
    try:
        with cores(2):
            found, order, _ = embed(encoder, source, limit)
    finally:
        hook.remove()
    assert refused == [8, 8]
    # Once is no reason to go on with less.
    assert limit.size == 16
    assert order.tolist() == list(range(64))
    with cores(1):
        expected, _, _ = embed(encoder, source, BatchLimit(16, CPU, "demo"))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_run_that_is_left_ends_its_threads(encoder):
    before = set(threading.enumerate())
    with cores(2):
        run = forward_batches(
            encoder,
            RandomPatches(64, SIZE),
            batches_left(np.zeros(64), 16),
            Processor(CPU, None),
            SIZE,
            lambda features, _: [features.mean((2, 3))],
            BatchLimit(16, CPU, "demo"),
        )
        next(run)
        assert len(set(threading.enumerate()) - before) >= 4
        run.close()
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize(("count", "expected"), [(1, 2), (2, 2), (6, 6), (64, 8)])
def test_threads_that_read(count, expected, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: count)
    assert reader_threads() == expected


def test_each_team_draws_the_attention_of_its_own_patches():
    torch.manual_seed(0)
    processor = Processor(CPU, None)
    encoder = prepare(create_encoder("vit_s_16", input_size=SIZE), processor)
    tap = AttentionTap(encoder)
    drawn = []
    for count in (1, 2):
        maps = {}
        with cores(count), tap:
            job = draw_cells_job(
                encoder,
                RandomPatches(20, SIZE),
                processor,
                size_px=SIZE,
                batch_size=16,
                mapped=np.zeros(20, np.uint8),
                draw=lambda _features, _part: tap.maps(),
                write=maps.__setitem__,
            )
            list(job)
        drawn.append(np.concatenate([maps[start] for start in sorted(maps)]))
    assert drawn[0].shape == (20, 1, 4, 4)
    assert len({row.tobytes() for row in drawn[0]}) == 20
    np.testing.assert_allclose(drawn[1], drawn[0], rtol=1e-4, atol=1e-7)


class CopyingLane(Lane):
    """As for a GPU: what is copied is held until it has arrived."""

    ahead = 1

    def __init__(self, device):
        super().__init__(device)
        self.held = []

    def fetch(self, tensors, sent):
        copies = [tensor.clone() for tensor in tensors]
        self.held += [weakref.ref(copy) for copy in copies]
        return lambda: [copy.numpy() for copy in copies]


def test_what_is_under_way_on_a_lost_device_is_never_let_go(encoder, monkeypatch):
    lane = CopyingLane(CPU)
    monkeypatch.setattr(forward, "open_lane", lambda _: lane)
    calls = []

    def refuse(_module, inputs):
        calls.append(len(inputs[0]))
        if len(calls) > 2:
            raise RuntimeError("CUDA error: unspecified launch failure")

    hook = encoder.body.register_forward_pre_hook(refuse)
    try:
        with cores(1), pytest.raises(DeviceLostError):
            embed(encoder, RandomPatches(20, SIZE), BatchLimit(4, CPU, "demo"), size=4)
    finally:
        hook.remove()
    gc.collect()
    # Those of the first batch have arrived, those of the second were being copied.
    assert [copy() is not None for copy in lane.held] == [False, False, True, True]
