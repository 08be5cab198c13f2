"""A disk that fills up stops an analysis in one sentence, and costs nothing done."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows.analyze import analyze

SLIDE = "synthetic:seed=8,size=2048"
REQUEST = {"device": "cpu", "batch_size": 8}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def straight(bundle, tmp_path_factory):
    return analyze(SLIDE, bundle, out=tmp_path_factory.mktemp("out"), **REQUEST)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 120 KB in memory, which `grow` makes larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def check_resumed(resumed, straight):
    np.testing.assert_array_equal(resumed.embeddings, straight.embeddings)
    np.testing.assert_array_equal(resumed.patch_status, straight.patch_status)
    found, expected = resumed.prediction.call, straight.prediction.call
    assert found.logits == pytest.approx(expected.logits, rel=1e-6)
    np.testing.assert_allclose(resumed.evidence_map(0), straight.evidence_map(0))


def test_a_disk_that_is_really_full(bundle, straight, small_disk):
    with pytest.raises(StoreError, match="No space left") as caught:
        analyze(SLIDE, bundle, out=small_disk, **REQUEST)
    assert "resumes" in str(caught.value)
    assert "\n" not in str(caught.value)
    (store,) = small_disk.iterdir()
    partial = open_result(store)
    assert partial.status == "partial"
    done = int((partial.patch_status == 1).sum())
    assert done < len(partial.grid)
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    events = []
    resumed = analyze(
        SLIDE, bundle, out=small_disk, on_progress=events.append, **REQUEST
    )
    assert resumed.path == store
    first = next(event for event in events if event.stage == "patches")
    assert first.done == done + 8
    check_resumed(resumed, straight)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_wherever_the_disk_fills_up_the_same_request_resumes(
    bundle, straight, tmp_path, monkeypatch, share
):
    import zarr.storage._local as local

    put, count = local._put, 0

    def counting(*args, **kwargs):
        nonlocal count
        count += 1
        return put(*args, **kwargs)

    monkeypatch.setattr(local, "_put", counting)
    analyze(SLIDE, bundle, out=tmp_path / "count", **REQUEST)
    room, count = int(count * share), 0

    def filling(*args, **kwargs):
        nonlocal count
        count += 1
        if count > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return put(*args, **kwargs)

    monkeypatch.setattr(local, "_put", filling)
    with pytest.raises(StoreError, match="No space left"):
        analyze(SLIDE, bundle, out=tmp_path / "out", **REQUEST)
    monkeypatch.setattr(local, "_put", put)
    left = list((tmp_path / "out").iterdir())
    assert all(not path.name.startswith(".") for path in left)
    resumed = analyze(SLIDE, bundle, out=tmp_path / "out", **REQUEST)
    check_resumed(resumed, straight)
