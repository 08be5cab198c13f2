"""One voice for several processes, and one end."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from napari_mmsubtype.cli.progress_line import ProgressLine
from napari_mmsubtype.errors import JobCancelled

if TYPE_CHECKING:
    from collections.abc import Iterator

STOPPED = 130
"""Exit code of a process that was ended with the others, as of a cancelled one."""


@contextmanager
def shared_progress() -> Iterator[ProgressLine]:
    """Show progress in the first of the processes that ``torchrun`` started.

    The signal with which ``torchrun`` ends the others, when one has failed, stops this
    process as Ctrl-C does: files are whole or not there, locks are let go.

    Yields
    ------
    ProgressLine
        Receives the events; silent in the other processes.
    """
    from napari_mmsubtype.workflows.started_processes import process_count, process_rank

    first = process_rank() == 0
    before = signal.getsignal(signal.SIGTERM)
    if process_count() > 1:
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ProgressLine(shown=first) as progress:
            yield progress
    except JobCancelled:
        if first:
            raise
        raise typer.Exit(STOPPED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
