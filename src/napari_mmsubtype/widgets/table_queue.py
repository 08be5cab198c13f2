"""Read tables one after the other, away from the GUI thread."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.widgets.job_runner import JobRunner
from napari_mmsubtype.widgets.omics_table import (
    TableRequest,
    UnreadTable,
    read_table_job,
)


class TableQueue(QObject):
    """Reads tables in the order in which they were asked for.

    ``done`` gives the key and an `OmicsTable` or `UnreadTable`, ``dropped`` the key of
    a table that was cancelled, ``changed`` says that `text` has changed.

    Parameters
    ----------
    parent : QObject, optional
        Owner.
    """

    done = Signal(int, object)
    dropped = Signal(int)
    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runner = JobRunner("Read tables", self, has_bar=False)
        self._waiting: dict[int, TableRequest] = {}
        self._current: tuple[int, TableRequest] | None = None
        self._outdated = False
        self._begun = 0
        self._done, self._total = 0, 0
        self.is_stopping = False
        self.runner.progressed.connect(self._on_progress)
        self.runner.succeeded.connect(self._on_read)
        self.runner.failed.connect(self._on_failed)
        self.runner.cancelled.connect(self._on_cancelled)
        self.runner.finished.connect(self._next)

    @property
    def is_busy(self) -> bool:
        """Whether a table is being read."""
        return self._current is not None

    def text(self) -> str:
        """Say what is going on.

        Returns
        -------
        str
            Empty while nothing is.
        """
        if self._current is None:
            return ""
        name = self._current[1].name
        if self.is_stopping:
            return f"Stopping to read {name}…"
        total = self._begun + len(self._waiting)
        count = f" ({self._begun} of {total})" if total > 1 else ""
        return f"Reading {name}{count}…"

    def percent(self) -> int | None:
        """Say how much of the file at hand is read.

        Returns
        -------
        int or None
            0 to 100; None where it is not known.
        """
        return 100 * self._done // self._total if self._total else None

    def add(self, key: int, request: TableRequest) -> None:
        """Ask for a table.

        Parameters
        ----------
        key : int
            Under which it is given back; a new request replaces an older one.
        request : TableRequest
            What to read.
        """
        if self._current is not None and self._current[0] == key:
            self._outdated = True
        self._waiting.pop(key, None)
        self._waiting[key] = request
        self._next()

    def remove(self, key: int) -> None:
        """Forget a table.

        Parameters
        ----------
        key : int
            As it was asked for.
        """
        self._waiting.pop(key, None)
        if self._current is not None and self._current[0] == key:
            self._outdated = True
        self.changed.emit()

    def cancel(self) -> None:
        """Drop what waits and what is being read."""
        waiting, self._waiting = list(self._waiting), {}
        self.is_stopping = self._current is not None
        self.runner.cancel()
        for key in waiting:
            self.dropped.emit(key)
        self.changed.emit()

    def _next(self) -> None:
        if self.runner.is_running:
            self.changed.emit()
            return
        self._current, self._outdated, self.is_stopping = None, False, False
        if self._waiting:
            key = next(iter(self._waiting))
            request = self._waiting.pop(key)
            self._current = (key, request)
            self._done, self._total = 0, 0
            self._begun += 1
            self.runner.start(partial(read_table_job, request))
        else:
            self._begun = 0
        self.changed.emit()

    def _on_progress(self, event: Progress) -> None:
        if (event.done, event.total) != (self._done, self._total):
            self._done, self._total = event.done, event.total
            self.changed.emit()

    def _on_read(self, result: Any) -> None:
        if self._current is not None and not self._outdated:
            self.done.emit(self._current[0], result)

    def _on_failed(self, sentence: str) -> None:
        if self._current is not None:
            self._on_read(UnreadTable(self._current[1], sentence))

    def _on_cancelled(self) -> None:
        if self._current is not None and not self._outdated:
            self.dropped.emit(self._current[0])
