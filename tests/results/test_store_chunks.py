"""A store that lost a chunk says so, and gives no zeros in its place."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from builders.results import make_attributions, make_result
from builders.stores import begin_store, begun_store, complete_store, first_chunk
from napari_mmsubtype.errors import StoreError, StoreOutOfReachError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.cam_maps import CamWriter
from napari_mmsubtype.results.patch_calls import write_patch_calls
from napari_mmsubtype.results.patch_map import MapSpec, PatchMap, write_patch_map
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_chunks import STORED, WHOLE, read_whole
from napari_mmsubtype.results.store_damage import read_array

PARTS = (
    schema.EMBEDDING,
    schema.CELL_EVIDENCE,
    schema.QUALITY,
    schema.PROCESSOR,
    schema.ORIGIN,
    schema.TISSUE_MASK,
)
"""What partial and complete stores cannot do without."""
OUTCOME = (
    schema.EVIDENCE,
    schema.WEIGHT,
    schema.FLAGS,
    schema.STATUS,
    schema.MAPPED,
    "maps/evidence/0",
)


@pytest.fixture
def whole(tmp_path):
    return complete_store(tmp_path).path


@pytest.fixture
def begun(tmp_path):
    return begun_store(tmp_path).path


@pytest.mark.parametrize("name", [*PARTS, *OUTCOME])
@pytest.mark.parametrize("how", ["lost", "empty", "a folder"])
def test_a_complete_store_without_a_chunk_is_refused_by_its_name(whole, name, how):
    file = first_chunk(whole, name)
    file.unlink()
    if how == "empty":
        file.write_bytes(b"")
    elif how == "a folder":
        file.mkdir()
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
    for name in OUTCOME[:3]:
        assert not (begun / name / "c").exists()
    assert (open_result(begun).patch_status > 0).sum() == 5
    assert open_result(begin_store(tmp_path / "new").path).status == "partial"


@pytest.mark.parametrize("older", [True, False])
def test_a_complete_store_has_a_map_and_its_finest_level(whole, older):
    assert open_result(whole).map_levels == 1
    if older:
        forget_every_chunk(whole)
    shutil.copytree(whole / "maps/evidence/0", whole / "maps/evidence/1")
    assert open_result(whole).map_levels == 2
    shutil.rmtree(whole / "maps/evidence/0")
    with pytest.raises(StoreError, match="damaged at maps/evidence/0: it is missing"):
        open_result(whole)
    shutil.rmtree(whole / "maps/evidence/1")
    with pytest.raises(StoreError, match="damaged at maps/evidence: the map is miss"):
        open_result(whole)


def forget_every_chunk(store):
    """Make a store one of a version that left out chunks of zeros."""
    root = zarr.open_group(store, mode="r+")
    body = dict(root.attrs["mmsubtype"])
    del body[schema.EVERY_CHUNK]
    root.attrs["mmsubtype"] = body


def test_zeros_are_no_damage(tmp_path):
    result = make_result(tmp_path, says_nothing=True)
    assert not open_result(result.path).cell_evidence.any()


def test_of_older_stores_embeddings_are_missed_and_zeros_are_not(whole):
    forget_every_chunk(whole)
    first_chunk(whole, schema.CELL_EVIDENCE).unlink()
    assert open_result(whole).status == "complete"
    first_chunk(whole, schema.EMBEDDING).unlink()
    with pytest.raises(StoreError, match="damaged at patches/embedding"):
        open_result(whole)


def test_an_array_written_in_one_go_is_read_whole_or_not_at_all(tmp_path):
    root = zarr.open_group(tmp_path / "some.zarr", mode="w")
    zeros = np.zeros((6, 2), np.float32)
    root.create_array("whole", data=zeros, chunks=(4, 2), **WHOLE)
    root.create_array("older", data=zeros, chunks=(4, 2))
    root.create_array("none", data=zeros[:0], chunks=(1, 2), **WHOLE)
    for name in ("whole", "older", "none"):
        assert not read_whole(root, name).any()
    first_chunk(tmp_path / "some.zarr", "whole").unlink()
    with pytest.raises(StoreError, match="damaged at whole: the file 'c/0/0' is miss"):
        read_whole(root, "whole")


def test_a_chunk_that_cannot_be_looked_at_is_not_called_lost(whole, monkeypatch):
    stat = Path.stat

    def _stat(path, **more):
        if path.name == "0":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return stat(path, **more)

    monkeypatch.setattr(Path, "stat", _stat)
    with pytest.raises(StoreOutOfReachError, match="cannot read patches/"):
        open_result(whole)


def test_no_bit_of_a_chunk_changes_what_is_read(tmp_path):
    root = zarr.open_group(tmp_path / "some.zarr", mode="w")
    # Random numbers do not get smaller: zstd stores them as they are.
    values = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    root.create_array("some", data=values, **STORED)
    file = first_chunk(tmp_path / "some.zarr", "some")
    sound, refused = file.read_bytes(), 0
    for bit in range(8 * len(sound)):
        data = bytearray(sound)
        data[bit // 8] ^= 1 << bit % 8
        file.write_bytes(data)
        try:
            found = read_array(root, "some")
        except StoreError:
            refused += 1
        else:
            assert np.array_equal(found, values)
    assert refused >= 8 * values.nbytes


def test_every_array_of_a_store_has_a_checksum(tmp_path):
    result = make_result(tmp_path, attributions=make_attributions())
    n = len(result.grid)
    write_patch_calls(result.path, np.ones(n, bool), np.ones((n, 2), np.float32))
    write_patch_map(result.path, PatchMap(np.zeros((n, 2), np.float32), MapSpec()))
    cam = CamWriter(result.path, "grad-cam", (n, 2, 8, 8))
    cam.write_cells(0, np.ones((n, 2, 8, 8), np.float32))
    cam.finish(result.grid)
    documents = [json.loads(f.read_text()) for f in result.path.rglob("zarr.json")]
    arrays = [d["codecs"] for d in documents if d["node_type"] == "array"]
    assert len(arrays) > 20
    for codecs in arrays:
        assert codecs[-1] == {
            "name": "zstd",
            "configuration": {"level": 0, "checksum": True},
        }


def test_arrays_of_older_stores_without_a_checksum_are_read(tmp_path):
    root = zarr.open_group(tmp_path / "some.zarr", mode="w")
    root.create_array("older", data=np.arange(5))
    assert read_whole(root, "older").tolist() == [0, 1, 2, 3, 4]
