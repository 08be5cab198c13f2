import errno
import io
import sys

import pytest
from rich.console import Console

from napari_mmsubtype.cli import progress_line
from napari_mmsubtype.cli.progress_line import ProgressLine
from napari_mmsubtype.core.progress import Progress


def test_stages_are_lines_where_there_is_no_terminal(capsys):
    with ProgressLine() as progress:
        progress(Progress("open", message="opening"))
        progress(Progress("patches", 1, 3, "10.0 patches/s"))
        progress(Progress("patches", 2, 3, "11.0 patches/s"))
        progress(Progress("patches", 3, 3, "12.0 patches/s"))
    captured = capsys.readouterr()
    assert captured.out == ""
    # The middle one came too soon after the first to be worth a line.
    assert captured.err.splitlines() == [
        "open opening",
        "patches 1/3 10.0 patches/s",
        "patches 3/3 12.0 patches/s",
    ]


def test_of_a_refused_request_only_the_reason_is_written(capsys):
    def refused():
        with ProgressLine() as progress:
            progress(Progress("open", message="opening"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        refused()
    assert capsys.readouterr().err == ""


def test_stages_without_counts_are_written_in_the_end(capsys):
    with ProgressLine() as progress:
        progress(Progress("patches", 1, 1))
        progress(Progress("fuse"))
    assert capsys.readouterr().err.splitlines() == ["patches 1/1", "fuse"]


def test_a_line_that_cannot_be_written_ends_no_work(monkeypatch):
    class Full(io.StringIO):
        def write(self, _text):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    with ProgressLine() as progress:
        progress(Progress("patches", 1, 3))
        progress(Progress("patches", 3, 3))


def test_a_long_stage_speaks_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress_line, "_LINE_EVERY_S", -1.0)
    with ProgressLine() as progress:
        for done in range(1, 4):
            progress(Progress("patches", done, 9))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["patches 1/9", "patches 2/9", "patches 3/9"]


def test_prints_of_libraries_do_not_reach_stdout(capsys):
    with ProgressLine():
        sys.stdout.write("downloading\n")
    sys.stdout.write("outcome\n")
    captured = capsys.readouterr()
    assert captured.out == "outcome\n"
    assert captured.err == "downloading\n"


def test_stdout_returns_after_an_error(capsys):
    with pytest.raises(ZeroDivisionError), ProgressLine():
        raise ZeroDivisionError
    sys.stdout.write("here\n")
    assert capsys.readouterr().out == "here\n"


def test_a_terminal_gets_one_bar_with_rate_and_count(monkeypatch):
    screen = io.StringIO()

    def console(**_kwargs):
        return Console(file=screen, force_terminal=True, width=120, color_system=None)

    monkeypatch.setattr(progress_line, "Console", console)
    with ProgressLine() as progress:
        progress(Progress("open"))
        progress(Progress("patches", 4, 8, "12.0 patches/s, [2 s] left"))
        progress._bar.refresh()
    shown = screen.getvalue()
    assert "4/8" in shown
    assert "12.0 patches/s, [2 s] left" in shown
