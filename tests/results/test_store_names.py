from builders.stores import begin_store, complete_store
from napari_mmsubtype.results.store_names import (
    existing_stores,
    remove_drafts,
    remove_half_written,
    store_path,
)


def test_stores_of_one_slide_are_numbered_so_that_none_is_overwritten(tmp_path):
    first = complete_store(tmp_path).path
    assert (
        existing_stores(tmp_path, "slide") == [first] == [store_path(tmp_path, "slide")]
    )
    assert store_path(tmp_path, "slide", 2).name == "slide-2.mmsubtype.zarr"


def test_store_names_are_allowed_on_every_system(tmp_path):
    name = store_path(tmp_path, "synthetic:seed=1,size=9").name
    assert name == "synthetic_seed=1,size=9.mmsubtype.zarr"


def test_drafts_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    path = begin_store(tmp_path).path
    draft = tmp_path / f".{path.name}.0a1b2c3d.partial"
    (draft / "patches").mkdir(parents=True)
    (tmp_path / ".other.mmsubtype.zarr.0a1b2c3d.partial").mkdir()
    remove_drafts(path)
    left = {item.name for item in tmp_path.iterdir()}
    assert left == {path.name, ".other.mmsubtype.zarr.0a1b2c3d.partial"}


def test_half_written_files_are_removed_and_nothing_else(tmp_path):
    path = complete_store(tmp_path).path
    before = {item for item in path.rglob("*") if item.is_file()}
    name = "0.0a1b2c3d4e5f60718293a4b5c6d7e8f9.partial"
    for folder in (path, path / "patches" / "status" / "c"):
        (folder / name).write_bytes(b"half")
    remove_half_written(path)
    assert {item for item in path.rglob("*") if item.is_file()} == before
    remove_half_written(tmp_path / "none")
