"""A small view of a table's first rows."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem, QWidget

from napari_mmsubtype.widgets.omics_lookup import FirstRows

_COLUMN_PX = 76
_NAMES_PX = 136
_CHOSEN = "▸ "


class FirstRowsView(QTableWidget):
    """Shows a `FirstRows`, read-only and as high as its rows.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setAccessibleName("First rows")
        self.horizontalHeader().setDefaultSectionSize(_COLUMN_PX)
        self.verticalHeader().setDefaultSectionSize(22)
        # A long barcode leaves room for the values; its tooltip has the whole.
        self.verticalHeader().setMaximumWidth(_NAMES_PX)
        self.verticalHeader().setTextElideMode(Qt.TextElideMode.ElideRight)
        self.verticalHeader().setDefaultAlignment(
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        )

    def setRows(self, rows: FirstRows) -> None:
        """Show other rows.

        Parameters
        ----------
        rows : FirstRows
            The patient's row, where there is one, is marked.
        """
        self.setRowCount(len(rows.rows))
        self.setColumnCount(len(rows.columns))
        for column, name in enumerate(rows.columns):
            header = QTableWidgetItem(name)
            header.setToolTip(name)
            self.setHorizontalHeaderItem(column, header)
        for row, (name, cells) in enumerate(rows.rows):
            chosen = rows.has_patient and row == 0
            header = QTableWidgetItem(f"{_CHOSEN if chosen else ''}{name}")
            header.setToolTip(f"{name}: the patient's row" if chosen else name)
            self.setVerticalHeaderItem(row, header)
            for column, cell in enumerate(cells):
                item = QTableWidgetItem(cell)
                item.setToolTip(cell)
                font = item.font()
                font.setBold(chosen)
                item.setFont(font)
                self.setItem(row, column, item)
        self._fit()

    def _fit(self) -> None:
        """Take as much height as the rows need, so that nothing scrolls twice."""
        header = self.horizontalHeader().sizeHint().height()
        bar = self.horizontalScrollBar().sizeHint().height()
        rows = sum(self.rowHeight(row) for row in range(self.rowCount()))
        self.setFixedHeight(header + rows + bar + 4)
