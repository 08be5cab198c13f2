import errno
import os
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from builders.slides import draw_scene, write_pyramid_tiff
from napari_mmsubtype.core.units import MppSource
from napari_mmsubtype.errors import (
    DamagedTileError,
    SlideOutOfReachError,
    SlideReadError,
)
from napari_mmsubtype.slides import tile_reader
from napari_mmsubtype.slides.backend import Level
from napari_mmsubtype.slides.color import SlideColor
from napari_mmsubtype.slides.tifffile_backend import TifffileBackend
from napari_mmsubtype.slides.tile_cache import shared_memory
from napari_mmsubtype.slides.tile_reader import TileReader

PLAIN = SlideColor(None, wanted=False, name="a")


class FlakyBackend:
    """One level of 2304 px in tiles of 256, some of which fail for now."""

    name = vendor = compression = "flaky"
    mpp_source = MppSource.NONE
    icc_profile = pixel_size = None
    associated_names = ()

    def __init__(self):
        self.properties = {}
        self.levels = (Level((2304, 2304), 1.0),)
        self.tile_shapes = ((256, 256),)
        self.broken = {}
        self.reads = 0
        self.closed = 0

    def read_tile(self, level, row, col):
        self.reads += 1
        if (row, col) in self.broken:
            raise self.broken[row, col]
        return np.full((256, 256, 3), 10 * row + col, np.uint8)

    def close(self):
        self.closed += 1


@pytest.fixture
def backend():
    return FlakyBackend()


@pytest.fixture
def reader(backend, monkeypatch):
    monkeypatch.setattr(tile_reader, "RETRY_AFTER_S", (0.0, 0.0))
    made = TileReader(backend, "in memory", PLAIN)
    yield made
    made.close()


def test_computed_levels_follow_the_stored_ones(reader):
    assert [level.shape for level in reader.levels] == [(2304, 2304), (1152, 1152)]
    assert (reader.read_region(1, 0, 0, 10, 10) == 0).all()
    assert (reader.read_region(1, 130, 260, 10, 10) == 12).all()


def test_views_and_regions_are_the_same_where_nothing_is_damaged(reader):
    for level in (0, 1):
        box = (level, 100, 40, 600, 500)
        assert (reader.read_view(*box) == reader.read_region(*box)).all()


def test_a_lost_connection_that_comes_back_leaves_no_blank_tile(reader, backend):
    backend.broken[4, 4] = TimeoutError("no answer")
    place = (0, 4, 4)
    assert reader.read_view(0, 1030, 1024, 50, 50).mean() > 245
    assert reader.read_view(1, 520, 512, 50, 50).mean() > 245
    assert reader.damaged.places == (place,)
    backend.broken.clear()
    assert (reader.read_view(0, 1030, 1024, 50, 50) == 44).all()
    assert (reader.read_view(1, 520, 512, 50, 50) == 44).all()
    assert reader.damaged.places == ()


@pytest.mark.parametrize(
    "fault",
    [
        OSError(errno.EIO, os.strerror(errno.EIO)),
        OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
        PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
        TimeoutError("no answer"),
        # As OpenSlide and Python's threads tell of them.
        ValueError(f"Couldn't read at 16: {os.strerror(errno.EIO)}"),
        RuntimeError("can't start new thread"),
    ],
    ids=repr,
)
def test_what_the_system_refuses_is_no_damage(reader, backend, fault):
    backend.broken[4, 4] = fault
    with pytest.raises(SlideOutOfReachError, match=r"row 4, column 4.*no damage"):
        reader.read_region(0, 1030, 1024, 50, 50)
    assert backend.reads == 3
    # An overview over it is refused for the same reason.
    with pytest.raises(SlideOutOfReachError):
        reader.read_region(1, 520, 512, 50, 50)


def test_after_pauses_in_vain_none_is_made_for_a_while(reader, backend, monkeypatch):
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda s: None)
    monkeypatch.setattr(tile_reader, "time", clock)
    backend.broken[4, 4] = OSError(errno.EIO, "Input/output error")
    reads = []
    for seconds in (0, 1, 8, 2, 1):
        now[0] += seconds
        before = backend.reads
        assert reader.read_view(0, 1030, 1024, 50, 50).shape == (50, 50, 3)
        reads.append(backend.reads - before)
    assert reads == [3, 1, 1, 3, 1]


@pytest.mark.parametrize(
    "fault",
    [
        OSError("image file is truncated (3 bytes not processed)"),
        FileNotFoundError(errno.ENOENT, "No such file", "4_4.png"),
        OSError(errno.EINVAL, "Invalid argument"),
        ValueError("bad Huffman code"),
        RuntimeError("zstd: corrupt"),
    ],
    ids=repr,
)
def test_what_a_decoder_refuses_is_damage_and_not_tried_again(reader, backend, fault):
    backend.broken[4, 4] = fault
    with pytest.raises(DamagedTileError, match="the file is damaged there"):
        reader.read_region(0, 1030, 1024, 50, 50)
    assert backend.reads == 1


def test_a_drive_that_fails_once_is_not_noticed(reader, backend):
    real = backend.read_tile

    def read_tile(*place):
        if backend.reads == 0:
            backend.reads += 1
            raise OSError(errno.EIO, "Input/output error")
        return real(*place)

    backend.read_tile = read_tile
    assert (reader.read_region(0, 1030, 1024, 50, 50) == 44).all()
    assert reader.damaged.places == ()


def test_a_lack_of_memory_passes_through(reader, backend):
    backend.broken[4, 4] = MemoryError("64 MiB")
    for read in (reader.read_region, reader.read_view):
        with pytest.raises(MemoryError, match="64 MiB"):
            read(0, 1030, 1024, 50, 50)
    assert reader.damaged.places == ()


def test_a_patched_overview_is_computed_once(reader, backend):
    backend.broken[4, 4] = ValueError("bad")
    reader.read_view(1, 512, 512, 512, 512)
    reads = backend.reads
    reader.read_view(1, 512, 512, 512, 512)
    # Only the damaged tile is tried again.
    assert backend.reads == reads + 1


def test_patched_overviews_are_not_computed_with(reader, backend):
    backend.broken[4, 4] = ValueError("bad")
    reader.read_view(1, 512, 512, 512, 512)
    with pytest.raises(SlideReadError, match="row 4, column 4"):
        reader.read_region(1, 512, 512, 512, 512)


def test_closing_while_a_tile_is_decoded_is_no_damage(backend):
    reader = TileReader(backend, "in memory", PLAIN)

    def read_tile(*_):
        reader.close()
        raise ValueError("read of closed file")

    backend.read_tile = read_tile
    with pytest.raises(SlideReadError, match="closed; open it again"):
        reader.read_view(0, 0, 0, 10, 10)
    assert reader.damaged.places == ()
    assert backend.closed == 1


def test_colors_are_part_of_what_is_shared(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", draw_scene(), levels=1)
    path = str(tmp_path / "a.tif")

    class Inverted(SlideColor):
        is_stored = False

        def apply(self, pixels):
            return 255 - pixels

    inverted = Inverted(None, wanted=True, name="a")
    stored = TileReader(TifffileBackend(path), path, PLAIN)
    shown = TileReader(TifffileBackend(path), path, inverted)
    box = (0, 0, 0, 100, 100)
    assert (shown.read_region(*box) == 255 - stored.read_region(*box)).all()
    stored.close()
    shown.close()


def test_readers_of_one_file_in_many_threads_decode_each_tile_once(tmp_path):
    image = draw_scene()
    write_pyramid_tiff(tmp_path / "a.tif", image, levels=1)
    path = str(tmp_path / "a.tif")
    shared_memory().clear()
    readers = [TileReader(TifffileBackend(path), path, PLAIN) for _ in range(4)]
    reads, lock = [], threading.Lock()
    for reader in readers:
        real = reader._backend.read_tile

        def read(*place, real=real):
            with lock:
                reads.append(place)
            return real(*place)

        reader._backend.read_tile = read
    got = {}

    def work(index):
        got[index] = readers[index].read_region(0, 0, 0, 768, 1024)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((region == image).all() for region in got.values())
    assert len(reads) == len(set(reads)) == 48
    for reader in readers:
        reader.close()
