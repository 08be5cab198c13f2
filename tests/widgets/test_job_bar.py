from __future__ import annotations

from typing import Any

import pytest

from fakes.jobs import FakeJob
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import NoTissueError
from napari_mmsubtype.widgets import job_bar
from napari_mmsubtype.widgets.job_bar import JobBar
from napari_mmsubtype.widgets.job_runner import JobRunner


@pytest.fixture
def bar(qtbot: Any) -> JobBar:
    widget = JobBar(JobRunner("Job"))
    qtbot.addWidget(widget)
    return widget


def test_run_is_asked_for_not_done(bar, qtbot) -> None:
    with qtbot.waitSignal(bar.runRequested, timeout=1000):
        bar.runButton.click()
    assert not bar._runner.is_running


def test_buttons_follow_the_job(bar, qtbot) -> None:
    assert bar.runButton.isEnabled()
    assert not bar.cancelButton.isEnabled()
    with qtbot.waitSignal(bar._runner.finished, timeout=10_000):
        bar._runner.start(FakeJob(1, pause_s=0.02))
        assert not bar.runButton.isEnabled()
        assert bar.cancelButton.isEnabled()
    assert bar.runButton.isEnabled()
    assert not bar.cancelButton.isEnabled()
    assert bar.text() == "Done."


def test_rate_and_time_left_are_shown(bar, qtbot) -> None:
    texts: list[str] = []
    bar._runner.progressed.connect(lambda _: texts.append(bar.text()))
    with qtbot.waitSignal(bar._runner.finished, timeout=10_000):
        bar._runner.start(FakeJob(1))
    assert "12.0 patches/s" in texts


def test_cancel_button_cancels_and_says_how_to_go_on(bar, qtbot) -> None:
    with qtbot.waitSignal(bar._runner.cancelled, timeout=10_000):
        bar._runner.start(FakeJob(1, steps=1000, pause_s=0.01))
        bar.cancelButton.click()
        assert not bar.cancelButton.isEnabled()
    assert "resume" in bar.text()


def test_error_stays_readable(bar, run_job, notifications) -> None:
    run_job(bar._runner, FakeJob(error=NoTissueError("no tissue")))
    assert bar.text() == "no tissue"
    bar.runButton.click()  # nothing starts: a field may stand in the way
    assert bar.text() == ""


def test_pause_stops_between_batches_and_resume_goes_on(bar, qtbot) -> None:
    job = FakeJob("result", steps=40, pause_s=0.01)
    results: list[str] = []
    bar._runner.succeeded.connect(results.append)
    assert not bar.pauseButton.isEnabled()
    with qtbot.waitSignal(bar._runner.finished, timeout=20_000):
        with qtbot.waitSignal(bar._runner.progressed, timeout=10_000):
            bar._runner.start(job)
        bar.pauseButton.click()
        assert bar.pauseButton.text() == "Resume"
        qtbot.wait(200)
        at_rest = job.yielded
        qtbot.wait(200)
        assert job.yielded == at_rest < 40
        assert bar.cancelButton.isEnabled()
        assert "Resume" in bar.text()
        bar.pauseButton.click()
        assert bar.pauseButton.text() == "Pause"
    assert results == ["result"]
    assert job.yielded == 40
    assert not bar.pauseButton.isEnabled()


def test_a_paused_job_can_be_cancelled_and_the_next_one_is_not_paused(
    bar, qtbot, run_job
) -> None:
    job = FakeJob(steps=1000, pause_s=0.01)
    with qtbot.waitSignal(bar._runner.cancelled, timeout=10_000):
        with qtbot.waitSignal(bar._runner.progressed, timeout=10_000):
            bar._runner.start(job)
        bar.pauseButton.click()
        qtbot.wait(100)
        bar.cancelButton.click()
    assert job.closed_in is not None
    assert bar.pauseButton.text() == "Pause"
    run_job(bar._runner, FakeJob(1))
    assert bar.text() == "Done."


def test_a_pause_that_is_taken_back_at_once_does_not_last(bar, qtbot) -> None:
    with qtbot.waitSignal(bar._runner.succeeded, timeout=10_000):
        bar._runner.start(FakeJob(1, steps=20, pause_s=0.01))
        bar.pauseButton.click()
        bar.pauseButton.click()


def test_a_pause_before_the_patches_names_no_numbers(bar, qtbot, monkeypatch) -> None:
    monkeypatch.setattr(JobRunner, "is_paused", property(lambda _: True))
    bar._on_progress(Progress("tissue", message="finding tissue"))
    assert bar.text() == "paused; Resume goes on"
    assert bar._bar.maximum() == 1
    bar._on_progress(Progress("patches", 3, 12))
    assert bar.text() == "paused at 3 of 12; Resume goes on"


def test_a_stage_is_drawn_at_once_and_then_twice_a_second(bar, qtbot) -> None:
    bar._on_progress(Progress("patches", 1, 12))
    assert bar._bar.value() == 1
    bar._on_progress(Progress("patches", 2, 12))
    bar._on_progress(Progress("patches", 3, 12))
    # Nothing is lost: what was told last is drawn when the pause is over.
    assert bar._bar.value() == 1
    qtbot.waitUntil(lambda: bar._bar.value() == 3, timeout=10_000)
    bar._on_progress(Progress("maps", 1, 5))
    assert (bar._bar.value(), bar._bar.maximum()) == (1, 5)


def test_nothing_of_a_job_is_drawn_after_its_end(bar, qtbot, run_job) -> None:
    run_job(bar._runner, FakeJob(1, steps=5))
    qtbot.wait(job_bar.INTERVAL_MS + 200)
    assert bar.text() == "Done."


def test_the_bar_never_swings(bar, qtbot) -> None:
    ranges: list[int] = []
    bar._runner.started.connect(lambda: ranges.append(bar._bar.maximum()))
    bar._runner.progressed.connect(lambda _: ranges.append(bar._bar.maximum()))

    def job() -> Job[int]:
        yield Progress("open", message="opening the slide")
        yield Progress("patches", 3, 12)
        return 1

    with qtbot.waitSignal(bar._runner.finished, timeout=10_000):
        bar._runner.start(job)
    assert ranges == [1, 1, 12]
