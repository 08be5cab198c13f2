"""How far a queue of tables has come, and its Cancel."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_mmsubtype.widgets.table_queue import TableQueue


class QueueBar(QWidget):
    """Shows what a queue reads; hidden while it reads nothing.

    Parameters
    ----------
    queue : TableQueue
        Whose work is shown, and which Cancel stops.
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, queue: TableQueue, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self._bar = QProgressBar(self)
        self._bar.setRange(0, 0)
        self._text = QLabel(self)
        self._text.setWordWrap(True)
        self.cancelButton = QPushButton("Cancel", self)
        self.cancelButton.clicked.connect(queue.cancel)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self._bar, 1)
        row.addWidget(self.cancelButton)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._text)
        layout.addLayout(row)
        queue.changed.connect(self._show)
        self._show()

    def text(self) -> str:
        """Give the line of text.

        Returns
        -------
        str
            Empty while nothing is read.
        """
        return str(self._text.text())

    def _show(self) -> None:
        self._text.setText(self._queue.text())
        percent = self._queue.percent()
        self._bar.setRange(0, 0 if percent is None else 100)
        self._bar.setValue(percent or 0)
        self.cancelButton.setEnabled(not self._queue.is_stopping)
        self.setVisible(self._queue.is_busy)
