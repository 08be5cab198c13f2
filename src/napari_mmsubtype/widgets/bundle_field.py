"""Choose a model bundle: the one that ships, one of the library, a folder or a zip."""

from __future__ import annotations

import logging
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QWidget

from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle_address import (
    DEMO,
    find_local,
    is_remote,
    library_places,
)

logger = logging.getLogger(__name__)

_DEMO_TEXT = "demo (knows synthetic tissue only)"
_FOLDER_TEXT = "Choose folder…"
_ZIP_TEXT = "Choose zip file…"
_MANIFEST = "bundle.json"
_TIP = Qt.ItemDataRole.ToolTipRole


class _Combo(QComboBox):
    """A list that is brought up to date before it opens."""

    opening = Signal()

    def showPopup(self) -> None:
        self.opening.emit()
        super().showPopup()


class BundleField(QWidget):
    """Edits the name, path or address of a bundle.

    The bundles of the user's library are listed by name, anew whenever the list opens.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._combo = _Combo(self)
        self._combo.setAccessibleName("Model")
        self._combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._combo.setMinimumContentsLength(12)
        self._current = DEMO
        self._chosen: list[str] = []
        self.refresh()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.opening.connect(self.refresh)
        self._combo.activated.connect(self._on_activated)
        self.setFocusProxy(self._combo)

    def refresh(self) -> None:
        """List the bundles of the library as they are now; the value stays."""
        try:
            places = library_places()
        except BundleError as err:
            logger.warning("%s", err)
            places = []
        names = [name for name, _ in places]
        self._combo.clear()
        self._combo.addItem(_DEMO_TEXT, DEMO)
        for name, path in places:
            self._add(name, name, str(path))
        for value in self._chosen:
            if value not in names:
                self._add(value if is_remote(value) else Path(value).name, value, value)
        self._combo.insertSeparator(self._combo.count())
        self._combo.addItem(_FOLDER_TEXT)
        self._combo.addItem(_ZIP_TEXT)
        self._combo.setCurrentIndex(self._combo.findData(self._current))

    def value(self) -> str:
        """Give the bundle.

        Returns
        -------
        str
            ``"demo"``, a name of the library, an address, or the path of a folder or
            zip.
        """
        return self._current

    def setValue(self, value: str) -> None:
        """Set the bundle.

        Parameters
        ----------
        value : str
            As `value` gives it; it need not exist.
        """
        changed = value != self._current
        self._current = value
        if self._combo.findData(value) < 0:
            self._chosen.append(value)
            self.refresh()
        self._combo.setCurrentIndex(self._combo.findData(value))
        self._combo.setToolTip(value)
        if changed:
            self.valueChanged.emit()

    def problem(self) -> str:
        """Say what is wrong with the bundle, without loading it.

        Returns
        -------
        str
            One sentence, or empty.
        """
        if self._current == DEMO or is_remote(self._current):
            return ""
        try:
            path = find_local(self._current)
        except BundleError as err:
            return str(err)
        if not path.exists():
            return f"There is no model at {self._current}."
        if path.is_dir() and not (path / _MANIFEST).is_file():
            return f"{path.name} is no model: it holds no {_MANIFEST}."
        if path.is_file() and path.suffix.lower() != ".zip":
            return f"{path.name} is no model: expected a folder or a zip file."
        return ""

    def _add(self, text: str, value: str, tip: str) -> None:
        self._combo.addItem(text, value)
        self._combo.setItemData(self._combo.count() - 1, tip, _TIP)

    def _on_activated(self, index: int) -> None:
        data = self._combo.itemData(index)
        if data is not None:
            self.setValue(data)
            return
        if self._combo.itemText(index) == _FOLDER_TEXT:
            chosen = QFileDialog.getExistingDirectory(self, "Choose a model folder")
        else:
            chosen, _ = QFileDialog.getOpenFileName(
                self, "Choose a model zip", "", "Model bundles (*.zip)"
            )
        self.setValue(chosen or self._current)
