import errno
import json
import shutil
import threading
import time
from dataclasses import asdict, replace

import numpy as np
import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import StoreInUseError, StoreOutOfReachError
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_lock import StoreLock, lock_path
from napari_mmsubtype.results.store_names import store_path
from napari_mmsubtype.results.store_writer import StoreWriter
from napari_mmsubtype.workflows import store_opening
from napari_mmsubtype.workflows.analyze import analyze, analyze_job

SLIDE = "synthetic:seed=5,size=1024"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


def begin(bundle, out):
    """Run an analysis up to its first batch of patches."""
    job = analyze_job(
        AnalyzeRecipe(
            slide=SLIDE, bundle=str(bundle), out=str(out), device="cpu", batch_size=4
        )
    )
    event = next(job)
    while event.stage != "patches" or not event.done:
        event = next(job)
    return job


def test_a_second_analysis_of_the_same_request_is_refused_and_harms_nothing(
    bundle, tmp_path
):
    first = begin(bundle, tmp_path)
    with pytest.raises(StoreInUseError, match="being written to by this program"):
        begin(bundle, tmp_path)
    first.close()
    assert [path.name for path in tmp_path.iterdir()] == ["synthetic-5.mmsubtype.zarr"]
    resumed = analyze(SLIDE, bundle, out=tmp_path, device="cpu", batch_size=4)
    assert resumed.status == "complete"
    assert (resumed.patch_status > 0).all()
    assert not lock_path(resumed.path).exists()


def test_a_complete_store_is_given_whoever_uses_it(bundle, tmp_path):
    done = analyze(SLIDE, bundle, out=tmp_path, device="cpu")
    with StoreLock.acquire(done.path):
        again = analyze(SLIDE, bundle, out=tmp_path, device="cpu")
    assert again.path == done.path


def test_another_request_does_not_wait_for_the_one_that_runs(bundle, tmp_path):
    first = begin(bundle, tmp_path)
    other = analyze(SLIDE, bundle, stride_px=96, out=tmp_path, device="cpu")
    assert other.path.name.endswith("-2.mmsubtype.zarr")
    first.close()


def test_a_store_that_another_process_is_laying_out_is_waited_for(bundle, tmp_path):
    path = store_path(tmp_path, "synthetic-5")
    lock = StoreLock.acquire(path)
    timer = threading.Timer(0.4, lock.release)
    before = time.monotonic()
    timer.start()
    result = analyze(SLIDE, bundle, out=tmp_path, device="cpu")
    timer.join()
    assert result.path == path
    assert time.monotonic() - before > 0.4


def test_waiting_for_a_store_ends_with_the_reason(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(store_opening, "CREATION_S", 0.2)
    path = store_path(tmp_path, "synthetic-5")
    with (
        StoreLock.acquire(path),
        pytest.raises(StoreInUseError, match="being written to"),
    ):
        analyze(SLIDE, bundle, out=tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_finished_store_loses_the_lock_of_a_killed_process_only(bundle, tmp_path):
    path = analyze(SLIDE, bundle, out=tmp_path, device="cpu").path
    with StoreLock.acquire(path) as living:
        assert analyze(SLIDE, bundle, out=tmp_path, device="cpu").path == path
        assert living.path.exists()
        # As it is after a kill between the prediction and the release.
        left = replace(living.owner, birth="another boot/1")
        living.path.write_text(json.dumps(asdict(left)))
        assert analyze(SLIDE, bundle, out=tmp_path, device="cpu").path == path
        assert list(tmp_path.iterdir()) == [path]


def test_the_store_says_what_was_asked_of_what(bundle, tmp_path):
    job = begin(bundle, tmp_path)
    job.close()
    (path,) = tmp_path.iterdir()
    kept = open_result(path)
    assert kept.recipe.slide == SLIDE
    assert kept.provenance["device"] == "cpu"
    assert not StoreWriter(path).is_complete
    assert np.asarray(kept.patch_status).any()


@pytest.mark.parametrize("how", ["cut", "empty", "gone", "chunk"])
def test_a_damaged_store_is_passed_over_and_left_as_it_is(
    bundle, tmp_path, caplog, how
):
    first = analyze(SLIDE, bundle, out=tmp_path, device="cpu")
    file = first.path / "zarr.json"
    if how == "chunk":
        file = first.path / "patches" / "embedding" / "c" / "0" / "0"
    if how in ("gone", "chunk"):
        file.unlink()
    else:
        file.write_text("" if how == "empty" else '{"zarr_format": 3, "attri')
    kept = sorted(first.path.rglob("*"))
    again = analyze(SLIDE, bundle, out=tmp_path, device="cpu")
    assert again.path.name == "synthetic-5-2.mmsubtype.zarr"
    assert again.prediction.call == first.prediction.call
    (told,) = [r.message for r in caplog.records if "passed over" in r.message]
    assert str(first.path) in told
    assert "delete it" in told
    assert sorted(first.path.rglob("*")) == kept
    assert analyze(SLIDE, bundle, out=tmp_path, device="cpu").path == again.path


def test_a_store_out_of_reach_is_not_passed_over(bundle, tmp_path, monkeypatch):
    begin(bundle, tmp_path).close()

    def _fail(*_words, **_more):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("zarr.open_group", _fail)
        with pytest.raises(StoreOutOfReachError, match="Too many open files"):
            analyze(SLIDE, bundle, out=tmp_path, device="cpu", batch_size=4)
    done = analyze(SLIDE, bundle, out=tmp_path, device="cpu", batch_size=4)
    assert [path.name for path in tmp_path.iterdir()] == [done.path.name]


def test_a_run_does_not_go_on_with_patches_that_were_lost(bundle, tmp_path):
    begin(bundle, tmp_path).close()
    (path,) = tmp_path.iterdir()
    shutil.rmtree(path / "patches" / "embedding" / "c")
    after = analyze(SLIDE, bundle, out=tmp_path, device="cpu", batch_size=4)
    fresh = analyze(SLIDE, bundle, out=tmp_path / "new", device="cpu", batch_size=4)
    assert after.path != path
    np.testing.assert_array_equal(after.embeddings, fresh.embeddings)
