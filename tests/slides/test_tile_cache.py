import threading
import time

import numpy as np
import pytest

from napari_mmsubtype.slides.tile_cache import TileCache


def make(value, size=10):
    return lambda: np.full((size, size, 3), value, np.uint8)


def test_a_kept_tile_is_not_loaded_again():
    cache = TileCache()
    first = cache.get("a", make(1))
    assert cache.get("a", lambda: pytest.fail("loaded twice")) is first


def test_tiles_used_longest_ago_leave_first_and_the_limit_holds():
    cache = TileCache(limit_bytes=700)
    for key in "ab":
        cache.get(key, make(1))
    cache.get("a", make(9))
    cache.get("c", make(3))
    assert cache.size_bytes == 600
    assert cache.get("a", make(9))[0, 0, 0] == 1
    assert cache.get("b", make(7))[0, 0, 0] == 7


def test_a_tile_larger_than_the_limit_is_kept_until_another_comes():
    cache = TileCache(limit_bytes=10)
    big = cache.get("a", make(1))
    assert cache.get("a", make(2)) is big
    cache.get("b", make(2))
    assert cache.size_bytes == 300


def test_threads_that_want_one_tile_load_it_once():
    cache, loads, gate = TileCache(), [], threading.Barrier(4)

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


def test_an_error_is_raised_and_forgotten():
    cache = TileCache()

    def fail():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        cache.get("a", fail)
    assert cache.get("a", make(5))[0, 0, 0] == 5


def test_shared_tiles_cannot_be_written_and_do_not_keep_their_parent_alive():
    parent = np.zeros((100, 100, 3), np.uint8)
    tile = TileCache().get("a", lambda: parent[:10, :10])
    assert tile.base is None
    with pytest.raises(ValueError, match="read-only"):
        tile[0, 0] = 1


def test_clear_forgets_all():
    cache = TileCache()
    cache.get("a", make(1))
    cache.clear()
    assert cache.size_bytes == 0
    assert cache.get("a", make(2))[0, 0, 0] == 2
