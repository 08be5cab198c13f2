import numpy as np
import pytest
import torch

from builders.grids import small_grid
from builders.patches import RandomPatches
from builders.stores import attributes
from napari_mmsubtype.errors import OutOfMemoryError
from napari_mmsubtype.inference import batch_limit
from napari_mmsubtype.inference.batch_limit import (
    BatchLimit,
    choose_limit,
    is_out_of_memory,
)
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.draw_cells import map_cells_job
from napari_mmsubtype.inference.encode import encode_job, prepare
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store_writer import StoreWriter

DEVICE = torch.device("cpu")
CPU = Processor(DEVICE, None)
SIZE = 64
ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate "
        "memory: you tried to allocate 9 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
    MemoryError(),
]


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return prepare(create_encoder("demo-cnn"), CPU)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSUBTYPE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / batch_limit.FILE_NAME


def hold_at_most(encoder, most, monkeypatch, error=ERRORS[0]):
    """Let an encoder fail above so many patches; list the sizes that are tried."""
    whole, tried = encoder.feature_map, []

    def feature_map(images):
        tried.append(len(images))
        if len(images) > most:
            raise error
        return whole(images)

    monkeypatch.setattr(encoder, "feature_map", feature_map)
    return tried


def new_writer(folder, encoder):
    cells = SIZE // encoder.cell_px
    return StoreWriter.create(
        folder / "s.mmsubtype.zarr",
        attributes=attributes(),
        grid=small_grid(size=SIZE),
        tissue=np.ones((4, 4), bool),
        embedding_size=encoder.dim,
        classes=2,
        cells=(cells, cells),
    )


def analyse(folder, encoder, limit=None):
    """Run both passes over twenty patches; give what the store holds then."""
    generator = torch.Generator().manual_seed(1)
    queries = torch.randn(2, encoder.dim, generator=generator)
    gradients = torch.randn(20, 2, encoder.dim, generator=generator)
    writer = new_writer(folder, encoder)
    source = RandomPatches(20, SIZE, damaged=[9])
    shared = {"size_px": SIZE, "batch_size": 8, "limit": limit}
    list(encode_job(encoder, source, writer, CPU, queries=queries, **shared))
    names = (schema.EMBEDDING, schema.CELL_EVIDENCE, schema.STATUS)
    first = [writer.read(name) for name in names]
    writer._put(schema.MAPPED, slice(None), np.zeros(20, np.uint8))
    list(map_cells_job(encoder, source, writer, CPU, gradients=gradients, **shared))
    return [*first, writer.read(schema.CELL_EVIDENCE)]


@pytest.mark.parametrize("most", [1, 3, 7])
def test_numbers_are_those_of_a_run_that_memory_did_not_disturb(
    tmp_path, encoder, monkeypatch, most
):
    expected = analyse(tmp_path / "a", encoder)
    tried = hold_at_most(encoder, most, monkeypatch)
    found = analyse(tmp_path / "b", encoder)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            one.astype(np.float32), other.astype(np.float32), rtol=2e-3, atol=1e-5
        )
    assert max(tried) == 8
    # What held is kept for the rest of the pass.
    last = tried[len(tried) // 2 :]
    assert {1: 1, 3: 2, 7: 4}[most] in last


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error)[:30])
def test_every_kind_of_shortage_is_survived(tmp_path, encoder, monkeypatch, error):
    assert is_out_of_memory(error)
    tried = hold_at_most(encoder, 2, monkeypatch, error)
    analyse(tmp_path, encoder)
    assert tried[:4] == [8, 4, 2, 2]


def test_without_room_for_one_patch_there_is_one_clear_error(
    tmp_path, encoder, monkeypatch
):
    tried = hold_at_most(encoder, 0, monkeypatch)
    with pytest.raises(
        OutOfMemoryError, match=r"not even one patch.*demo-cnn"
    ) as caught:
        analyse(tmp_path, encoder)
    assert tried == [8, 4, 2, 1]
    assert "CUDA out of memory" in str(caught.value)
    assert "device='cpu'" not in str(caught.value), "it is the CPU already"


@pytest.mark.parametrize(
    "error", [RuntimeError("shape mismatch"), ValueError("out of memory"), KeyError(1)]
)
def test_other_failures_are_not_taken_for_a_shortage(error):
    assert not is_out_of_memory(error)

    def fail(part):
        raise error

    with pytest.raises(type(error)):
        BatchLimit(4, DEVICE, "net").run(fail, 8)


def test_a_network_that_does_not_fit_is_the_same_clear_error(encoder, monkeypatch):
    def fail(*_args, **_kwargs):
        raise ERRORS[0]

    monkeypatch.setattr(encoder, "to", fail)
    with pytest.raises(OutOfMemoryError, match="the network demo-cnn fits into"):
        prepare(encoder, CPU)


def test_the_parts_cover_the_batch_once_and_in_order():
    kept, failures = [], iter([True, False, True])

    def work(part):
        if next(failures, False):
            raise MemoryError
        return list(range(100))[part]

    limit = BatchLimit(8, DEVICE, "net", kept.append)
    parts = limit.run(work, 20)
    assert [n for part in parts for n in part] == list(range(20))
    assert max(map(len, parts)) <= 4
    # Two shortages: each size is kept once it has held.
    assert kept == [4, 2]
    assert limit.size == 2


def test_the_memory_of_a_failed_attempt_is_free_before_the_next_one():
    class Big:
        alive = 0

        def __init__(self):
            Big.alive += 1

        def __del__(self):
            Big.alive -= 1

    seen = []

    def work(part):
        seen.append(Big.alive)
        big = Big()
        if part.stop - part.start > 1:
            raise MemoryError
        return big is None

    BatchLimit(4, DEVICE, "net").run(work, 4)
    assert set(seen) == {0}


def test_what_held_is_where_the_next_run_begins(cache, encoder):
    first = choose_limit(CPU, encoder, SIZE, None)
    assert first.size == CPU.default_batch_size(SIZE) > 32

    def work(part):
        if part.stop - part.start > 20:
            raise MemoryError

    first.run(work, 100)
    held = first.size
    assert held <= 20
    assert choose_limit(CPU, encoder, SIZE, None).size == held
    # Another patch size, another precision: nothing is known of them.
    assert choose_limit(CPU, encoder, 32, None).size > held
    half = Processor(DEVICE, torch.bfloat16)
    assert choose_limit(half, encoder, SIZE, None).size > held
    # And what the user asks for is tried.
    assert choose_limit(CPU, encoder, SIZE, 64).size == 64
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]


def test_nothing_is_kept_where_the_cache_is_switched_off(cache, encoder, monkeypatch):
    monkeypatch.setenv("MMSUBTYPE_CACHE_MIB", "0")
    limit = choose_limit(CPU, encoder, SIZE, 2)

    def work(part):
        if part.stop - part.start > 1:
            raise MemoryError

    limit.run(work, 2)
    assert limit.size == 1
    assert not cache.exists()
