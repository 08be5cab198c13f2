import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from napari_mmsubtype.slides.damaged_tiles import DamagedTiles, blank_tile


def test_tiles_are_listed_in_order_and_logged_once(caplog):
    damaged = DamagedTiles("a.svs")
    assert damaged.places == ()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            damaged.add((1, 4, 2), ValueError("bad Huffman code"))
        damaged.add((0, 9, 9), ValueError("cut short"))
    assert damaged.places == ((0, 9, 9), (1, 4, 2))
    assert [record.getMessage() for record in caplog.records] == [
        "slide a.svs: tile (row 4, column 2) of level 1 cannot be read "
        "(bad Huffman code)",
        "slide a.svs: tile (row 9, column 9) of level 0 cannot be read (cut short)",
    ]


def test_a_tile_that_was_decoded_after_all_leaves_the_list(caplog):
    damaged = DamagedTiles("a.svs")
    damaged.add((0, 0, 0), OSError("connection lost"))
    damaged.discard((0, 0, 1))
    assert damaged.places == ((0, 0, 0),)
    damaged.discard((0, 0, 0))
    assert damaged.places == ()
    damaged.add((0, 0, 0), OSError("connection lost"))
    assert damaged.places == ((0, 0, 0),)
    assert len(caplog.records) == 1


def test_threads_lose_no_tile_and_log_none_twice(caplog):
    damaged = DamagedTiles("a.svs")

    def work(row):
        for col in range(50):
            damaged.add((0, row % 4, col), ValueError("bad"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(damaged.places) == len(caplog.records) == 200


@pytest.mark.parametrize("shape", [(256, 240), (1, 1), (33, 7)])
def test_a_blank_tile_is_white_with_thin_stripes(shape):
    tile = blank_tile(*shape)
    assert tile.shape == (*shape, 3)
    assert tile.dtype == np.uint8
    assert set(np.unique(tile)) <= {190, 255}
    assert (tile[:2] == 190).all()
    if shape[0] > 64:
        assert (tile == 255).mean() > 0.9


def test_a_blank_tile_takes_no_memory_for_its_width():
    tile = blank_tile(1000, 10**7)
    assert tile.strides[1:] == (0, 0)
