"""A path the user types, browses for or drops."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QToolButton, QWidget


class FileField(QWidget):
    """Edits the path of one file or folder.

    Parameters
    ----------
    title : str
        Title of the dialog.
    name_filter : str, default: ""
        Qt name filter of the dialog, for example ``"Tables (*.csv *.tsv)"``.
    folder : bool, default: False
        Ask for a folder.
    placeholder : str, default: ""
        Shown while empty.
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals

    def __init__(
        self,
        title: str,
        name_filter: str = "",
        *,
        folder: bool = False,
        placeholder: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._title = title
        self._filter = name_filter
        self._folder = folder
        self._edit = QLineEdit(self)
        self._edit.setPlaceholderText(placeholder)
        self._edit.setClearButtonEnabled(True)
        # The line edit would paste the whole address of what is dropped on it.
        self._edit.setAcceptDrops(False)
        self._edit.setAccessibleName(title)
        self.setAcceptDrops(True)
        self.browseButton = QToolButton(self)
        self.browseButton.setText("…")
        self.browseButton.setToolTip(title)
        self.browseButton.clicked.connect(self._browse)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._edit, 1)
        layout.addWidget(self.browseButton)
        self._edit.textChanged.connect(self._on_text)
        self.setFocusProxy(self._edit)

    def value(self) -> str | None:
        """Give the path.

        Returns
        -------
        str or None
            None while empty; ``~`` is spelled out.
        """
        text = self._edit.text().strip()
        return str(Path(text).expanduser()) if text else None

    def setValue(self, value: str | None) -> None:
        """Set the path.

        Parameters
        ----------
        value : str or None
            None empties the field.
        """
        self._edit.setText(value or "")

    def setPlaceholderText(self, text: str) -> None:
        """Set what is shown while the field is empty.

        Parameters
        ----------
        text : str
            A hint.
        """
        self._edit.setPlaceholderText(text)

    def problem(self) -> str:
        """Say what is wrong with the path.

        Returns
        -------
        str
            One sentence, or empty.
        """
        value = self.value()
        if value is None:
            return ""
        path = Path(value)
        if not path.exists():
            # A folder to write to need not exist yet.
            return "" if self._folder else f"There is no file named {path.name}."
        if not self._folder and path.is_dir():
            return f"{path.name} is a folder; choose a file."
        if self._folder and not path.is_dir():
            return f"{path.name} is a file; choose a folder."
        return ""

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept one local file, or one local folder.

        Parameters
        ----------
        event : QDragEnterEvent
            From Qt.
        """
        if self._dropped(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take the path that was dropped.

        Parameters
        ----------
        event : QDropEvent
            From Qt.
        """
        path = self._dropped(event)
        if path is not None:
            self.setValue(path)
            event.acceptProposedAction()

    def _dropped(self, event: QDropEvent) -> str | None:
        urls = event.mimeData().urls()
        if len(urls) != 1 or not urls[0].isLocalFile():
            return None
        path = Path(urls[0].toLocalFile())
        return str(path) if path.is_dir() == self._folder else None

    def _on_text(self) -> None:
        self.setToolTip(self._edit.text())
        self.valueChanged.emit()

    def _browse(self) -> None:
        start = self.value() or ""
        if self._folder:
            chosen = QFileDialog.getExistingDirectory(self, self._title, start)
        else:
            chosen, _ = QFileDialog.getOpenFileName(
                self, self._title, start, self._filter
            )
        if chosen:
            self.setValue(chosen)
