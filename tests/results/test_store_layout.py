import errno

import pytest

from builders.stores import begin_store
from napari_mmsubtype.errors import StoreError


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--out"):
        begin_store(tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_nothing_half_made_is_left_when_creation_fails(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("zarr.Group.create_array", refuse)
    with pytest.raises(StoreError, match="No space left"):
        begin_store(tmp_path)
    assert list(tmp_path.iterdir()) == []
