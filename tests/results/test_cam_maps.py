import errno

import numpy as np
import pytest
import zarr

from builders.stores import complete_store
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results.cam_maps import CamWriter
from napari_mmsubtype.results.overlay import stitch
from napari_mmsubtype.results.store import open_result


@pytest.fixture
def result(tmp_path):
    return complete_store(tmp_path)


def drawn(result, seed=0, channels=2, cells=4):
    shape = (len(result.grid), channels, cells, cells)
    values = np.random.default_rng(seed).normal(size=shape)
    return values.astype(np.float32)


def test_a_map_goes_in_patch_by_patch_and_comes_out_whole(result):
    cells = drawn(result)
    writer = CamWriter(result.path, "grad-cam++", cells.shape)
    writer.write_cells(0, cells[:7])
    assert open_result(result.path).cams == ()
    again = CamWriter(result.path, "grad-cam++", cells.shape)
    assert again.mapped.tolist() == [1] * 7 + [0] * (len(cells) - 7)
    again.write_cells(7, cells[7:])
    assert open_result(result.path).cams == ()
    again.finish(result.grid)
    (found,) = open_result(result.path).cams
    assert (found.method, found.levels, found.channels) == ("grad-cam++", 1, 2)
    assert found.pixel_size == PixelSize(8.0, 8.0)
    expected = stitch(result.grid, cells)
    np.testing.assert_array_equal(found.read(1), expected[1])
    np.testing.assert_allclose(
        found.read(0, against_others=True), expected[0] - expected[1], atol=1e-6
    )


def test_a_map_without_classes_has_one_channel_and_cells_of_its_own(result):
    cells = drawn(result, channels=1, cells=8)
    writer = CamWriter(result.path, "attention-rollout", cells.shape)
    writer.write_cells(0, cells)
    writer.finish(result.grid)
    (found,) = open_result(result.path).cams
    assert (found.channels, found.pixel_size) == (1, PixelSize(4.0, 4.0))
    np.testing.assert_array_equal(
        found.read(against_others=True), stitch(result.grid, cells)[0]
    )


def test_a_layout_that_was_cut_short_is_laid_anew(result):
    cells = drawn(result)
    root = zarr.open_group(result.path, mode="r+")
    root.require_group("cams/hires-cam").create_array(
        "cells", shape=(3, 1, 1, 1), dtype="float32"
    )
    assert open_result(result.path).cams == ()
    writer = CamWriter(result.path, "hires-cam", cells.shape)
    assert writer.cells.shape == cells.shape
    assert not writer.mapped.any()


def test_the_analysis_itself_is_not_touched(result):
    before = result.evidence_map(0), result.prediction, result.cam_method
    cells = drawn(result)
    writer = CamWriter(result.path, "hires-cam", cells.shape)
    writer.write_cells(0, cells)
    writer.finish(result.grid)
    after = open_result(result.path)
    np.testing.assert_array_equal(after.evidence_map(0), before[0])
    assert (after.prediction, after.cam_method) == before[1:]


def test_a_full_disk_is_one_clear_error(result, monkeypatch):
    cells = drawn(result)
    writer = CamWriter(result.path, "hires-cam", cells.shape)

    def full(*_args, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zarr.Array, "__setitem__", full)
    with pytest.raises(StoreError, match=r"No space left.*goes on there"):
        writer.write_cells(0, cells)


def test_what_a_killed_process_was_writing_is_removed(result):
    cells = drawn(result)
    CamWriter(result.path, "hires-cam", cells.shape)
    before = sorted(result.path.rglob("*"))
    for folder in (".", "cams", "cams/hires-cam/cells"):
        (result.path / folder / "zarr.0a1b2c3d.partial").write_bytes(b"{")
    CamWriter(result.path, "hires-cam", cells.shape)
    assert sorted(result.path.rglob("*")) == before


def lose(store, name):
    """Remove the first chunk of an array."""
    next(f for f in sorted((store / name / "c").rglob("*")) if f.is_file()).unlink()


def test_a_map_that_lost_a_part_is_stitched_anew_from_what_is_drawn(result):
    cells = drawn(result)
    cells[:, 1] = 0
    writer = CamWriter(result.path, "grad-cam", cells.shape)
    writer.write_cells(0, cells)
    writer.finish(result.grid)
    (found,) = open_result(result.path).cams
    before = found.read(0), found.read(1)
    lose(result.path, "cams/grad-cam/map/0")
    assert open_result(result.path).cams == ()
    again = CamWriter(result.path, "grad-cam", cells.shape)
    assert again.mapped.all()
    again.finish(result.grid)
    (found,) = open_result(result.path).cams
    np.testing.assert_array_equal((found.read(0), found.read(1)), before)


def test_cells_that_were_lost_are_drawn_anew(result):
    cells = drawn(result)
    writer = CamWriter(result.path, "grad-cam", cells.shape)
    writer.write_cells(0, cells)
    lose(result.path, "cams/grad-cam/cells")
    again = CamWriter(result.path, "grad-cam", cells.shape)
    assert not again.mapped.any()
    again.write_cells(0, cells)
    assert CamWriter(result.path, "grad-cam", cells.shape).mapped.all()


@pytest.mark.parametrize("part", ["", "/cells", "/map/0"])
def test_a_damaged_document_of_a_map_hides_that_map_alone(result, part):
    for method in ("grad-cam", "hires-cam"):
        writer = CamWriter(result.path, method, drawn(result).shape)
        writer.write_cells(0, drawn(result))
        writer.finish(result.grid)
    (result.path / f"cams/grad-cam{part}/zarr.json").write_text('{"zarr_fo')
    assert [cam.method for cam in open_result(result.path).cams] == ["hires-cam"]
    if not part:
        with pytest.raises(StoreError, match="damaged at cams/grad-cam: "):
            CamWriter(result.path, "grad-cam", drawn(result).shape)


def test_cells_of_zeros_are_not_taken_for_lost(result):
    cells = np.zeros_like(drawn(result))
    CamWriter(result.path, "grad-cam", cells.shape).write_cells(0, cells[:5])
    again = CamWriter(result.path, "grad-cam", cells.shape)
    assert again.mapped.sum() == 5
