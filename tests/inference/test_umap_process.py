import subprocess
import time

import numpy as np
import psutil
import pytest

from builders.stores import complete_store
from builders.umaps import use_stand_in
from napari_mmsubtype.errors import ComputeError
from napari_mmsubtype.inference import umap_process
from napari_mmsubtype.inference.umap_process import layout_job
from napari_mmsubtype.results.patch_map import MapSpec


def drive(job):
    events = []
    while True:
        try:
            events.append(next(job))
        except StopIteration as end:
            return events, end.value


def test_places_come_back_and_the_seed_reaches_it(tmp_path, monkeypatch):
    use_stand_in(tmp_path, monkeypatch)
    result, used = complete_store(tmp_path), np.ones(20, bool)
    events, (points, known) = drive(layout_job(result.path, used, MapSpec()))
    assert {event.stage for event in events} == {"umap"}
    assert "laying out the map" in [event.message for event in events]
    assert np.isfinite(points).all()
    assert known.shape == (0, 2)
    reference = np.random.default_rng(0).normal(size=(8, 5))
    _, (other, known) = drive(
        layout_job(result.path, used, MapSpec(seed=1), reference=reference)
    )
    assert known.shape == (8, 2)
    assert not np.allclose(other, points)


def children():
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_closing_the_job_ends_the_process_at_once(tmp_path, monkeypatch):
    use_stand_in(tmp_path, monkeypatch, wait=600)
    result, before = complete_store(tmp_path), children()
    job = layout_job(result.path, np.ones(20, bool), MapSpec())
    while next(job).message != "laying out the map":
        pass
    started = children() - before
    assert started
    begun = time.monotonic()
    job.close()
    assert time.monotonic() - begun < 30
    assert not children() & started


def test_a_process_that_fails_is_told_in_one_line(tmp_path, monkeypatch):
    use_stand_in(tmp_path, monkeypatch, fail="not enough of it")
    result = complete_store(tmp_path)
    with pytest.raises(ComputeError, match=r"code 1 \(MemoryError: not enough of it"):
        drive(layout_job(result.path, np.ones(20, bool), MapSpec()))


def test_a_process_that_cannot_be_started_is_told(tmp_path, monkeypatch):
    result = complete_store(tmp_path)
    monkeypatch.setattr(umap_process.sys, "executable", str(tmp_path / "none"))
    with pytest.raises(ComputeError, match="cannot be started"):
        drive(layout_job(result.path, np.ones(20, bool), MapSpec()))


def test_a_process_that_ends_before_it_reads_is_told(tmp_path, monkeypatch):
    make = subprocess.Popen

    def ended(*words, **options):
        process = make(*words, **options)
        process.wait()
        return process

    monkeypatch.setattr(umap_process, "_BOOT", "raise SystemExit(3)")
    monkeypatch.setattr(umap_process.subprocess, "Popen", ended)
    result = complete_store(tmp_path)
    with pytest.raises(ComputeError, match="Broken pipe"):
        drive(layout_job(result.path, np.ones(20, bool), MapSpec()))
