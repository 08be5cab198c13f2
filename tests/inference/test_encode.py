import numpy as np
import pytest
import torch

from builders.grids import small_grid
from builders.patches import RandomPatches
from builders.stores import attributes
from napari_mmsubtype.core.quality_spec import QualitySpec
from napari_mmsubtype.inference import write_behind
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.encode import (
    CellProjector,
    batches_left,
    encode_job,
    prepare,
)
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.store_writer import StoreWriter
from napari_mmsubtype.slides.quality_measures import PatchMeter

CPU = Processor(torch.device("cpu"), None)
SIZE = 64


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return prepare(create_encoder("demo-cnn"), CPU)


@pytest.fixture
def writer(tmp_path, encoder):
    grid = small_grid(size=SIZE)
    cells = SIZE // encoder.cell_px
    return StoreWriter.create(
        tmp_path / "s.mmsubtype.zarr",
        attributes=attributes(),
        grid=grid,
        tissue=np.ones((4, 4), bool),
        embedding_size=encoder.dim,
        classes=2,
        cells=(cells, cells),
    )


def job(encoder, writer, source, queries=None, batch_size=6, meter=None):
    return encode_job(
        encoder,
        source,
        writer,
        CPU,
        size_px=SIZE,
        batch_size=batch_size,
        queries=queries,
        meter=meter,
    )


def plain_embeddings(encoder, count):
    """Embed patches one by one, without stream, batches or layout tricks."""
    pixels = [RandomPatches(count, SIZE).read(i) for i in range(count)]
    with torch.no_grad():
        rows = [encoder(encoder.normalize(torch.from_numpy(p[None]))) for p in pixels]
    return torch.cat(rows).numpy()


def test_embeddings_equal_those_of_patches_run_one_by_one(encoder, writer):
    events = list(job(encoder, writer, RandomPatches(20, SIZE)))
    assert [event.done for event in events] == [6, 12, 18, 20]
    np.testing.assert_allclose(
        writer.read(schema.EMBEDDING),
        plain_embeddings(encoder, 20),
        rtol=2e-3,
        atol=2e-3,
    )


def test_a_resumed_run_reads_only_what_is_left_and_gives_the_same_numbers(
    encoder, writer
):
    queries = torch.randn(2, encoder.dim, generator=torch.Generator().manual_seed(1))
    first = job(encoder, writer, RandomPatches(20, SIZE), queries)
    next(first)
    first.close()
    source = RandomPatches(20, SIZE)
    events = list(job(encoder, writer, source, queries))
    # Of batches of 6 one was told of, and one was being written.
    assert sorted(source.reads) == list(range(12, 20))
    assert events[-1].done == 20
    resumed = [writer.read(n) for n in (schema.EMBEDDING, schema.CELL_EVIDENCE)]
    writer.write_patches(0, np.zeros(20, np.uint8), np.zeros((20, encoder.dim)), None)
    list(job(encoder, writer, RandomPatches(20, SIZE), queries))
    whole = [writer.read(n) for n in (schema.EMBEDDING, schema.CELL_EVIDENCE)]
    for a, b in zip(resumed, whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_are_written_together_and_told_of_one_by_one(
    encoder, writer, monkeypatch
):
    monkeypatch.setattr(write_behind, "EVERY_S", 600.0)
    runs = []
    write = writer.write_patches

    def note(start, status, *rest):
        runs.append((start, len(status)))
        write(start, status, *rest)

    monkeypatch.setattr(writer, "write_patches", note)
    # The third batch is there already: those around it do not follow each other.
    write(6, np.ones(3, np.uint8), np.zeros((3, encoder.dim)), None)
    events = list(job(encoder, writer, RandomPatches(20, SIZE), batch_size=3))
    assert runs == [(0, 3), (3, 3), (9, 11)]
    assert [event.done for event in events] == [6, 9, 12, 15, 18, 20]
    told = np.concatenate([event.partial.index for event in events])
    assert sorted(told) == list(range(20))
    found = writer.read(schema.EMBEDDING)
    rest = np.delete(np.arange(20), np.s_[6:9])
    np.testing.assert_allclose(
        found[rest], plain_embeddings(encoder, 20)[rest], rtol=2e-3, atol=2e-3
    )


def test_whoever_leaves_keeps_what_was_embedded(encoder, writer, monkeypatch):
    monkeypatch.setattr(write_behind, "EVERY_S", 600.0)
    source = RandomPatches(20, SIZE)
    events = job(encoder, writer, source)
    next(events)
    events.close()
    # The first batch, and at least the one at which that was known.
    assert np.count_nonzero(writer.read(schema.STATUS)) >= 12


def test_an_unreadable_patch_is_accounted_for(encoder, writer):
    list(job(encoder, writer, RandomPatches(20, SIZE, damaged=[3, 19])))
    status = writer.read(schema.STATUS)
    assert np.flatnonzero(status == PatchStatus.UNREADABLE).tolist() == [3, 19]
    assert (status == PatchStatus.DONE).sum() == 18


def test_the_encoded_pixels_are_the_measured_ones(encoder, writer):
    meter = PatchMeter(QualitySpec(), SIZE, 0.5)
    list(job(encoder, writer, RandomPatches(20, SIZE, damaged=[3]), meter=meter))
    found = writer.read(schema.QUALITY)
    expected = meter([RandomPatches(20, SIZE).read(i) for i in range(20)])
    assert np.isnan(found[3]).all()
    np.testing.assert_array_equal(np.delete(found, 3, 0), np.delete(expected, 3, 0))


def test_cells_sum_to_the_query_times_the_stored_embedding():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 7, 4, 5, generator=generator) * 30
    queries = torch.randn(2, 7, generator=generator)
    embedding, cells = CellProjector(queries)(features)
    expected = embedding.float() @ queries.T
    torch.testing.assert_close(cells.sum((2, 3)), expected, rtol=1e-5, atol=1e-4)
    pixel = features[:, :, 1, 2] @ queries.T / 20
    torch.testing.assert_close(cells[:, :, 1, 2], pixel, rtol=0.02, atol=0.02)


def test_batches_start_at_multiples_and_skip_what_is_done():
    done = np.array([1, 1, 1, 1, 0, 1, 0, 0, 1])
    assert batches_left(done, 3) == [range(3, 6), range(6, 9)]
    assert batches_left(np.ones(5), 2) == []
