"""The panel Train and cross-validate: from a cohort to results and a bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, QUrl
from qtpy.QtGui import QDesktopServices, QGuiApplication
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_mmsubtype.core.option_words import Door
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.widgets.cohort_command import CohortTask, cohort_command
from napari_mmsubtype.widgets.cohort_form import CohortForm
from napari_mmsubtype.widgets.cohort_jobs import cohort_job, manifest_job, presets_job
from napari_mmsubtype.widgets.cohort_summary import CohortSummary, read_summary
from napari_mmsubtype.widgets.column_scroll import ColumnScroll
from napari_mmsubtype.widgets.curve_plot import CurvePlot
from napari_mmsubtype.widgets.dock_panel import DockPanel
from napari_mmsubtype.widgets.job_bar import JobBar
from napari_mmsubtype.widgets.job_runner import JobRunner

if TYPE_CHECKING:
    import napari

    from napari_mmsubtype.workflows.cohort_request import CohortRequest

CohortJob = Callable[[CohortTask, "CohortRequest"], "Job[Any]"]
_TYPING_MS = 300
_SHOWN_FAULTS = 8


class CohortPanel(DockPanel):
    """Lets the user choose a cohort and presets, and runs what the command line runs.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The window's viewer; nothing is added to it.
    job : callable, optional
        Makes the job of a task and a request; by default `cohort_jobs.cohort_job`.
    parent : QWidget, optional
        Owner.
    """

    def __init__(
        self,
        napari_viewer: napari.Viewer,
        job: CohortJob | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._job = job or cohort_job
        self.form = CohortForm(self)
        self.runner = JobRunner(
            "Train and cross-validate",
            self,
            has_bar=False,
            is_long=True,
            door=Door.COHORT_PANEL,
        )
        self.reader = JobRunner("Read manifest", self, has_bar=False)
        self._lister = JobRunner("List presets", self, has_bar=False)
        self.bar = JobBar(self.runner, self)
        self.curves = CurvePlot(self)
        self.fit = QLabel(self)
        self.fit.setWordWrap(True)
        self.summary = CohortSummary(self)
        self.reportButton = QPushButton("Open report", self)
        self.folderButton = QPushButton("Open folder", self)
        self.copyButton = QPushButton("Copy as command", self)
        self.copyButton.setToolTip("The line that does the same in a terminal")
        self._task = CohortTask.CROSSVAL
        self._report: Path | None = None
        self._folder: Path | None = None
        self._typed = QTimer(self)
        self._typed.setSingleShot(True)
        self._typed.timeout.connect(self._read)
        self._lay_out()
        self._connect()
        self._lister.start(presets_job)

    def value(self) -> CohortRequest:
        """Build the request that Run would run.

        Returns
        -------
        CohortRequest
            What the form shows.
        """
        return self.form.value()

    def setValue(self, request: CohortRequest) -> None:
        """Show a request.

        Parameters
        ----------
        request : CohortRequest
            What `value` gives back afterwards.
        """
        self.form.setValue(request)

    def run(self) -> None:
        """Run what the form describes, or say beside the fields what is missing."""
        if self.runner.is_running or not self.form.validate():
            return
        task, request, make = self.form.task(), self.form.value(), self._job
        self.summary.hide()
        self.reportButton.hide()
        self.folderButton.hide()
        self._task = task
        self.runner.start(lambda: make(task, request))

    def _lay_out(self) -> None:
        inner = QWidget(self)
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 4, 0)
        buttons = QHBoxLayout()
        for button in (self.reportButton, self.folderButton):
            buttons.addWidget(button)
            button.hide()
        for widget in (self.form, self.bar, self.fit, self.curves):
            column.addWidget(widget)
        column.addLayout(buttons)
        column.addWidget(self.summary)
        column.addWidget(self.copyButton)
        column.addStretch(1)
        self.curves.hide()
        self.fit.hide()
        scroll = ColumnScroll(self)
        scroll.setWidget(inner)
        QVBoxLayout(self).addWidget(scroll)

    def _connect(self) -> None:
        self._lister.succeeded.connect(self.form.presets.setChoices)
        self.form.manifestChanged.connect(lambda: self._typed.start(_TYPING_MS))
        self.reader.succeeded.connect(self._say)
        self.reader.finished.connect(self._read_again)
        self.bar.runRequested.connect(self.run)
        self.runner.progressed.connect(self._on_progress)
        self.runner.succeeded.connect(self._on_done)
        self.reportButton.clicked.connect(lambda: _open(self._report))
        self.folderButton.clicked.connect(lambda: _open(self._folder))
        self.copyButton.clicked.connect(self._on_copy)

    def _read(self) -> None:
        """Say beneath the manifest what it holds, or what is wrong with it."""
        path = self.form.manifest.value()
        if path is None or self.form.manifest.problem():
            self._say("")
        elif not self.reader.is_running:
            self._reading = path
            self.reader.start(lambda: _checked_manifest(path))

    def _read_again(self) -> None:
        if self.form.manifest.value() != self._reading:
            self._typed.start(_TYPING_MS)

    def _say(self, text: str) -> None:
        lines = text.splitlines()
        if len(lines) > _SHOWN_FAULTS:
            more = len(lines) - _SHOWN_FAULTS
            lines = [*lines[:_SHOWN_FAULTS], f"… and {more} more"]
        self.form.cohort.setText("\n".join(lines))
        self.form.cohort.setVisible(bool(text))

    def _on_progress(self, event: Progress) -> None:
        if event.stage == "folds":
            # Fits follow each other under this line, with a bar of their own.
            self.fit.setText(f"fit {event.done} of {event.total}: {event.message}")
            self.fit.show()
        curves = event.partial
        losses = getattr(curves, "training_losses", None)
        if losses:
            self.curves.setCurves(losses, curves.validation_losses, curves.best_epoch)
            self.curves.show()

    def _on_done(self, outcome: Any) -> None:
        self.curves.hide()
        self.fit.hide()
        self.folderButton.show()
        if self._task is CohortTask.TRAIN:
            self._folder = outcome.bundle
            return
        self._folder, self._report = outcome.folder, outcome.report
        self.reportButton.show()
        self.summary.setSummary(read_summary(outcome.results))

    def _on_copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None and self.form.validate():
            clipboard.setText(cohort_command(self.form.task(), self.form.value()))


def _checked_manifest(path: str) -> Job[str]:
    """Read a manifest; what is wrong with it is an answer here, not a failure."""
    from napari_mmsubtype.errors import ConfigurationError

    try:
        return (yield from manifest_job(path))
    except ConfigurationError as err:
        return f"⚠ {err}"


def _open(path: Path | None) -> None:
    if path is not None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))
