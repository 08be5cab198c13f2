from __future__ import annotations

from typing import Any

import pytest

from fakes.jobs import FakeJob
from napari_mmsubtype.errors import NoTissueError
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
