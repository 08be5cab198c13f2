"""The path of a table, and how it is to be read where detection is overruled."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QWidget

from napari_mmsubtype.widgets.file_field import FileField

TABLES = (
    "Tables (*.csv *.tsv *.txt *.gz *.bz2 *.xz *.zip *.parquet *.gct *.h5ad *.h5mu)"
    ";;All files (*)"
)
"""Qt name filter of the tables that `read_omics` reads."""


class TableField(FileField):
    """Edits the path of a table: a file, or a folder of GDC files that is dropped.

    Parameters
    ----------
    title : str
        Title of the dialog.
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(title, TABLES, placeholder="none", parent=parent)
        self._reading: dict[str, str] = {}
        self._read_path: str | None = None

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
        if value is not None and Path(value).is_dir():
            return ""
        return super().problem()

    def _dropped(self, event: QDropEvent) -> str | None:
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
