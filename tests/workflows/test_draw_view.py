import numpy as np
import pytest

from builders.bundles import tiny_bundle
from builders.grids import small_grid
from napari_mmsubtype.errors import StoreInUseError
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_lock import StoreLock, lock_path
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.workflows import draw_view
from napari_mmsubtype.workflows.analyze import analyze
from napari_mmsubtype.workflows.draw_cam import draw_cam
from napari_mmsubtype.workflows.draw_view import (
    UnsavedCells,
    batches_in_view,
    open_view_job,
)
from napari_mmsubtype.workflows.jobs import run_job

SLIDE = "synthetic:seed=5,size=1024"
CORNER = (0.0, 0.0, 600.0, 600.0)


@pytest.fixture
def store(tmp_path):
    late = tiny_bundle(tmp_path / "late", fusion="late", width=32)
    return analyze(SLIDE, late, batch_size=2, out=tmp_path, device="cpu").path


def test_batches_are_those_in_view_the_middle_first():
    grid = small_grid(size=64, shape=(512, 512))
    none = np.zeros(len(grid), bool)
    found = batches_in_view(grid, (100, 100, 200, 200), 1, none)
    origins = grid.origin[[batch.start for batch in found]]
    assert sorted(map(tuple, origins.tolist())) == [
        (y, x) for y in (64, 128, 192) for x in (64, 128, 192)
    ]
    assert origins[0].tolist() == [128, 128]
    assert set(map(tuple, origins[-4:].tolist())) == {
        (64, 64),
        (64, 192),
        (192, 64),
        (192, 192),
    }
    whole = batches_in_view(grid, (0, 0, 512, 512), 6, none)
    assert sorted(b.start for b in whole) == list(range(0, 64, 6))
    assert max(b.stop for b in whole) == 64
    assert batches_in_view(grid, (0, 0, 512, 512), 6, ~none) == []
    assert batches_in_view(grid, (600, 600, 700, 700), 6, none) == []


def test_no_more_is_drawn_for_one_view_than_it_is_worth(monkeypatch):
    monkeypatch.setattr(draw_view, "MOST_PATCHES", 12)
    grid = small_grid(size=64, shape=(512, 512))
    found = batches_in_view(grid, (0, 0, 512, 512), 4, np.zeros(len(grid), bool))
    assert len(found) == 3


def test_a_view_is_drawn_and_kept_and_the_whole_slide_goes_on_from_it(
    store, monkeypatch
):
    reads = []
    read = PatchSource.read

    def counted(self, index):
        reads.append(index)
        return read(self, index)

    monkeypatch.setattr(PatchSource, "read", counted)
    session = run_job(open_view_job(store, "layer-cam", device="cpu"))
    events = list(session.draw_job(CORNER))
    seen = sorted(reads)
    origin = session.result.grid.origin[seen]
    assert 0 < len(seen) < len(session.result.grid)
    assert (origin.min(axis=0) < 256).all()
    drawn = sorted(
        i
        for e in events
        for i in range(e.partial.start, e.partial.start + len(e.partial.cells))
    )
    assert drawn == seen
    assert not lock_path(store).exists()
    reads.clear()
    assert list(session.draw_job(CORNER)) == []
    session.close()
    # At the next visit it is there without reading the slide.
    again = run_job(open_view_job(store, "layer-cam", device="cpu"))
    kept = [start + i for start, _, m in again.drawn() for i in np.flatnonzero(m)]
    assert kept == seen
    assert reads == []
    again.close()
    (cam,) = draw_cam(store, "layer-cam", device="cpu").cams
    assert sorted(reads) == sorted(set(range(len(again.result.grid))) - set(seen))
    assert cam.method == "layer-cam"


def test_another_writer_is_not_disturbed(store):
    session = run_job(open_view_job(store, "layer-cam", device="cpu"))
    with session.drawing, StoreLock.acquire(store), pytest.raises(StoreInUseError):
        list(session.draw_job(CORNER))


def test_a_store_that_cannot_be_written_to_is_drawn_from_memory(store, monkeypatch):
    monkeypatch.setattr(draw_view.os, "access", lambda *_: False)
    before = sorted(path.name for path in store.iterdir())
    session = run_job(open_view_job(store, "layer-cam", device="cpu"))
    with session.drawing:
        events = list(session.draw_job(CORNER))
        assert len(events) > 0
        assert list(session.draw_job(CORNER)) == []
        assert list(session.drawn()) == []
    assert sorted(path.name for path in store.iterdir()) == before
    assert open_result(store).cams == ()


def test_unsaved_cells_remember_what_is_drawn():
    cells = UnsavedCells(6)
    cells.write_cells(2, np.zeros((3, 1, 2, 2), np.float32))
    assert cells.mapped.tolist() == [0, 0, 1, 1, 1, 0]
