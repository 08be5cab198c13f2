import pytest

from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results.out_folder import require_folder


def test_folders_that_are_there_or_may_be_made_are_fine(tmp_path):
    require_folder(tmp_path)
    require_folder(str(tmp_path / "new" / "deeper"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/new/deeper"])
def test_a_file_is_named_as_such(tmp_path, name):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(StoreError, match=r"file' is a file, and a folder is expected"):
        require_folder(tmp_path / name)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_broken_link_is_named_as_such(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for name in ("link", "link/deeper"):
        with pytest.raises(
            StoreError, match="link' is a link to nothing, and a folder"
        ):
            require_folder(tmp_path / name)
    (tmp_path / "gone").mkdir()
    require_folder(tmp_path / "link")
