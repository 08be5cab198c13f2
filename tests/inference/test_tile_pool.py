import numpy as np
import pytest
import torch

from napari_mmsubtype.inference.tile_pool import WHITE, TilePool

CPU = torch.device("cpu")


def tiles_of(*values):
    return torch.stack([torch.full((4, 6, 3), v, dtype=torch.uint8) for v in values])


def value_at(pool, place):
    ((slot,),) = pool.table(place, place)
    return int(pool.tiles[slot, 2, 3, 1])


def test_tiles_are_found_by_their_place_and_the_rest_is_white():
    pool = TilePool(3, (4, 6), CPU)
    assert pool.make_room([(2, 5), (1, 4)]) == [(1, 4), (2, 5)]
    pool.put([(1, 4), (2, 5)], tiles_of(10, 20))
    table = pool.table((1, 4), (2, 5))
    assert table.shape == (2, 2)
    assert table.dtype == np.int64
    assert [int(pool.tiles[s, 0, 0, 0]) for s in table.ravel()] == [10, 255, 255, 20]
    assert table[0, 1] == WHITE


def test_what_was_used_longest_ago_gives_way():
    pool = TilePool(3, (4, 6), CPU)
    for place, value in (((0, 0), 1), ((0, 1), 2), ((0, 2), 3)):
        assert pool.make_room([place]) == [place]
        pool.put([place], tiles_of(value))
    # The first is wanted again, so the second goes.
    assert pool.make_room([(0, 0), (0, 3)]) == [(0, 3)]
    pool.put([(0, 3)], tiles_of(4))
    assert [value_at(pool, (0, col)) for col in range(4)] == [1, 255, 3, 4]
    assert pool.make_room([(0, 0), (0, 2), (0, 3)]) == []
    assert pool.make_room([(0, 1)]) == [(0, 1)]


def test_tiles_of_another_size_are_refused_and_not_kept():
    pool = TilePool(1, (4, 6), CPU)
    assert pool.make_room([(0, 0)]) == [(0, 0)]
    with pytest.raises(RuntimeError):
        pool.put([(0, 0)], tiles_of(1)[:, :3])
    assert pool.make_room([(0, 0)]) == [(0, 0)]
    pool.put([(0, 0)], tiles_of(9))
    assert value_at(pool, (0, 0)) == 9


def test_no_more_memory_is_taken_than_was_said():
    pool = TilePool(5, (4, 6), CPU)
    for start in range(0, 50, 5):
        places = [(start, col) for col in range(5)]
        assert pool.make_room(places) == places
        pool.put(places, tiles_of(*range(5)))
    assert pool.tiles.nbytes == 6 * 4 * 6 * 3
    assert [value_at(pool, (45, col)) for col in range(5)] == [0, 1, 2, 3, 4]
    assert (pool.tiles[WHITE] == 255).all()
