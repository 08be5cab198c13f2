"""Run, cancel, and see how far a job has come."""

from __future__ import annotations

from napari.utils.notifications import show_info
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.widgets.job_runner import JobRunner

INTERVAL_MS = 500
"""Pause between two drawings of the progress of one stage.

Whatever changes in a window with a canvas has all of it put together anew, which the
processor does itself where there is no graphics card.
"""


class JobBar(QWidget):
    """Buttons and progress of one job runner.

    Parameters
    ----------
    runner : JobRunner
        Whose progress is shown, and which Cancel stops.
    parent : QWidget, optional
        Owner.
    """

    runRequested = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, runner: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self.runButton = QPushButton("Run", self)
        self.cancelButton = QPushButton("Cancel", self)
        self.cancelButton.setEnabled(False)
        self.pauseButton = QPushButton("Pause", self)
        self.pauseButton.setEnabled(False)
        self.pauseButton.setToolTip(
            "Wait after this batch; what is done is kept, even if napari is closed"
        )
        self._bar = QProgressBar(self)
        self._bar.setTextVisible(True)
        self._text = QLabel(self)
        self._text.setWordWrap(True)
        self._event: Progress | None = None
        self._stage = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._draw)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.runButton, 1)
        buttons.addWidget(self.pauseButton, 1)
        buttons.addWidget(self.cancelButton, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addWidget(self._bar)
        layout.addWidget(self._text)
        self._bar.hide()
        self._text.hide()
        # A field may keep the job from starting: how the last one ended is no answer.
        self.runButton.clicked.connect(lambda: self._say(""))
        self.runButton.clicked.connect(self.runRequested)
        self.pauseButton.clicked.connect(self._on_pause)
        self.cancelButton.clicked.connect(self._on_cancel)
        runner.started.connect(self._on_started)
        runner.progressed.connect(self._on_progress)
        runner.succeeded.connect(lambda _: self._say("Done."))
        runner.failed.connect(self._say)
        runner.cancelled.connect(
            lambda: self._say("Cancelled. Run again to resume where it stopped.")
        )
        runner.finished.connect(self._on_finished)

    def text(self) -> str:
        """Give the line of text.

        Returns
        -------
        str
            Rate and time left, or how the last job ended.
        """
        return str(self._text.text())

    def clear(self) -> None:
        """Forget how the last job ended; one that is under way is still shown."""
        if not self._runner.is_running:
            self._say("")

    def endUnseen(self) -> None:
        """Stop the job, and say so where it is read once the panel is gone."""
        if self._runner.is_running:
            self._runner.cancel()
            show_info(
                f"{self._runner.title}: stopped, as its panel was closed. "
                "Run again to resume where it stopped."
            )

    def _say(self, text: str) -> None:
        self._text.setText(text)
        self._text.setVisible(bool(text))

    def _on_started(self) -> None:
        self.runButton.setEnabled(False)
        self.cancelButton.setEnabled(True)
        self.pauseButton.setEnabled(True)
        self._bar.setRange(0, 1)
        self._bar.setValue(0)
        self._bar.setFormat("starting")
        self._bar.show()
        self._say("starting")

    def _show_pause(self, *, enabled: bool) -> None:
        self.pauseButton.setEnabled(enabled)
        self.pauseButton.setText("Resume" if self._runner.is_paused else "Pause")

    def _on_pause(self) -> None:
        if self._runner.is_paused:
            self._runner.resume()
            self._say("going on")
        else:
            self._runner.pause()
            self._say("pausing after this batch; Resume goes on")
        self._show_pause(enabled=True)

    def _on_cancel(self) -> None:
        self.cancelButton.setEnabled(False)
        self.pauseButton.setEnabled(False)
        self._say("stopping")
        self._runner.cancel()

    def _on_progress(self, event: Progress) -> None:
        self._event = event
        is_due = event.stage != self._stage or self._runner.is_paused
        if is_due or not self._timer.isActive():
            self._draw()

    def _draw(self) -> None:
        """Show what was told last, if it is not shown yet."""
        event, self._event = self._event, None
        if event is None:
            return
        self._stage = event.stage
        self._timer.start()
        paused = self._runner.is_paused
        # Without a total the bar would swing to and fro, a picture after the other.
        self._bar.setRange(0, event.total or 1)
        self._bar.setValue(event.done)
        self._bar.setFormat(f"{event.stage} %v of %m" if event.total else event.stage)
        if paused:
            place = f" at {event.done} of {event.total}" if event.total else ""
            self._say(f"paused{place}; Resume goes on")
        elif self.cancelButton.isEnabled():
            self._say(event.message or event.stage)

    def _on_finished(self) -> None:
        self._timer.stop()
        self._event, self._stage = None, ""
        self.runButton.setEnabled(True)
        self.cancelButton.setEnabled(False)
        self._show_pause(enabled=False)
        self._bar.hide()
