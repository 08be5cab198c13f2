"""One of several processes speaks, and all end in order when one has failed."""

import os
import signal
import sys

import pytest
import typer

from napari_mmsubtype.cli.shared_run import STOPPED, shared_progress
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.errors import JobCancelled


@pytest.fixture
def rank(monkeypatch):
    """Say which of two processes this is."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    return lambda number: monkeypatch.setenv("RANK", str(number))


def show():
    with shared_progress() as progress:
        progress(Progress("folds", 1, 2, "evidence"))


def test_the_first_process_alone_tells_how_far_it_is(rank, capsys):
    rank(0)
    show()
    assert capsys.readouterr().err == "folds 1/2 evidence\n"
    rank(1)
    show()
    assert capsys.readouterr().err == ""


def test_the_first_process_alone_says_that_it_was_stopped(rank):
    rank(0)
    with pytest.raises(JobCancelled, match="stopped"), shared_progress():
        raise JobCancelled("stopped")
    rank(1)
    with pytest.raises(typer.Exit) as caught, shared_progress():
        raise JobCancelled("stopped")
    assert caught.value.exit_code == STOPPED


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes at once")
def test_the_signal_of_torchrun_interrupts_and_no_other_process(rank, monkeypatch):
    ended = []
    before = signal.signal(signal.SIGTERM, lambda *_: ended.append("alone"))
    try:
        rank(0)
        with pytest.raises(KeyboardInterrupt), shared_progress():
            os.kill(os.getpid(), signal.SIGTERM)
        monkeypatch.delenv("WORLD_SIZE")
        with shared_progress():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == ["alone"]
