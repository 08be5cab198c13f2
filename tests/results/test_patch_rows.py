import numpy as np
import pytest
import zarr

from napari_mmsubtype.results.patch_rows import PatchRows


class CountedArray:
    """A zarr array that counts how often it is read."""

    def __init__(self, array):
        self._array, self.reads = array, 0

    def __getattr__(self, name):
        return getattr(self._array, name)

    def __getitem__(self, part):
        self.reads += 1
        return self._array[part]


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(23, 2, 3)).astype(np.float32)


def counted(values):
    return CountedArray(zarr.array(values, chunks=(4, 2, 3)))


@pytest.mark.parametrize("memory_bytes", [0, 200, 10_000])
def test_rows_are_those_of_the_array_however_little_is_kept(values, memory_bytes):
    rows = PatchRows(counted(values), memory_bytes=memory_bytes)
    rng = np.random.default_rng(1)
    for count in (0, 1, 7, 23):
        index = np.sort(rng.choice(23, count, replace=False))
        np.testing.assert_array_equal(rows.read(index), values[index])
    np.testing.assert_array_equal(np.concatenate(list(rows.chunks())), values)


def test_chunks_are_read_once_while_they_are_kept_and_only_where_needed(values):
    array = counted(values)
    rows = PatchRows(array, memory_bytes=2 * 4 * 6 * 4)
    rows.read(np.array([0, 3, 9]))
    rows.read(np.array([1, 8]))
    assert array.reads == 2
    rows.read(np.array([20, 22]))
    rows.read(np.array([8]))
    assert array.reads == 3
    rows.read(np.array([0]))
    assert array.reads == 4
