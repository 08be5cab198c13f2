import os
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from builders.slides import draw_scene, write_pyramid_tiff
from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import SlideReadError
from napari_mmsubtype.slides import prefetch, slide_store
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.prefetch import Prefetcher, ring
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tile_cache import shared_memory


class Plate:
    """Stands for a slide and notes what is read."""

    native_levels = 1
    is_closed = False

    def __init__(self, side=4096, act=lambda: None, tile=(256, 256)):
        self.tile_shapes = [tile]
        self.levels = [SimpleNamespace(shape=(side, side))] * 2
        self.reads = []
        self.act = act

    def read_view(self, level, y, x, height, width):
        self.reads.append(Box(y, x, height, width))
        self.act()


def test_engine_reads_ask_for_nothing_and_viewer_reads_do(monkeypatch, tmp_path):
    seen = []

    class Watcher(Prefetcher):
        def _note(self, slide, level, box):
            seen.append((slide.name, level, box))

    watcher = Watcher()
    watcher.is_enabled = True
    monkeypatch.setattr(slide_store, "shared_prefetcher", lambda: watcher)
    write_pyramid_tiff(tmp_path / "a.tif", draw_scene(), levels=2)
    with open_slide(tmp_path / "a.tif") as slide:
        slide.read_region(0, 0, 0, 512, 512)
        grid = lay_grid(
            PatchSpec(128, 1.0, 128),
            (768, 1024),
            PixelSize.square(0.5),
            [1.0, 2.0],
            np.ones((24, 32), bool),
        )
        assert len(grid) == 12
        source = PatchSource(slide, grid)
        for index in range(len(source)):
            source.read(index)
        assert seen == []
        np.asarray(slide.pyramid()[1][10:20, 30:70])
    assert seen == [("a", 1, Box(10, 30, 10, 40))]


def test_the_ring_lands_in_the_memory_of_decoded_tiles(monkeypatch, tmp_path):
    monkeypatch.setattr(prefetch, "QUIET_S", 0.01)
    watcher = Prefetcher()
    watcher.is_enabled = True
    monkeypatch.setattr(slide_store, "shared_prefetcher", lambda: watcher)
    write_pyramid_tiff(tmp_path / "a.tif", draw_scene(), levels=1, tile=128)
    shared_memory().clear()
    with open_slide(tmp_path / "a.tif") as slide:
        np.asarray(slide.pyramid()[0][:128, :128])
        # The viewport is one tile; pieces of 256 px reach from there to pixel 768.
        wait_for(lambda: shared_memory().size_bytes == 768 * 768 * 3)
        watcher.is_enabled = False


def look(prefetcher, plate, box, level=0):
    with prefetcher.watch(plate, level, box):
        pass


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "nothing happened within 10 s"
        time.sleep(0.005)


@pytest.fixture
def prefetcher(monkeypatch):
    monkeypatch.setattr(prefetch, "QUIET_S", 0.01)
    made = Prefetcher()
    made.is_enabled = True
    yield made
    made.is_enabled = False


@pytest.mark.parametrize(
    "view", [Box(1024, 1024, 1024, 1024), Box(0, 0, 700, 900), Box(100, 37, 5, 3000)]
)
def test_ring_and_viewport_cover_the_surroundings(view):
    shape = (2500, 3100)
    covered = np.zeros(shape, int)
    for piece in ring(view, shape):
        rows = slice(piece.y, piece.y + piece.height)
        cols = slice(piece.x, piece.x + piece.width)
        covered[rows, cols] += 1
    assert covered.max() == 1
    wanted = np.zeros(shape, bool)
    wanted[
        max(view.y - 512, 0) : view.y + view.height + 512,
        max(view.x - 512, 0) : view.x + view.width + 512,
    ] = True
    inside = np.zeros(shape, bool)
    inside[view.y : view.y + view.height, view.x : view.x + view.width] = True
    assert (covered[wanted & ~inside] == 1).all()


def test_the_ring_of_a_whole_level_is_empty():
    assert ring(Box(0, 0, 300, 400), (300, 400)) == []


def test_sides_come_before_corners():
    pieces = ring(Box(1024, 1024, 1024, 1024), (4096, 4096))
    assert len(pieces) == 64 - 16
    assert pieces[-1] in (
        Box(512, 512, 256, 256),
        Box(512, 2304, 256, 256),
        Box(2304, 512, 256, 256),
        Box(2304, 2304, 256, 256),
    )


def test_reads_the_ring_once_around_all_parts_of_a_viewport(prefetcher):
    plate = Plate()
    with prefetcher.watch(plate, 0, Box(1024, 1024, 512, 512)):
        look(prefetcher, plate, Box(1024, 1536, 512, 512))
    expected = ring(Box(1024, 1024, 512, 1024), (4096, 4096))
    wait_for(lambda: len(plate.reads) >= len(expected))
    time.sleep(0.05)
    assert plate.reads == expected


def test_waits_while_somebody_reads(prefetcher):
    plate = Plate()
    look(prefetcher, plate, Box(1024, 1024, 512, 512))
    with prefetcher.watch(plate, 0, Box(1024, 1024, 512, 512)):
        started = len(plate.reads)
        time.sleep(0.1)
        assert len(plate.reads) <= started + 1
    wait_for(lambda: len(plate.reads) > 10)


def test_a_new_read_ends_the_old_ring(prefetcher):
    gate, reached = threading.Event(), threading.Event()

    def hold():
        reached.set()
        assert gate.wait(10)

    plate = Plate(act=hold)
    look(prefetcher, plate, Box(0, 0, 512, 512))
    assert reached.wait(10)
    look(prefetcher, plate, Box(3584, 3584, 512, 512))
    gate.set()
    wait_for(lambda: len(plate.reads) > 4)
    assert plate.reads[0].y < 1024
    assert all(box.y >= 3072 for box in plate.reads[1:])


@pytest.mark.parametrize(
    "case", ["off", "computed level", "export", "wide strips", "closed"]
)
def test_reads_nothing(prefetcher, monkeypatch, case):
    # A ring of strips across the slide would push the viewport out of memory.
    tile = (64, 100_000) if case == "wide strips" else (256, 256)
    plate = Plate(side=16_384, tile=tile)
    prefetcher.is_enabled = case != "off"
    plate.is_closed = case == "closed"
    side = 16_000 if case == "export" else 512
    level = 1 if case == "computed level" else 0
    look(prefetcher, plate, Box(0, 0, side, side), level)
    time.sleep(0.1)
    assert plate.reads == []


def test_a_damaged_tile_does_not_end_it(prefetcher):
    def fail():
        raise SlideReadError("damaged")

    plate = Plate(act=fail)
    look(prefetcher, plate, Box(0, 0, 512, 512))
    wait_for(lambda: len(plate.reads) == 12)


def test_it_can_be_switched_off_and_on_again(prefetcher):
    plate = Plate()
    look(prefetcher, plate, Box(0, 0, 512, 512))
    wait_for(lambda: len(plate.reads) == 12)
    prefetcher.is_enabled = False
    thread = prefetcher._thread
    thread.join(10)
    assert not thread.is_alive()
    look(prefetcher, plate, Box(2048, 2048, 512, 512))
    time.sleep(0.05)
    assert len(plate.reads) == 12
    prefetcher.is_enabled = True
    look(prefetcher, plate, Box(2048, 2048, 512, 512))
    wait_for(lambda: len(plate.reads) > 12)


def test_stopping_waits_for_the_piece_being_decoded(prefetcher):
    reached = threading.Event()
    done = []

    def decode():
        reached.set()
        time.sleep(0.1)
        done.append(1)

    plate = Plate(act=decode)
    look(prefetcher, plate, Box(0, 0, 512, 512))
    assert reached.wait(10)
    prefetcher.stop()
    assert len(done) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_begins_with_a_prefetcher_of_its_own():
    before = prefetch.shared_prefetcher()
    with before._change:  # as if another thread were about to read
        child = os.fork()
        if child == 0:
            mine = prefetch.shared_prefetcher()
            mine.is_enabled = True
            plate = Plate()
            look(mine, plate, Box(0, 0, 512, 512))
            mine.stop()
            os._exit(0 if mine is not before else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_the_environment_switches_it_off(monkeypatch):
    monkeypatch.setenv(prefetch.SWITCH_VARIABLE, "0")
    assert not Prefetcher().is_enabled
    monkeypatch.setenv(prefetch.SWITCH_VARIABLE, "1")
    assert Prefetcher().is_enabled
