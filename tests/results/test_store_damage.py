"""A store that lost a part, or holds a damaged one, says so and gives no numbers."""

import errno
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr

from builders.results import make_result
from builders.stores import begin_store, complete_store
from napari_mmsubtype.errors import StoreError, StoreOutOfReachError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.export_omezarr import export_ome_zarr
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_damage import WHOLE, find_array, read_whole
from napari_mmsubtype.results.store_writer import StoreWriter

PARTS = (
    schema.EMBEDDING,
    schema.CELL_EVIDENCE,
    schema.QUALITY,
    schema.ORIGIN,
    schema.TISSUE_MASK,
)
"""What partial and complete stores cannot do without."""
OUTCOME = (schema.STATUS, schema.EVIDENCE, schema.WEIGHT, "maps/evidence/0")


@pytest.fixture
def whole(tmp_path):
    return complete_store(tmp_path).path


@pytest.fixture
def begun(tmp_path):
    """A store of 20 patches, five of them done."""
    writer = begin_store(tmp_path)
    rng = np.random.default_rng(0)
    cells = np.zeros((5, 2, 4, 4), np.float32)
    writer.write_patches(0, np.ones(5, np.uint8), rng.normal(size=(5, 5)), cells)
    return writer.path


def chunk(store, name):
    return next(f for f in sorted((store / name / "c").rglob("*")) if f.is_file())


@pytest.mark.parametrize("name", [*PARTS, *OUTCOME])
@pytest.mark.parametrize("how", ["lost", "empty"])
def test_a_complete_store_without_a_chunk_is_refused_by_its_name(whole, name, how):
    if how == "lost":
        chunk(whole, name).unlink()
    else:
        chunk(whole, name).write_bytes(b"")
    with pytest.raises(StoreError, match=rf"damaged at {name}: .*analyze anew") as told:
        open_result(whole)
    assert str(whole) in str(told.value)


@pytest.mark.parametrize("name", PARTS)
def test_a_partial_store_needs_what_it_declares_done(begun, name):
    assert open_result(begun).status == "partial"
    shutil.rmtree(begun / name / "c")
    with pytest.raises(StoreError, match=f"damaged at {name}"):
        open_result(begun)


def test_what_is_not_done_yet_is_not_missed(begun, tmp_path):
    for name in OUTCOME[1:3]:
        assert not (begun / name / "c").exists()
    assert (open_result(begun).patch_status > 0).sum() == 5
    assert open_result(begin_store(tmp_path / "new").path).status == "partial"


def test_zeros_are_no_damage(tmp_path):
    result = make_result(tmp_path, says_nothing=True)
    assert not open_result(result.path).cell_evidence.any()


def test_of_older_stores_embeddings_are_missed_and_zeros_are_not(whole):
    root = zarr.open_group(whole, mode="r+")
    body = dict(root.attrs["mmsubtype"])
    del body[schema.EVERY_CHUNK]
    root.attrs["mmsubtype"] = body
    chunk(whole, schema.CELL_EVIDENCE).unlink()
    assert open_result(whole).status == "complete"
    chunk(whole, schema.EMBEDDING).unlink()
    with pytest.raises(StoreError, match="damaged at patches/embedding"):
        open_result(whole)


@pytest.mark.parametrize("name", [*PARTS[:3], *OUTCOME[1:]])
def test_a_chunk_that_is_cut_short_is_told_when_it_is_read(whole, name):
    file = chunk(whole, name)
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


@pytest.mark.parametrize("name", [*PARTS[:2], "patches/status", "maps/evidence"])
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


def test_writing_into_a_damaged_chunk_is_told(begun):
    file = chunk(begun, schema.EMBEDDING)
    file.write_bytes(file.read_bytes()[:-3])
    more = np.ones((5, 5)), np.ones((5, 2, 4, 4), np.float32)
    with pytest.raises(StoreError, match=r"damaged at patches/embedding"):
        StoreWriter(begun).write_patches(5, np.ones(5, np.uint8), *more)


def test_what_reads_a_damaged_store_to_write_elsewhere_names_the_store(whole, tmp_path):
    file = chunk(whole, "maps/evidence/0")
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


def test_an_array_written_in_one_go_is_read_whole_or_not_at_all(tmp_path):
    root = zarr.open_group(tmp_path / "some.zarr", mode="w")
    zeros = np.zeros((6, 2), np.float32)
    root.create_array("whole", data=zeros, chunks=(4, 2), **WHOLE)
    root.create_array("older", data=zeros, chunks=(4, 2))
    root.create_array("none", data=zeros[:0], chunks=(1, 2), **WHOLE)
    for name in ("whole", "older", "none"):
        assert not read_whole(root, name).any()
    chunk(tmp_path / "some.zarr", "whole").unlink()
    with pytest.raises(StoreError, match="damaged at whole: the file 'c/0/0' is miss"):
        read_whole(root, "whole")


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


def test_a_chunk_that_cannot_be_looked_at_is_not_called_lost(whole, monkeypatch):
    stat = Path.stat

    def _stat(path, **more):
        if path.name == "0":
            raise TOO_MANY
        return stat(path, **more)

    monkeypatch.setattr(Path, "stat", _stat)
    with pytest.raises(StoreOutOfReachError, match="cannot read patches/"):
        open_result(whole)


def test_writing_for_which_the_system_has_no_thread_is_no_damage(begun, monkeypatch):
    more = np.ones((5, 5)), np.ones((5, 2, 4, 4), np.float32)
    monkeypatch.setattr(zarr.Array, "__setitem__", failing(NO_THREAD))
    with pytest.raises(StoreOutOfReachError, match="can't start new thread"):
        StoreWriter(begun).write_patches(5, np.ones(5, np.uint8), *more)
