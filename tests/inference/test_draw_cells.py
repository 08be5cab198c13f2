import numpy as np
import pytest
import torch

from builders.grids import small_grid
from builders.other_device import OTHER, other_device
from builders.patches import RandomPatches
from builders.stores import attributes
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.draw_cells import (
    draw_cells_job,
    gradient_maps,
    map_cells_job,
)
from napari_mmsubtype.inference.encode import encode_job, prepare
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store_writer import StoreWriter

CPU = Processor(torch.device("cpu"), None)
SIZE = 64


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return prepare(create_encoder("demo-cnn"), CPU)


@pytest.fixture
def writer(tmp_path, encoder):
    cells = SIZE // encoder.cell_px
    return StoreWriter.create(
        tmp_path / "s.mmsubtype.zarr",
        attributes=attributes(),
        grid=small_grid(size=SIZE),
        tissue=np.ones((4, 4), bool),
        embedding_size=encoder.dim,
        classes=2,
        cells=(cells, cells),
    )


def job(encoder, writer, source):
    return encode_job(
        encoder, source, writer, CPU, size_px=SIZE, batch_size=6, queries=None
    )


def test_the_second_pass_maps_every_patch_with_its_own_gradient(encoder, writer):
    source = RandomPatches(20, SIZE)
    list(job(encoder, writer, source))
    assert not writer.read(schema.MAPPED).any()
    gradients = torch.randn(
        20, 2, encoder.dim, generator=torch.Generator().manual_seed(0)
    )
    list(
        map_cells_job(
            encoder,
            source,
            writer,
            CPU,
            size_px=SIZE,
            batch_size=7,
            gradients=gradients,
        )
    )
    assert writer.read(schema.MAPPED).all()
    embedding = torch.from_numpy(writer.read(schema.EMBEDDING).astype(np.float32))
    expected = torch.einsum("ncd,nd->nc", gradients, embedding).numpy()
    np.testing.assert_allclose(
        writer.read(schema.CELL_EVIDENCE).sum(axis=(2, 3)),
        expected,
        rtol=1e-3,
        atol=1e-2,
    )


def test_the_second_pass_draws_by_the_method_that_is_asked_for(encoder, writer):
    source = RandomPatches(20, SIZE)
    list(job(encoder, writer, source))
    gradients = torch.randn(
        20, 2, encoder.dim, generator=torch.Generator().manual_seed(0)
    )
    request = {"size_px": SIZE, "batch_size": 7, "gradients": gradients}
    list(map_cells_job(encoder, source, writer, CPU, method="layer-cam", **request))
    embedding = torch.from_numpy(writer.read(schema.EMBEDDING).astype(np.float32))
    expected = torch.einsum("ncd,nd->nc", gradients.relu(), embedding).numpy()
    found = writer.read(schema.CELL_EVIDENCE).sum(axis=(2, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)


def test_only_the_batches_asked_for_are_drawn_in_their_order(encoder):
    gradients = torch.randn(
        20, 2, encoder.dim, generator=torch.Generator().manual_seed(0)
    )
    request = {"size_px": SIZE, "batch_size": 4, "mapped": np.zeros(20)}
    draw = gradient_maps(gradients, "hires-cam")

    def run(**more):
        found = {}
        source = RandomPatches(20, SIZE)
        events = list(
            draw_cells_job(
                encoder,
                source,
                CPU,
                draw=draw,
                write=lambda start, cells: found.update({start: cells}),
                **request,
                **more,
            )
        )
        for event in events:
            np.testing.assert_array_equal(
                event.partial.cells, found[event.partial.start]
            )
        return found, source.reads, events[-1]

    whole, _, _ = run()
    part, reads, last = run(batches=[range(12, 16), range(4)])
    assert list(whole) == [0, 4, 8, 12, 16]
    assert list(part) == [12, 0]
    assert sorted(reads) == [0, 1, 2, 3, 12, 13, 14, 15]
    assert (last.done, last.total) == (8, 8)
    # A batch gives the same numbers whatever is drawn beside it.
    for start, cells in part.items():
        np.testing.assert_array_equal(cells, whole[start])


def test_gradients_of_a_slide_stay_where_they_are_and_rows_are_moved():
    gradients = torch.randn(6, 2, 8)
    features = torch.randn(3, 8, 4, 4)
    expected = gradient_maps(gradients)(features, slice(2, 5))
    with other_device():
        found = gradient_maps(gradients)(features.to(OTHER), slice(2, 5))
        assert found.device == OTHER
        torch.testing.assert_close(found.cpu(), expected)
