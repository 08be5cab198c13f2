import numpy as np
import pytest

from builders.bundles import tiny_bundle
from builders.stores import begin_store, complete_store
from builders.umaps import use_stand_in
from napari_mmsubtype import umap
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import (
    ConfigurationError,
    StoreError,
    StoreInUseError,
)
from napari_mmsubtype.models.reference_patches import pack_reference
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_lock import StoreLock
from napari_mmsubtype.results.store_writer import StoreWriter
from napari_mmsubtype.workflows.analyze import analyze_job
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.patch_umap import umap_job

SLIDE = "synthetic:seed=5,size=1024"


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    folder = tmp_path / "stand-in"
    folder.mkdir()
    return use_stand_in(folder, monkeypatch)


def test_a_map_is_made_once_and_kept(tmp_path, stand_in):
    result, told = complete_store(tmp_path), []
    found = umap(result.path, reference="own", on_progress=told.append)
    assert np.isfinite(found.points).all()
    assert not found.is_reference
    np.testing.assert_array_equal(
        open_result(result.path).patch_map.points, found.points
    )
    told.clear()
    again = umap(result.path, reference="own", on_progress=told.append)
    assert [event.message for event in told][-1] == "already made: nothing to do"
    np.testing.assert_array_equal(again.points, found.points)
    other = umap(result.path, reference="own", seed=1)
    assert not np.allclose(other.points, found.points)


def test_the_neighbors_that_there_are_are_recorded(tmp_path, stand_in):
    result, told = complete_store(tmp_path), []
    found = umap(result.path, reference="own", neighbors=500)
    assert found.spec.neighbors == len(result.grid) - 1
    umap(result.path, reference="own", neighbors=600, on_progress=told.append)
    assert told[-1].message == "already made: nothing to do"


def test_patches_without_a_part_in_the_call_have_no_place(tmp_path, stand_in):
    result = complete_store(tmp_path)
    writer = StoreWriter(result.path)
    out = np.zeros(len(result.grid), bool)
    out[[2, 5]] = True
    writer.write_flags(out.astype(np.uint8), out)
    found = umap(result.path, reference="own")
    np.testing.assert_array_equal(np.isnan(found.points[:, 0]), out)


def test_a_cancelled_job_leaves_the_result_as_it_was(tmp_path, stand_in):
    result = complete_store(tmp_path)
    job = umap_job(result.path, reference="own")
    for event in job:
        if event.message == "starting UMAP":
            break
    job.close()
    assert open_result(result.path).patch_map is None
    # Neither a lock nor a piece of the map is in the way of the next.
    assert umap(result.path, reference="own").points.shape == (len(result.grid), 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reference": "mine"}, "one of auto, bundle, own, found 'mine'"),
        ({"neighbors": 1}, "neighbors must be 2 or more, found 1"),
        ({"min_dist": 1.5}, "min_dist must be 0 to 1, found 1.5"),
        ({"seed": -1}, "seed must be 0 to"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, options, words):
    with pytest.raises(ConfigurationError, match=words):
        umap(complete_store(tmp_path).path, **options)


def test_an_interrupted_result_has_to_be_resumed_first(tmp_path):
    with pytest.raises(StoreError, match="is incomplete: run the same request again"):
        umap(begin_store(tmp_path).path)


def test_two_patches_make_no_map(tmp_path):
    result = complete_store(tmp_path)
    status = np.full(len(result.grid), PatchStatus.UNREADABLE, np.uint8)
    status[:2] = PatchStatus.DONE
    StoreWriter(result.path)._put(schema.STATUS, slice(None), status)
    with pytest.raises(StoreError, match="has 2 patches in its call; a map needs 3"):
        umap(result.path)


def test_a_store_that_is_being_written_is_left_alone(tmp_path):
    result = complete_store(tmp_path)
    with StoreLock.acquire(result.path), pytest.raises(StoreInUseError):
        umap(result.path)


def test_a_bundle_that_is_gone_is_an_error_only_if_asked_for(tmp_path, stand_in):
    result = complete_store(tmp_path)  # made by a bundle that was never there
    assert not umap(result.path).is_reference
    with pytest.raises(ConfigurationError, match="pass reference='own'"):
        umap(result.path, reference="bundle")


def test_the_map_of_the_bundle_receives_the_patches(tmp_path, stand_in):
    rows = np.random.default_rng(0).normal(size=(40, 96))
    classes = np.arange(40) % 2
    bundle = tiny_bundle(tmp_path / "b", reference=pack_reference(rows, classes))
    recipe = AnalyzeRecipe(
        slide=SLIDE, bundle=str(bundle), out=str(tmp_path), device="cpu"
    )
    result = run_job(analyze_job(recipe))
    assert result.patch_calls.shape == (len(result.grid), 2)
    found = umap(result.path)
    assert found.reference.shape == (40, 2)
    np.testing.assert_array_equal(found.reference_class, classes)
    used = result.patch_status == PatchStatus.DONE
    assert np.isfinite(found.points[used]).all()
    own = umap(result.path, reference="own")
    assert not own.is_reference
