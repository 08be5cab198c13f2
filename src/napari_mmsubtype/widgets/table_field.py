"""The path of a table, and how it is to be read where detection is overruled."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog, QMenu, QToolButton, QWidget

from napari_mmsubtype.core.table_files import table_endings
from napari_mmsubtype.widgets.file_field import FileField

TABLES = (
    f"Tables ({' '.join(f'*{ending}' for ending in table_endings())});;All files (*)"
)
"""Qt name filter of the tables that `read_omics` reads."""

FOLDER_TITLE = "Choose a folder of GDC files"
"""Title of the dialog that asks for a folder."""


class TableField(FileField):
    """Edits the path of a table: a file, or a folder of GDC files.

    Parameters
    ----------
    title : str
        Title of the dialog.
    folders : bool, default: True
        Take folders too; clinical tables do not come in them.
    parent : QWidget, optional
        Owner.
    """

    def __init__(
        self, title: str, *, folders: bool = True, parent: QWidget | None = None
    ) -> None:
        super().__init__(title, TABLES, placeholder="none", parent=parent)
        self._folders = folders
        self._reading: dict[str, str] = {}
        self._read_path: str | None = None
        if folders:
            self._offer_folders()

    def reading(self) -> dict[str, str]:
        """Give what overrules detection.

        Returns
        -------
        dict of str to str
            ``unit`` and ``samples_in``; empty once another path is chosen.
        """
        return dict(self._reading) if self.value() == self._read_path else {}

    def setTable(self, path: str | None, reading: dict[str, str] | None = None) -> None:
        """Set path and reading.

        Parameters
        ----------
        path : str or None
            None empties the field.
        reading : dict of str to str, optional
            ``unit`` and ``samples_in`` where detection is overruled.
        """
        self._read_path = None
        self._reading = dict(reading or {})
        self.setValue(path)
        self._read_path = self.value()
        self._show_reading()

    def problem(self) -> str:
        """Say what is wrong with the path.

        Returns
        -------
        str
            One sentence, or empty.
        """
        value = self.value()
        if self._folders and value is not None and Path(value).is_dir():
            return ""
        return super().problem()

    def _offer_folders(self) -> None:
        """Ask what to browse for; dialogs choose either files or folders."""
        menu = QMenu(self)
        menu.addAction("Choose a file…", self._browse)
        menu.addAction("Choose a folder of GDC files…", self._browse_folders)
        self.browseButton.clicked.disconnect(self._browse)
        self.browseButton.setMenu(menu)
        self.browseButton.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        # The dots already say that more comes.
        self.browseButton.setStyleSheet("QToolButton::menu-indicator { image: none; }")

    def _browse_folders(self) -> None:
        start = self.value() or ""
        chosen = QFileDialog.getExistingDirectory(self, FOLDER_TITLE, start)
        if chosen:
            self.setValue(chosen)

    def _dropped(self, event: QDropEvent) -> str | None:
        if not self._folders:
            return super()._dropped(event)
        urls = event.mimeData().urls()
        if len(urls) != 1 or not urls[0].isLocalFile():
            return None
        return str(urls[0].toLocalFile())

    def _on_text(self) -> None:
        super()._on_text()
        self._show_reading()

    def _show_reading(self) -> None:
        """Tell in the tooltip what detection would not show."""
        words = [f"{n.replace('_', ' ')}: {v}" for n, v in self.reading().items()]
        lines = [self.value() or "", *words]
        self.setToolTip("\n".join(line for line in lines if line))
