from __future__ import annotations

import gc
import logging
import threading
import warnings
from typing import Any
from weakref import ref

import pytest
from qtpy.QtCore import QObject

from fakes.jobs import FakeJob
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError, JobCancelled, NoTissueError
from napari_mmsubtype.widgets.job_runner import JobRunner


@pytest.fixture
def runner(qtbot: Any) -> JobRunner:
    return JobRunner("Analyze slide")


def listen(signal: Any) -> list[Any]:
    heard: list[Any] = []
    signal.connect(lambda *args: heard.append(args[0] if args else None))
    return heard


def test_job_runs_in_another_thread_and_gives_its_result(runner, run_job) -> None:
    job = FakeJob("result", steps=4)
    events, results = listen(runner.progressed), listen(runner.succeeded)
    run_job(runner, job)
    assert results == ["result"]
    assert [event.done for event in events] == [1, 2, 3, 4]
    assert job.ran_in != threading.get_ident()
    assert not runner.is_running


def test_a_job_may_return_nothing(runner, run_job) -> None:
    results, cancelled = listen(runner.succeeded), listen(runner.cancelled)
    run_job(runner, FakeJob(None))
    assert results == [None]
    assert cancelled == []


def test_signals_arrive_in_the_gui_thread(runner, run_job) -> None:
    threads: list[int] = []
    runner.progressed.connect(lambda _: threads.append(threading.get_ident()))
    runner.succeeded.connect(lambda _: threads.append(threading.get_ident()))
    run_job(runner, FakeJob(1))
    assert set(threads) == {threading.get_ident()}


def test_cancel_stops_within_one_event_and_closes_the_job_in_its_thread(
    runner, qtbot
) -> None:
    job = FakeJob(steps=1000, pause_s=0.01)
    cancelled, results = listen(runner.cancelled), listen(runner.succeeded)
    at_cancel: list[int] = []

    def cancel(event: Progress) -> None:
        if not at_cancel:
            at_cancel.append(job.yielded)
            runner.cancel()

    runner.progressed.connect(cancel)
    with qtbot.waitSignal(runner.finished, timeout=10_000):
        runner.start(job)
    assert cancelled == [None]
    assert results == []
    assert job.yielded <= at_cancel[0] + 1
    assert job.closed_in == job.ran_in


def test_user_error_becomes_one_notification_and_a_logged_traceback(
    runner, run_job, notifications, caplog
) -> None:
    failed = listen(runner.failed)
    with caplog.at_level(logging.ERROR):
        run_job(runner, FakeJob(error=NoTissueError("slide 'a' shows no tissue")))
    assert notifications == failed == ["slide 'a' shows no tissue"]
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    "kind", [RuntimeError, ValueError, MemoryError, ZeroDivisionError]
)
def test_no_unexpected_error_is_swallowed(
    runner, run_job, notifications, kind: type[Exception]
) -> None:
    failed, results = listen(runner.failed), listen(runner.succeeded)
    run_job(runner, FakeJob(error=kind("CUDA out of memory")))
    assert len(failed) == len(notifications) == 1
    assert kind.__name__ in failed[0]
    assert "CUDA out of memory" in failed[0]
    assert results == []


def test_advice_is_given_in_the_words_of_the_panel(
    runner, run_job, notifications
) -> None:
    error = ConfigurationError("odd values; pass rna_unit='tpm', or mend the table")
    run_job(runner, FakeJob(error=error))
    assert notifications == [
        "odd values; choose 'tpm' under Unit of the RNA table in the panel Omics, or "
        "mend the table"
    ]


def test_job_that_cancels_itself_is_no_error(runner, run_job, notifications) -> None:
    cancelled = listen(runner.cancelled)
    run_job(runner, FakeJob(error=JobCancelled("stopped")))
    assert cancelled == [None]
    assert notifications == []


def test_error_while_making_the_job_is_reported(runner, run_job, notifications) -> None:
    def broken() -> Job[Any]:
        msg = "no such model"
        raise NoTissueError(msg)

    run_job(runner, broken)
    assert notifications == ["no such model"]


def test_second_start_is_refused_while_running(runner, qtbot) -> None:
    with qtbot.waitSignal(runner.finished, timeout=10_000):
        runner.start(FakeJob(steps=5, pause_s=0.02))
        with pytest.raises(RuntimeError, match="still running"):
            runner.start(FakeJob())


def test_next_job_may_start_when_the_last_one_tells_its_end(runner, qtbot) -> None:
    results = listen(runner.succeeded)
    jobs = [FakeJob("second")]
    runner.finished.connect(lambda: jobs and runner.start(jobs.pop()))
    runner.start(FakeJob("first"))
    qtbot.waitUntil(lambda: results == ["first", "second"], timeout=10_000)
    qtbot.waitUntil(lambda: not runner.is_running, timeout=10_000)


def test_job_does_not_touch_the_warning_filters_of_the_window(runner, qtbot) -> None:
    before = list(warnings.filters)
    during: list[bool] = []
    runner.progressed.connect(lambda _: during.append(warnings.filters == before))
    with qtbot.waitSignal(runner.finished, timeout=10_000):
        runner.start(FakeJob(steps=3, pause_s=0.01))
    assert during == [True] * 3
    assert warnings.filters == before


def test_progress_of_unknown_length_is_fine(runner, run_job) -> None:
    def job() -> Job[int]:
        yield Progress("open")
        yield Progress("patches", 2, 10)
        yield Progress("maps")
        return 1

    events = listen(runner.progressed)
    run_job(runner, job)
    assert [event.stage for event in events] == ["open", "patches", "maps"]


@pytest.mark.parametrize("has_bar", [True, False])
def test_a_job_may_go_without_a_bar_of_napari(
    qtbot, run_job, monkeypatch, has_bar
) -> None:
    from napari_mmsubtype.widgets import job_runner

    bars: list[str] = []
    real = job_runner.progress

    def counted(*args: Any, **kwargs: Any) -> Any:
        bars.append(kwargs["desc"])
        return real(*args, **kwargs)

    monkeypatch.setattr(job_runner, "progress", counted)
    runner = JobRunner("Look up", has_bar=has_bar)
    results = listen(runner.succeeded)
    run_job(runner, FakeJob("result", steps=2))
    assert results == ["result"]
    assert bars == (["Look up"] if has_bar else [])


def test_the_bar_of_napari_is_touched_by_news_only(
    runner, run_job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_mmsubtype.widgets import job_runner

    said: list[Any] = []

    class Told(job_runner.progress):
        def set_description(self, desc: str) -> None:
            said.append(desc)

        def update(self, n: int = 1) -> None:
            said.append(n)
            super().update(n)

    monkeypatch.setattr(job_runner, "progress", Told)

    def job() -> Job[str]:
        for _ in range(30):
            yield Progress("fit", message="laying out the map")
        for done in (1, 1, 3):
            yield Progress("place", done, 3)
        return "made"

    heard = listen(runner.progressed)
    run_job(runner, job)
    assert len(heard) == 33
    assert said == ["Analyze slide: fit", "Analyze slide: place", 1, 2]


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_job_ends_with_the_owner_of_its_runner(
    qtbot, monkeypatch, is_paused: bool
) -> None:
    from napari_mmsubtype.widgets import job_runner

    bars: list[Any] = []

    class Kept(job_runner.progress):
        def close(self) -> None:
            bars.append(self)
            super().close()

    monkeypatch.setattr(job_runner, "progress", Kept)
    owner = QObject()
    runner = JobRunner("Analyze slide", owner)
    job = FakeJob(steps=1000, pause_s=0.01)
    with qtbot.waitSignal(runner.progressed, timeout=10_000):
        runner.start(job)
    if is_paused:
        runner.pause()
        qtbot.wait(50)
    before = job.yielded
    worker = runner._worker
    owner.deleteLater()
    del owner, runner
    try:
        qtbot.waitUntil(lambda: job.closed_in is not None, timeout=5000)
    finally:
        worker.quit()  # a job that waits would keep the process from ending
    assert job.closed_in == job.ran_in
    assert job.yielded <= before + 5
    assert len(bars) == 1


def test_what_ended_is_not_ended_again_with_the_owner(qtbot, run_job) -> None:
    owner = QObject()
    runner = JobRunner("Analyze slide", owner)
    job = FakeJob("result")
    run_job(runner, job)
    run_job(runner, FakeJob("second"))
    with qtbot.waitSignal(owner.destroyed, timeout=5000):
        owner.deleteLater()
    assert job.closed_in is None


@pytest.mark.gui
@pytest.mark.parametrize(
    ("kinds", "is_listed"),
    [
        ({"has_bar": False}, False),
        ({"has_bar": False, "is_long": True}, True),
        ({"has_bar": True}, True),
    ],
)
def test_napari_asks_about_long_jobs_and_keeps_no_others(
    make_napari_viewer, qtbot, kinds: dict[str, bool], is_listed: bool
) -> None:
    viewer = make_napari_viewer()
    runner = JobRunner("Job", **kinds)
    results, workers = listen(runner.succeeded), []
    for _ in range(10):
        with qtbot.waitSignal(runner.finished, timeout=10_000):
            runner.start(FakeJob("result"))
            workers.append(ref(runner._worker))
            asks = viewer.window._task_status_manager.is_busy()
        assert asks is is_listed
    assert results == ["result"] * 10

    def count() -> int:
        gc.collect()
        return sum(worker() is not None for worker in workers)

    if is_listed:
        assert count() == 10
    else:
        # The last one is kept until the next; PySide may lose one at a busy moment.
        qtbot.waitUntil(lambda: count() <= 4, timeout=5000)
