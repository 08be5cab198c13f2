"""Choose one or several presets, built-in or from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QToolButton,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ROWS = 5


class PresetField(QWidget):
    """Edits a list of presets by ticking them.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QListWidget(self)
        self.list.setAccessibleName("Presets")
        self.browseButton = QToolButton(self)
        self.browseButton.setText("…")
        self.browseButton.setToolTip("Add a preset of your own (YAML)")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.browseButton, 0, Qt.AlignmentFlag.AlignTop)
        self.list.setFixedHeight(_ROWS * (self.fontMetrics().height() + 6))
        self.list.itemChanged.connect(lambda _: self.valueChanged.emit())
        self.browseButton.clicked.connect(self._browse)
        self.setFocusProxy(self.list)

    def setChoices(self, titles: Mapping[str, str]) -> None:
        """Offer presets; what is ticked stays so.

        Parameters
        ----------
        titles : mapping of str to str
            What each preset is, by name.
        """
        for name, title in titles.items():
            item = self._find(name) or self._add(name, ticked=False)
            item.setToolTip(title)

    def value(self) -> tuple[str, ...]:
        """Give the presets that are ticked.

        Returns
        -------
        tuple of str
            Names, or paths of files, from top to bottom.
        """
        return tuple(
            str(item.data(Qt.ItemDataRole.UserRole))
            for item in self._items()
            if item.checkState() == Qt.CheckState.Checked
        )

    def setValue(self, presets: Iterable[str]) -> None:
        """Tick presets, and untick all others.

        Parameters
        ----------
        presets : iterable of str
            Also files and variants, which are added to the list.
        """
        wanted = list(presets)
        for name in wanted:
            if self._find(name) is None:
                self._add(name, ticked=True)
        for item in self._items():
            ticked = item.data(Qt.ItemDataRole.UserRole) in wanted
            item.setCheckState(
                Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
            )

    def _items(self) -> list[QListWidgetItem]:
        found = (self.list.item(row) for row in range(self.list.count()))
        return [item for item in found if item is not None]

    def _find(self, name: str) -> QListWidgetItem | None:
        for item in self._items():
            if item.data(Qt.ItemDataRole.UserRole) == name:
                return item
        return None

    def _add(self, name: str, *, ticked: bool) -> QListWidgetItem:
        is_file = Path(name).suffix in {".yaml", ".yml"}
        item = QListWidgetItem(Path(name).name if is_file else name)
        item.setData(Qt.ItemDataRole.UserRole, name)
        item.setToolTip(name)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
        self.list.addItem(item)
        return item

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a preset", "", "Presets (*.yaml *.yml)"
        )
        if path and self._find(path) is None:
            self._add(path, ticked=True)
            self.valueChanged.emit()
