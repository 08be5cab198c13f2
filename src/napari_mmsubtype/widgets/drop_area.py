"""Where files are dropped, or chosen."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)


class DropArea(QFrame):
    """Takes local files and folders; ``pathsAdded`` gives them as a list of str.

    Parameters
    ----------
    text : str
        What to drop here.
    name_filter : str
        Qt name filter of the dialog.
    parent : QWidget, optional
        Owner.
    """

    pathsAdded = Signal(list)  # noqa: N815 - as Qt names signals

    def __init__(
        self, text: str, name_filter: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._filter = name_filter
        self.setAcceptDrops(True)
        self.setObjectName("dropArea")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        label = QLabel(text, self)
        label.setWordWrap(True)
        label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.filesButton = QPushButton("Add files…", self)
        self.folderButton = QPushButton("Add folder…", self)
        self.folderButton.setToolTip("A folder of GDC files, with its sample sheet")
        self.filesButton.clicked.connect(self._choose_files)
        self.folderButton.clicked.connect(self._choose_folder)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.filesButton, 1)
        buttons.addWidget(self.folderButton, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(label)
        layout.addLayout(buttons)
        self._mark(False)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept local files and folders.

        Parameters
        ----------
        event : QDragEnterEvent
            From Qt.
        """
        if dropped_paths(event):
            self._mark(True)
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: Any) -> None:
        """Take the mark away.

        Parameters
        ----------
        event : QDragLeaveEvent
            From Qt.
        """
        self._mark(False)
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        """Take what was dropped.

        Parameters
        ----------
        event : QDropEvent
            From Qt.
        """
        self._mark(False)
        paths = dropped_paths(event)
        if paths:
            event.acceptProposedAction()
            self.pathsAdded.emit(paths)

    def _mark(self, on: bool) -> None:
        """Show that a drop would be taken."""
        line = "2px solid #56b4e9" if on else "2px dashed rgba(128, 128, 128, 180)"
        self.setStyleSheet(f"#dropArea {{ border: {line}; border-radius: 4px; }}")

    def _choose_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Add tables", "", self._filter)
        if paths:
            self.pathsAdded.emit(list(paths))

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Add a folder of GDC files")
        if path:
            self.pathsAdded.emit([path])


def dropped_paths(event: QDropEvent) -> list[str]:
    """List the local files and folders of a drop.

    Parameters
    ----------
    event : QDropEvent
        From Qt; a drag that enters is one as well.

    Returns
    -------
    list of str
        Empty where anything else is dragged.
    """
    urls = event.mimeData().urls()
    return [str(url.toLocalFile()) for url in urls if url.isLocalFile()]
