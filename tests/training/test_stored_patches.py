from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.training.stored_patches import StoredPatches


@pytest.fixture
def parts(tmp_path):
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (9, 4, 4, 3)).astype(np.uint8)
    paths = [tmp_path / f"{i}.npy" for i in range(3)]
    for path, part in zip(paths, np.split(whole, [4, 5]), strict=True):
        np.save(path, part)
    return whole, StoredPatches(paths), paths


def test_several_files_are_one_array(parts):
    whole, patches, _ = parts
    assert (len(patches), patches.shape) == (9, (9, 4, 4, 3))
    assert patches.counts == [4, 1, 4]
    for rows in ([0, 8, 4, 4], [5], []):
        index = np.array(rows, np.int64)
        np.testing.assert_array_equal(patches[index], whole[index])
    np.testing.assert_array_equal(patches.read(6), whole[6])
    np.testing.assert_array_equal(np.stack(list(patches)), whole)


def test_nothing_stays_open_and_few_pixels_are_held(parts):
    _, patches, paths = parts
    patches.read(0)
    for path in paths:
        path.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        patches.read(0)


def test_rows_that_do_not_exist_are_refused(parts):
    for row in (-1, 9):
        with pytest.raises(IndexError, match="from 0 to 8"):
            parts[1].read(row)


def test_files_of_other_kinds_are_refused(parts, tmp_path):
    _, patches, paths = parts
    other = tmp_path / "other.npy"
    np.save(other, np.zeros((2, 5, 5, 3), np.uint8))
    with pytest.raises(StoreError, match="files of one size"):
        StoredPatches([*paths, other])
    with pytest.raises(StoreError, match="found no file"):
        StoredPatches([])
    np.save(other, np.zeros((2, 4, 4)))
    with pytest.raises(StoreError, match=r"uint8, shape \(n, y, x, 3\), found float64"):
        StoredPatches([other])
    other.write_bytes(b"no array")
    with pytest.raises(StoreError, match="delete the file, run again"):
        StoredPatches([other])
    np.save(paths[0], np.zeros((2, 4, 4, 3), np.uint8))
    with pytest.raises(StoreError, match="has changed since it was opened"):
        patches.read(3)
