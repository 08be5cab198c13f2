import gc
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from builders.slides import draw_scene, write_pyramid_tiff
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides import tile_cache
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tile_cache import (
    TileCache,
    TileMemory,
    shared_memory,
    tile_memory_limit,
)


def make(value, size=10):
    return lambda: np.full((size, size, 3), value, np.uint8)


@pytest.fixture
def memory():
    return TileMemory(limit_bytes=10_000)


@pytest.fixture
def cache(memory):
    return TileCache(memory)


def test_a_kept_tile_is_not_loaded_again(cache):
    first = cache.get("a", make(1))
    assert cache.get("a", lambda: pytest.fail("loaded twice")) is first


def test_tiles_used_longest_ago_leave_first_and_the_limit_holds():
    memory = TileMemory(limit_bytes=700)
    cache = TileCache(memory)
    for key in "ab":
        cache.get(key, make(1))
    cache.get("a", make(9))
    cache.get("c", make(3))
    assert memory.size_bytes == 600
    assert cache.get("a", make(9))[0, 0, 0] == 1
    assert cache.get("b", make(7))[0, 0, 0] == 7


def test_a_tile_larger_than_the_limit_is_kept_until_another_comes():
    memory = TileMemory(limit_bytes=10)
    cache = TileCache(memory)
    big = cache.get("a", make(1))
    assert cache.get("a", make(2)) is big
    cache.get("b", make(2))
    assert memory.size_bytes == 300


def test_slides_share_the_limit_but_not_their_tiles():
    memory = TileMemory(limit_bytes=700)
    one, two = TileCache(memory), TileCache(memory)
    one.get("a", make(1))
    assert two.get("a", make(2))[0, 0, 0] == 2
    assert one.get("a", make(9))[0, 0, 0] == 1
    two.get("b", make(3))
    assert memory.size_bytes == 600
    assert two.get("a", make(7))[0, 0, 0] == 7


def test_a_lower_limit_frees_memory_at_once(memory, cache):
    for key in range(10):
        cache.get(key, make(key))
    memory.set_limit(900)
    assert memory.limit_bytes == 900
    assert memory.size_bytes == 900
    assert cache.get(9, make(0))[0, 0, 0] == 9
    with pytest.raises(ValueError, match="0 or more bytes, found -1"):
        memory.set_limit(-1)


def test_threads_that_want_one_tile_load_it_once(cache):
    loads, gate = [], threading.Barrier(4)

    def load():
        loads.append(1)
        time.sleep(0.05)
        return np.zeros((2, 2, 3), np.uint8)

    def read():
        gate.wait()
        cache.get("tile", load)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_the_limit_holds_under_many_threads_and_slides_that_come_and_go():
    memory = TileMemory(limit_bytes=3000)
    sizes = []

    def work(seed):
        chance = random.Random(seed)
        caches = [TileCache(memory) for _ in range(3)]
        for _ in range(400):
            cache, key = chance.choice(caches), chance.randrange(8)
            assert (cache.get(key, make(key)) == key).all()
            sizes.append(memory.size_bytes)
            if chance.random() < 0.05:
                cache.clear()
        for cache in caches:
            cache.clear()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, seed) for seed in range(8)]:
            done.result(timeout=60)
    assert 0 < max(sizes) <= 3000
    assert memory.size_bytes == 0


def test_a_tile_may_be_made_of_others_while_threads_wait_for_it(cache):
    def parent():
        return sum(cache.get(("part", i), make(i)) for i in range(4)).astype(np.uint8)

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(cache.get, "whole", parent) for _ in range(8)]
        assert {int(job.result(timeout=30)[0, 0, 0]) for job in waiting} == {6}


def test_an_error_is_raised_and_forgotten(cache):
    def fail():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        cache.get("a", fail)
    assert cache.get("a", make(5))[0, 0, 0] == 5


def test_shared_tiles_cannot_be_written_and_do_not_keep_their_parent_alive(cache):
    parent = np.zeros((100, 100, 3), np.uint8)
    tile = cache.get("a", lambda: parent[:10, :10])
    assert tile.base is None
    with pytest.raises(ValueError, match="read-only"):
        tile[0, 0] = 1


def test_what_decoders_give_is_kept_as_it_is(cache):
    whole = np.arange(300, dtype=np.uint8)
    tile = cache.get("a", lambda: whole.reshape(1, 10, 10, 3)[0][:, :, :3])
    assert np.shares_memory(tile, whole)
    assert tile.flags.c_contiguous
    turned = cache.get("b", lambda: whole.reshape(10, 10, 3).swapaxes(0, 1))
    assert turned.flags.c_contiguous
    read = cache.get("c", lambda: np.frombuffer(bytes(30), np.uint8).reshape(-1, 10, 3))
    assert read.base is None


def test_clear_forgets_the_tiles_of_one_slide(memory, cache):
    other = TileCache(memory)
    other.get("a", make(1))
    cache.get("a", make(1))
    cache.clear()
    assert memory.size_bytes == 300
    assert cache.get("a", make(2))[0, 0, 0] == 2
    assert other.get("a", make(2))[0, 0, 0] == 1
    memory.clear()
    assert memory.size_bytes == 0


def test_a_tile_that_outlasts_its_slide_is_not_kept(memory, cache):
    def load():
        cache.clear()
        return np.zeros((10, 10, 3), np.uint8)

    assert cache.get("a", load).shape == (10, 10, 3)
    assert memory.size_bytes == 0


def test_a_slide_may_be_collected_while_the_lock_is_held(memory, cache):
    cache.get("a", make(1))
    with memory._lock:
        cache.clear()  # must not wait for the lock
    assert memory.size_bytes == 0


def test_openings_of_one_file_share_its_tiles_until_the_last_is_gone(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", draw_scene(), levels=1)
    write_pyramid_tiff(tmp_path / "b.tif", draw_scene(), levels=1)
    memory = shared_memory()
    memory.clear()
    one, two = open_slide(tmp_path / "a.tif"), open_slide(tmp_path / "a.tif")
    other = open_slide(tmp_path / "b.tif")
    one.read_region(0, 0, 0, 768, 1024)
    held = memory.size_bytes
    assert held > 0
    two._backend.read_tile = lambda *_: pytest.fail("decoded twice")
    two.read_region(0, 0, 0, 768, 1024)
    assert memory.size_bytes == held
    other.read_region(0, 0, 0, 768, 1024)
    assert memory.size_bytes == 2 * held
    one.close()
    assert memory.size_bytes == 2 * held
    two.read_region(0, 0, 0, 768, 1024)
    del two
    gc.collect()
    assert memory.size_bytes == held
    other.close()
    assert memory.size_bytes == 0


@pytest.mark.parametrize("fate", ["closed", "fails"])
def test_who_waits_for_another_that_fails_decodes_for_itself(memory, fate):
    """The viewer's slide is closed while the engine waits for its tile."""
    viewer = TileCache(memory, identity="a.svs")
    engine = TileCache(memory, identity="a.svs")
    begun, go_on = threading.Event(), threading.Event()

    def load():
        begun.set()
        assert go_on.wait(10)
        if fate == "fails":
            raise ValueError("closed meanwhile")
        viewer.clear()
        return make(1)()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(viewer.get, "tile", load)
        assert begun.wait(10)
        second = pool.submit(engine.get, "tile", make(2))
        time.sleep(0.02)
        go_on.set()
        if fate == "fails":
            with pytest.raises(ValueError, match="closed meanwhile"):
                first.result(timeout=10)
            assert second.result(timeout=10)[0, 0, 0] == 2
        else:
            assert second.result(timeout=10)[0, 0, 0] == 1
    assert memory.size_bytes == 300
    engine.clear()
    viewer.clear()
    assert memory.size_bytes == 0


def test_sharing_survives_openings_and_closings_in_many_threads():
    memory = TileMemory(limit_bytes=3000)

    def work(seed):
        chance = random.Random(seed)
        for _ in range(200):
            name = chance.randrange(3)
            cache = TileCache(memory, identity=name)
            for _ in range(5):
                key = chance.randrange(4)
                assert (cache.get(key, make(10 * name + key)) == 10 * name + key).all()
            if chance.random() < 0.5:
                cache.clear()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, seed) for seed in range(8)]:
            done.result(timeout=60)
    gc.collect()
    assert memory.size_bytes == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_starts_empty_and_shares_anew(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", draw_scene(), levels=1)
    with open_slide(tmp_path / "a.tif") as slide:
        slide.read_region(0, 0, 0, 300, 300)
        lock = shared_memory()._lock
        with lock:  # as if another thread were at work
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    one, two = (open_slide(tmp_path / "a.tif") for _ in range(2))
                    assert shared_memory().size_bytes == 0
                    expected = one.read_region(0, 0, 0, 300, 300)
                    two._backend.read_tile = None
                    assert (two.read_region(0, 0, 0, 300, 300) == expected).all()
                    code = 0
                finally:
                    os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0


def test_the_environment_sets_the_limit(monkeypatch):
    monkeypatch.delenv(tile_cache.LIMIT_VARIABLE, raising=False)
    assert tile_memory_limit() == 256 * 1024**2
    monkeypatch.setenv(tile_cache.LIMIT_VARIABLE, "64")
    assert tile_memory_limit() == 64 * 1024**2
    monkeypatch.setenv(tile_cache.LIMIT_VARIABLE, "much")
    with pytest.raises(ConfigurationError, match="is 'much'; expected a whole number"):
        tile_memory_limit()
