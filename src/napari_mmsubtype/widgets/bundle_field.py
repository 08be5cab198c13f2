"""Choose a model bundle: the one that ships, a folder or a zip."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QWidget

DEMO = "demo"
_DEMO_TEXT = "demo (knows synthetic tissue only)"
_MANIFEST = "bundle.json"


class BundleField(QWidget):
    """Edits the name or path of a bundle.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._combo = QComboBox(self)
        self._combo.setAccessibleName("Model")
        self._combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._combo.setMinimumContentsLength(12)
        self._combo.addItem(_DEMO_TEXT, DEMO)
        self._combo.insertSeparator(1)
        self._combo.addItem("Choose folder…")
        self._combo.addItem("Choose zip file…")
        self._current = DEMO
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.activated.connect(self._on_activated)
        self.setFocusProxy(self._combo)

    def value(self) -> str:
        """Give the bundle.

        Returns
        -------
        str
            ``"demo"``, or the path of a folder or zip.
        """
        return self._current

    def setValue(self, value: str) -> None:
        """Set the bundle.

        Parameters
        ----------
        value : str
            ``"demo"``, or the path of a folder or zip; it need not exist.
        """
        index = self._combo.findData(value)
        if index < 0:
            index = self._combo.count() - 3
            self._combo.insertItem(index, Path(value).name, value)
        self._combo.setCurrentIndex(index)
        self._combo.setToolTip(value)
        if value != self._current:
            self._current = value
            self.valueChanged.emit()

    def problem(self) -> str:
        """Say what is wrong with the bundle, without loading it.

        Returns
        -------
        str
            One sentence, or empty.
        """
        if self._current == DEMO:
            return ""
        path = Path(self._current).expanduser()
        if not path.exists():
            return f"There is no model at {self._current}."
        if path.is_dir() and not (path / _MANIFEST).is_file():
            return f"{path.name} is no model: it holds no {_MANIFEST}."
        if path.is_file() and path.suffix.lower() != ".zip":
            return f"{path.name} is no model: expected a folder or a zip file."
        return ""

    def _on_activated(self, index: int) -> None:
        data = self._combo.itemData(index)
        if data is not None:
            self.setValue(data)
            return
        if "folder" in self._combo.itemText(index):
            chosen = QFileDialog.getExistingDirectory(self, "Choose a model folder")
        else:
            chosen, _ = QFileDialog.getOpenFileName(
                self, "Choose a model zip", "", "Model bundles (*.zip)"
            )
        self.setValue(chosen or self._current)
