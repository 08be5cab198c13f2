"""Choose where on a slide to analyze: everywhere, in drawn regions, or in a file's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_mmsubtype.plugin.region_layers import ANALYZE, COLORS, EXCLUDE

GEOJSON = "Regions (*.geojson *.json);;All files (*)"
_WHOLE, _LAYER, _FILE, _ASK = "whole", "layer:", "file:", "ask"
_SWATCH_PX = 10


class RegionField(QWidget):
    """Edits which regions an analysis keeps to; knows layers by name and key only.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals
    drawRequested = Signal()  # noqa: N815 - as Qt names signals
    loadRequested = Signal()  # noqa: N815 - as Qt names signals
    saveRequested = Signal()  # noqa: N815 - as Qt names signals
    classChanged = Signal(str)  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layers: list[tuple[str, str]] = []
        self._file = ""
        self._chosen = _WHOLE
        self._combo = QComboBox(self)
        self._combo.setAccessibleName("Regions")
        self._combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._combo.setMinimumContentsLength(10)
        self._combo.setToolTip(
            "Where to analyze: the whole slide, regions drawn in a layer of shapes, or "
            "a GeoJSON file such as QuPath exports"
        )
        self.drawButton = QPushButton("Draw", self)
        self.drawButton.setToolTip("Draw regions on the slide, corner by corner")
        self.drawButton.clicked.connect(self.drawRequested)
        more = QToolButton(self)
        more.setText("⋯")
        more.setToolTip("Load or save regions")
        more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        more.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self._menu = QMenu(more)
        self._menu.addAction("Load regions…", self.loadRequested.emit)
        self._save = self._menu.addAction("Save regions…", self.saveRequested.emit)
        more.setMenu(self._menu)
        top = QHBoxLayout()
        top.setSpacing(4)
        top.addWidget(self._combo, 1)
        top.addWidget(self.drawButton)
        top.addWidget(more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self._make_classes())
        self._combo.activated.connect(self._on_activated)
        self._fill()
        self.setFocusProxy(self._combo)

    def value(self) -> str | None:
        """Give the file of regions that is chosen.

        Returns
        -------
        str or None
            Path of a GeoJSON file; None for the whole slide and for drawn regions.
        """
        return self._file if self._chosen.startswith(_FILE) else None

    def layerKey(self) -> str | None:
        """Give the layer of shapes that is chosen.

        Returns
        -------
        str or None
            Its key, as given to `setLayers`; None where no layer is chosen.
        """
        found = self._chosen.removeprefix(_LAYER)
        return found if self._chosen.startswith(_LAYER) else None

    def setValue(self, value: str | None) -> None:
        """Choose a file of regions.

        Parameters
        ----------
        value : str or None
            Path of a GeoJSON file; None for the whole slide.
        """
        if value:
            self._file = value
        self._choose(f"{_FILE}{value}" if value else _WHOLE)

    def setLayers(self, layers: Sequence[tuple[str, str]]) -> None:
        """Offer these layers of shapes; what was chosen stays chosen if it can.

        Parameters
        ----------
        layers : sequence of (str, str)
            Key and name of each; where the chosen one is gone, the whole slide is
            chosen.
        """
        if list(layers) == self._layers:
            return
        self._layers = list(layers)
        key = self.layerKey()
        gone = key is not None and key not in dict(self._layers)
        self._choose(_WHOLE if gone else self._chosen)

    def setLayer(self, key: str) -> None:
        """Choose a layer of shapes.

        Parameters
        ----------
        key : str
            As given to `setLayers`.
        """
        self._choose(_LAYER + key)

    def problem(self) -> str:
        """Say what keeps the regions from being used, as far as can be seen here.

        Returns
        -------
        str
            One sentence, or empty.
        """
        path = self.value()
        if path is None:
            return ""
        if Path(path).is_dir():
            return f"{Path(path).name} is a folder; choose a file."
        if not Path(path).exists():
            return f"There is no file named {Path(path).name}."
        return ""

    def _make_classes(self) -> QWidget:
        """Make the switch between drawing what to analyze and what to exclude."""
        self._classes = QWidget(self)
        row = QHBoxLayout(self._classes)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(QLabel("Drawing", self._classes))
        group = QButtonGroup(self._classes)
        self._class_buttons = {}
        for name, tip in (
            (ANALYZE, "Only regions of this kind are analyzed, where there are any"),
            (EXCLUDE, "Regions of this kind are left out"),
        ):
            swatch = QPixmap(_SWATCH_PX, _SWATCH_PX)
            swatch.fill(QColor(COLORS[name]))
            button = QPushButton(QIcon(swatch), name, self._classes)
            button.setCheckable(True)
            button.setToolTip(f"{tip}; selected shapes become of this kind too")
            button.clicked.connect(lambda _=False, n=name: self.classChanged.emit(n))
            group.addButton(button)
            row.addWidget(button, 1)
            self._class_buttons[name] = button
        self._class_buttons[ANALYZE].setChecked(True)
        return self._classes

    def drawnClass(self) -> str:
        """Give the class of what is drawn next.

        Returns
        -------
        str
            ``"Analyze"`` or ``"Exclude"``.
        """
        pressed = [n for n, button in self._class_buttons.items() if button.isChecked()]
        return pressed[0]

    def _choose(self, chosen: str) -> None:
        before = self._chosen
        self._chosen = chosen
        self._fill()
        if chosen != before:
            self.valueChanged.emit()

    def _fill(self) -> None:
        """List what can be chosen, and show what is."""
        self._combo.clear()
        self._combo.addItem("Whole slide", _WHOLE)
        for key, name in self._layers:
            self._combo.addItem(name, _LAYER + key)
        if self._file:
            self._combo.addItem(Path(self._file).name, _FILE + self._file)
        self._combo.addItem("From a file…", _ASK)
        self._combo.setCurrentIndex(max(self._combo.findData(self._chosen), 0))
        drawn = self.layerKey() is not None
        self._classes.setVisible(drawn)
        self._save.setEnabled(drawn)
        self.drawButton.setText("Draw" if not drawn else "Draw more")

    def _on_activated(self, _: int) -> None:
        chosen = self._combo.currentData()
        if chosen != _ASK:
            self._choose(chosen)
            return
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose regions", self._file, GEOJSON
        )
        if path:
            self.setValue(path)
        else:
            self._fill()
