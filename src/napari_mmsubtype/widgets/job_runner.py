"""Run a job in a worker thread: progress, cancelling and errors, in one place."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker
from napari.utils import progress
from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal
from superqt.utils import create_worker as create_unlisted_worker

from napari_mmsubtype.core.option_words import Door, for_door
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import JobCancelled, MMSubtypeError

logger = logging.getLogger(__name__)

_PARTING_S = 0.002
"""Pause of a worker before its thread lets go of it.

PySide 6.11 never frees what a thread lets go of while another one makes objects of Qt,
as the GUI thread does when it hears that a job has ended: 4 of 5 workers stayed.
"""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a job ended."""

    result: Any = None
    error: Exception | None = None
    cancelled: bool = False


class _JobWorker(GeneratorWorker):
    """A worker that ends its generator in its own thread and leaves warnings alone.

    Otherwise the generator of a cancelled job would be closed by the garbage collector,
    at any time and in any thread, and the job's files and readers with it. And superqt
    swaps the warning filters of the whole process while a worker runs; when the GUI
    thread does likewise meanwhile, as napari does to draw labels, one of both restores
    the other's filters for good.
    """

    def go_on(self) -> None:
        """Take back a pause, also one that has not begun."""
        self._pause_requested = False
        self.resume()

    def run(self) -> None:
        self.started.emit()
        self._running = True
        try:
            outcome = self.work()
        finally:
            self._gen.close()
            self._running = False
        if outcome is not None:
            self.returned.emit(outcome)
        self.finished.emit()
        self._finished.emit(self)
        time.sleep(_PARTING_S)


def _drive(make_job: Callable[[], Job[Any]]) -> Generator[Progress, None, _Outcome]:
    """Run a job and turn every failure into a value.

    superqt takes a `RuntimeError` (what PyTorch raises for a full GPU) for a deleted
    worker and would swallow it.
    """
    try:
        result = yield from make_job()
    except JobCancelled:
        return _Outcome(cancelled=True)
    except Exception as err:  # noqa: BLE001 - the edge where errors become messages
        return _Outcome(error=err)
    return _Outcome(result=result)


class JobRunner(QObject):
    """Runs one job at a time away from the GUI thread.

    Signals arrive in the GUI thread. An error is shown as a napari notification, its
    traceback goes to the log. Cancelling takes effect at the job's next event.

    Parameters
    ----------
    title : str
        Shown with napari's own progress bar, for example ``"Analyze slide"``.
    parent : QObject, optional
        Owner; a running job is asked to stop when it goes.
    has_bar : bool, default: True
        Show the job among napari's activities; jobs that a panel shows itself go
        without. Making that bar takes longer than short ones do, and the sign that
        turns beside it has the whole window put together 25 times a second: without
        a graphics card, long ones would share the processor with it.
    is_long : bool, default: False
        Have napari ask before its window is closed meanwhile, as it does where there
        is a bar. It lists each such job, with its worker, for the life of the window:
        those that run again and again go without.
    asked_about : tuple of type, default: ()
        Errors after which the owner asks the user what to do: the question says what
        happened, and a notification beside it would outlast the answer.
    door : Door, default: Door.ANALYZE_PANEL
        In whose words errors give advice.
    """

    started = Signal()
    progressed = Signal(object)
    succeeded = Signal(object)
    failed = Signal(str)
    cancelled = Signal()
    finished = Signal()

    def __init__(
        self,
        title: str,
        parent: QObject | None = None,
        *,
        has_bar: bool = True,
        is_long: bool = False,
        asked_about: tuple[type[Exception], ...] = (),
        door: Door = Door.ANALYZE_PANEL,
    ) -> None:
        super().__init__(parent)
        self.title = title
        self._asked_about = asked_about
        self._door = door
        self._has_bar = has_bar
        is_listed = has_bar or is_long
        self._create: Callable[..., _JobWorker] = (
            create_worker if is_listed else create_unlisted_worker
        )
        self._worker: _JobWorker | None = None
        self._former: _JobWorker | None = None
        self._is_paused = False
        self._outcome: _Outcome | None = None
        self.last_error: Exception | None = None
        self._bar: progress | None = None
        self._stage = ""
        # Called when nothing of this may be left but what it holds.
        ending = self._ending = ExitStack()
        self.destroyed.connect(lambda *_: ending.close())

    @property
    def is_running(self) -> bool:
        """Whether a job is under way."""
        return self._worker is not None

    def start(self, make_job: Callable[[], Job[Any]]) -> None:
        """Start a job.

        Parameters
        ----------
        make_job : callable
            Makes the job; called in the worker thread, so it may import what is heavy.

        Raises
        ------
        RuntimeError
            If a job is still running.
        """
        if self._worker is not None:
            msg = "a job is still running; cancel it first"
            raise RuntimeError(msg)
        worker = self._create(
            _drive,
            make_job,
            _start_thread=False,
            _worker_class=_JobWorker,
        )
        worker.yielded.connect(self._on_progress)
        worker.returned.connect(self._on_returned)
        worker.finished.connect(self._on_finished)
        self._worker = worker
        self._is_paused = False
        self._outcome = self.last_error = None
        self._ending.callback(worker.quit)
        if self._has_bar:
            self._bar = progress(total=0, desc=self.title)
            self._ending.callback(self._bar.close)
        self._stage = ""
        self.started.emit()
        worker.start()

    def cancel(self) -> None:
        """Ask the job to stop at its next event."""
        if self._worker is not None:
            self._worker.quit()

    @property
    def is_paused(self) -> bool:
        """Whether a job waits, or will after its next event."""
        return self._is_paused

    def pause(self) -> None:
        """Let the job wait at its next event, until `resume` or `cancel`."""
        if self._worker is not None and not self._is_paused:
            self._is_paused = True
            self._worker.pause()

    def resume(self) -> None:
        """Let a job that waits go on."""
        if self._worker is not None and self._is_paused:
            self._is_paused = False
            self._worker.go_on()

    def _on_progress(self, event: Progress) -> None:
        bar = self._bar
        if bar is not None:
            if bar.total != event.total:
                bar.reset(total=event.total)
                bar.total = event.total
            # Each of these lets Qt draw the whole window anew.
            if event.stage != self._stage:
                self._stage = event.stage
                bar.set_description(f"{self.title}: {event.stage}")
            if event.done != bar.n:
                bar.update(event.done - bar.n)
        self.progressed.emit(event)

    def _on_returned(self, outcome: _Outcome) -> None:
        self._outcome = outcome

    def _on_finished(self) -> None:
        # The runner is free before anyone hears of it, so that a listener may start the
        # next job. The worker is kept until that ends: what it signals with must not go
        # in its own thread, which has yet to let go of it.
        self._former, self._worker = self._worker, None
        outcome, self._outcome = self._outcome, None
        self._is_paused = False
        self._ending.close()
        self._bar = None
        if outcome is None or outcome.cancelled:
            self.cancelled.emit()
        elif outcome.error is not None:
            self.last_error = outcome.error
            self.failed.emit(self._report(outcome.error))
        else:
            self.succeeded.emit(outcome.result)
        self.finished.emit()

    def _report(self, error: Exception) -> str:
        """Put an error into words that the user can act on, and show it once."""
        logger.error("%s failed", self.title, exc_info=error)
        message = for_door(str(error), self._door) or type(error).__name__
        if not isinstance(error, MMSubtypeError):
            message = (
                f"{self.title}: unexpected {type(error).__name__}: {message} "
                "(the log has the details)"
            )
        if not isinstance(error, self._asked_about):
            show_error(message)
        return message
