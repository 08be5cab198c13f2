"""A store that lost a part, or holds a damaged one, says so and gives no numbers."""

import errno
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr

from builders.stores import begun_store, complete_store, first_chunk
from napari_mmsubtype.errors import StoreError, StoreOutOfReachError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.export_omezarr import export_ome_zarr
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_damage import find_array
from napari_mmsubtype.results.store_writer import StoreWriter

PER_PATCH = (schema.EMBEDDING, schema.CELL_EVIDENCE, schema.QUALITY)
OUTCOME = (schema.EVIDENCE, schema.WEIGHT, "maps/evidence/0")


@pytest.fixture
def whole(tmp_path):
    return complete_store(tmp_path).path


@pytest.fixture
def begun(tmp_path):
    return begun_store(tmp_path).path


@pytest.mark.parametrize("name", [*PER_PATCH, *OUTCOME])
def test_a_chunk_that_is_cut_short_is_told_when_it_is_read(whole, name):
    file = first_chunk(whole, name)
    file.write_bytes(file.read_bytes()[:-3])
    result, writer = open_result(whole), StoreWriter(whole)
    read = (
        (lambda: result.evidence_map(0))
        if name == "maps/evidence/0"
        else (lambda: result._read(name))
    )
    with pytest.raises(StoreError, match=f"damaged at {name}"):
        read()
    with pytest.raises(StoreError, match=f"damaged at {name}"):
        writer.read(name)
    if name == schema.CELL_EVIDENCE:
        with pytest.raises(StoreError, match=f"damaged at {name}"):
            writer.rows(name).read(np.arange(3))


@pytest.mark.parametrize("name", [*PER_PATCH[:2], "patches/status", "maps/evidence"])
def test_a_missing_array_is_named(whole, name):
    shutil.rmtree(whole / name)
    with pytest.raises(StoreError, match=f"damaged at {name}"):
        open_result(whole)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]"])
def test_a_damaged_array_document_is_told(whole, text):
    (whole / "patches" / "embedding" / "zarr.json").write_text(text)
    with pytest.raises(StoreError, match="damaged at patches/embedding"):
        open_result(whole)


@pytest.mark.parametrize("text", ["", "{", '{"zarr_format": 3, "node', "[]", None])
def test_a_damaged_root_says_what_to_do_and_not_what_json_says(whole, text):
    file = whole / "zarr.json"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    found = "is missing" if text is None else "cut short or no JSON"
    with pytest.raises(StoreError, match=f"{found}.*delete it and analyze") as told:
        open_result(whole)
    assert "Expecting" not in str(told.value)
    assert "PosixPath" not in str(told.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipe", None),
        ("recipe", {"analyze": {}}),
        ("plan_digest", None),
        ("slide", "text"),
        ("classes", [{"nonsense": 1}]),
        ("grid", {}),
        ("status", None),
        ("prediction", {"classes": 3}),
        ("prediction", None),
        ("schema_version", None),
        ("schema_version", "two"),
    ],
)
def test_missing_and_garbage_attributes_are_told(whole, key, value):
    file = whole / "zarr.json"
    document = json.loads(file.read_text())
    body = document["attributes"]["mmsubtype"]
    if value is None:
        del body[key]
    else:
        body[key] = value
    file.write_text(json.dumps(document))
    with pytest.raises(StoreError, match=r"damaged at its attributes.*analyze anew"):
        open_result(whole)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        (schema.PROCESSOR, "processors"),
        (schema.MAPPED, "map_processors"),
        (schema.FLAGS, "patch_flags"),
        (schema.QUALITY, "patch_measures"),
        (schema.PATCH_CALL, "patch_calls"),
        (schema.ATTRIBUTIONS, "attributions"),
        (schema.UMAP, "patch_map"),
        (schema.EVIDENCE_MAP, "map_levels"),
    ],
)
@pytest.mark.parametrize("text", ['{"zarr_fo', "[]", '{"node_type": "array"}'])
def test_what_not_all_stores_have_is_told_where_it_is_damaged(whole, name, asked, text):
    result = open_result(whole)
    (whole / name).mkdir(exist_ok=True)
    (whole / name / "zarr.json").write_text(text)
    with pytest.raises(StoreError, match=f"damaged at {name}: "):
        getattr(result, asked)


@pytest.mark.parametrize("value", [-1, 5000])
def test_a_patch_outside_the_grid_is_told(whole, value):
    array = zarr.open_array(whole / schema.CELL, mode="r+")
    array[3, 1] = value
    with pytest.raises(StoreError, match=r"at patches/cell: patch 3 lies outside the"):
        open_result(whole)


def test_writing_into_a_damaged_chunk_is_told(begun):
    file = first_chunk(begun, schema.EMBEDDING)
    file.write_bytes(file.read_bytes()[:-3])
    more = np.ones((5, 5)), np.ones((5, 2, 4, 4), np.float32)
    with pytest.raises(StoreError, match=r"damaged at patches/embedding"):
        StoreWriter(begun).write_patches(5, np.ones(5, np.uint8), *more)


def test_what_reads_a_damaged_store_to_write_elsewhere_names_the_store(whole, tmp_path):
    file = first_chunk(whole, "maps/evidence/0")
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(StoreError, match=r"^the result .* is damaged at maps/evid"):
        export_ome_zarr(open_result(whole), tmp_path / "out.zarr")


def test_arrays_opened_by_many_threads_all_keep_their_zeros(tmp_path):
    root = zarr.open_group(tmp_path / "a.zarr", mode="w")
    for number in range(64):
        root.create_array(str(number), shape=(4,), chunks=(2,), dtype="uint8")
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda name: find_array(root, str(name)), range(64)))
    assert all(array.config.write_empty_chunks for array in found)
    assert not zarr.config.get("array.write_empty_chunks")


TOO_MANY = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
NO_THREAD = RuntimeError("can't start new thread")


def failing(error):
    """Stand in for a function that the system lets down."""

    def _fail(*_words, **_more):
        raise error

    return _fail


@pytest.mark.parametrize("error", [TOO_MANY, NO_THREAD], ids=repr)
@pytest.mark.parametrize(
    ("name", "part"),
    [("zarr.open_group", "zarr.json"), ("zarr.Array.__getitem__", "patches/")],
)
def test_what_the_system_does_not_give_is_not_called_damaged(
    whole, monkeypatch, name, part, error
):
    monkeypatch.setattr(name, failing(error))
    with pytest.raises(StoreOutOfReachError, match=f"cannot read {part}") as told:
        open_result(whole)
    assert str(error.args[-1]) in str(told.value)
    assert "no damage: check it and try again" in str(told.value)
    assert "delete" not in str(told.value)


def test_writing_for_which_the_system_has_no_thread_is_no_damage(begun, monkeypatch):
    more = np.ones((5, 5)), np.ones((5, 2, 4, 4), np.float32)
    monkeypatch.setattr(zarr.Array, "__setitem__", failing(NO_THREAD))
    with pytest.raises(StoreOutOfReachError, match="can't start new thread"):
        StoreWriter(begun).write_patches(5, np.ones(5, np.uint8), *more)
