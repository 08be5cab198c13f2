"""Show a job's progress on stderr, drawn on a terminal and written elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress

if TYPE_CHECKING:
    from napari_mmsubtype.core.progress import Progress

_LINE_EVERY_S = 10.0


class ProgressLine:
    """Receives progress events between ``with`` and its end.

    Whatever a library prints meanwhile goes to stderr, so that stdout carries the
    outcome and nothing else.

    Parameters
    ----------
    shown : bool, default: True
        Whether to write anything; of several processes one speaks for all.
    """

    def __init__(self, *, shown: bool = True) -> None:
        self._shown = shown
        self._console = Console(stderr=True)
        self._bar: RichProgress | None = None
        self._task: int | None = None
        self._stage = ""
        self._last_line = 0.0
        self._held: list[str] = []
        self._redirect = redirect_stdout(sys.stderr)

    def __enter__(self) -> Self:
        self._redirect.__enter__()
        if self._shown and self._console.is_terminal:
            self._bar = RichProgress(
                SpinnerColumn(),
                TextColumn("{task.fields[stage]:<8}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=self._console,
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is None:
            self._write_held()
        self._redirect.__exit__(None, None, None)

    def __call__(self, event: Progress) -> None:
        """Show one event.

        Parameters
        ----------
        event : Progress
            As a job yields it.
        """
        if not self._shown:
            return
        is_new = event.stage != self._stage
        self._stage = event.stage
        if self._bar is not None:
            self._draw(self._bar, event, is_new=is_new)
        else:
            self._write(event, is_new=is_new)

    def _draw(self, bar: RichProgress, event: Progress, *, is_new: bool) -> None:
        if is_new:
            if self._task is not None:
                bar.remove_task(bar.task_ids[0])
            self._task = bar.add_task("", total=None, stage=escape(event.stage))
        bar.update(
            bar.task_ids[0],
            description=escape(event.message),
            completed=event.done,
            total=event.total or None,
        )

    def _write(self, event: Progress, *, is_new: bool) -> None:
        """Write a line per stage, and one now and then within a long stage.

        The first stages check the input; their lines wait until work is being counted,
        so that of a refused request only the reason is written.
        """
        now = time.monotonic()
        is_last = event.total > 0 and event.done == event.total
        if not (is_new or is_last or now - self._last_line > _LINE_EVERY_S):
            return
        self._last_line = now
        count = f" {event.done}/{event.total}" if event.total else ""
        message = f" {event.message}" if event.message else ""
        self._held.append(f"{event.stage}{count}{message}")
        if event.total > 0:
            self._write_held()

    def _write_held(self) -> None:
        # Hours of work must not end because nobody can read how far it is: the disk of
        # a log file is full, or who read the pipe has gone. The outcome is told anyway.
        with suppress(OSError):
            for line in self._held:
                print(line, file=sys.stderr, flush=True)
        self._held.clear()
