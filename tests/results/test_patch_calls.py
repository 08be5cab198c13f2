import numpy as np
import pytest

from builders.stores import begin_store, complete_store
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results.patch_calls import read_patch_calls, write_patch_calls
from napari_mmsubtype.results.store import open_result


def test_what_is_written_is_read_and_the_others_are_nan(tmp_path):
    path = begin_store(tmp_path).path
    used = np.ones(20, bool)
    used[[3, 11]] = False
    calls = np.random.default_rng(0).random((18, 2)).astype(np.float32)
    write_patch_calls(path, used, calls[::-1])
    write_patch_calls(path, used, calls)
    found = read_patch_calls(path)
    np.testing.assert_array_equal(found[used], calls)
    assert np.isnan(found[[3, 11]]).all()
    np.testing.assert_array_equal(open_result(path).patch_calls, found)


def test_a_store_of_an_earlier_version_has_none(tmp_path):
    assert complete_store(tmp_path).patch_calls is None


def test_a_disk_that_refuses_is_told(tmp_path, monkeypatch):
    path = begin_store(tmp_path).path

    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zarr.Group.create_array", refuse)
    with pytest.raises(StoreError, match="No space left on device; what was written"):
        write_patch_calls(path, np.ones(20, bool), np.zeros((20, 2), np.float32))


def test_a_part_that_was_lost_is_told(tmp_path):
    path = begin_store(tmp_path).path
    write_patch_calls(path, np.ones(20, bool), np.zeros((20, 2), np.float32))
    assert not read_patch_calls(path).any()
    (path / "patches/call/c/0/0").unlink()
    with pytest.raises(StoreError, match="damaged at patches/call"):
        read_patch_calls(path)
