"""Ask how many microns a pixel of a slide is, and redraw the slide at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import napari
from napari.utils.notifications import show_info
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_mmsubtype.plugin.slide_pixel_size import (
    find_slide,
    own_size,
    set_slide_pixel_size,
    size_problem,
    slide_facts,
    slide_images,
)
from napari_mmsubtype.slides.pixel_size import MPP_BY_OBJECTIVE

if TYPE_CHECKING:
    from napari.components import ViewerModel

_SOURCES = {
    "vendor": "The file says {}.",
    "resolution-tag": "The file's resolution tag says {}.",
    "objective": "Estimated from the objective: {}.",
}


def set_pixel_size(path: str | None = None) -> None:
    """Open the dialog over napari's window.

    Parameters
    ----------
    path : str, optional
        Path of the slide to begin with.
    """
    viewer = napari.current_viewer()
    if viewer is None or not slide_images(viewer.layers):
        show_info("Open a slide first: its pixel size can then be set.")
        return
    PixelSizeDialog(viewer, path, parent=viewer.window._qt_window).open()


class PixelSizeDialog(QDialog):
    """Edits the pixel size of one of the open slides.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Whose slides are offered.
    path : str, optional
        Path of the slide to begin with; by default the selected one, or the first
        without a pixel size.
    parent : QWidget, optional
        Window that it belongs to.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        path: str | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Set pixel size")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._viewer = viewer
        self._combo = QComboBox(self)
        for layer in slide_images(viewer.layers):
            self._combo.addItem(layer.name, slide_facts(layer)["path"])
        self._told = QLabel(self)
        self._spin = QDoubleSpinBox(self)
        self._spin.setAccessibleName("Pixel size")
        self._spin.setDecimals(4)
        # Wider than what is believed: a wrong number is answered, not silently cut.
        self._spin.setRange(0.0, 100_000.0)
        self._spin.setSingleStep(0.05)
        self._spin.setSuffix(" µm/px")
        self._spin.valueChanged.connect(self._check)
        self._note = QLabel(self)
        self._note.setWordWrap(True)
        self._note.setObjectName("note")
        buttons = QDialogButtonBox.StandardButton
        self._buttons = QDialogButtonBox(buttons.Ok | buttons.Cancel, self)
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        self._lay_out()
        self._combo.currentIndexChanged.connect(self._show_slide)
        self._combo.setCurrentIndex(max(self._combo.findData(path or self._first()), 0))
        self._show_slide()
        self._spin.setFocus()
        self._spin.selectAll()

    def accept(self) -> None:
        """Redraw the slide and close, or stay and say what is wrong."""
        value = self._spin.value()
        if size_problem(value):
            self._check()
            return
        set_slide_pixel_size(self._viewer, self._combo.currentData(), value)
        super().accept()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("&Slide", self._combo)
        form.addRow("", self._told)
        form.addRow("&Pixel size", self._spin)
        choices = QHBoxLayout()
        for power, mpp in sorted(MPP_BY_OBJECTIVE.items(), reverse=True):
            button = QPushButton(f"&{power:g}x", self)
            button.setToolTip(f"{mpp:g} µm/px, as most scanners have it")
            button.setAutoDefault(False)
            button.clicked.connect(lambda _=False, mpp=mpp: self._spin.setValue(mpp))
            choices.addWidget(button)
        form.addRow("Objective", choices)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self._note)
        layout.addStretch(1)
        layout.addWidget(self._buttons)
        self.setMinimumWidth(420)

    def _first(self) -> str:
        """Choose the selected slide, or the first that has no pixel size."""
        chosen = slide_facts(self._viewer.layers.selection.active or _Nothing)
        facts = [slide_facts(layer) for layer in slide_images(self._viewer.layers)]
        bare = [entry for entry in facts if entry["mpp"] is None]
        best = [entry for entry in (chosen,) if entry] + bare + facts
        return str(best[0]["path"]) if best else ""

    def _show_slide(self) -> None:
        layer = find_slide(self._viewer.layers, self._combo.currentData() or "")
        if layer is None:
            return
        facts = slide_facts(layer)
        own, source = own_size(facts)
        told = "The file does not say."
        if own is not None:
            size = f"{(own[0] * own[1]) ** 0.5:.4g} µm/px"
            told = _SOURCES.get(source, "The file says {}.").format(size)
        objective = facts.get("objective")
        told += f" Objective: {objective}." if objective else ""
        self._told.setText(told)
        now = facts["mpp"]
        # A slide at 20x is the likelier one to lack its pixel size.
        self._spin.setValue((now[0] * now[1]) ** 0.5 if now else 0.5)
        self._check()

    def _check(self, *_: Any) -> None:
        problem = size_problem(self._spin.value())
        self._note.setText(f"⚠ {problem}" if problem else "")
        self._buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(not problem)


class _Nothing:
    """Stands for no layer being selected."""

    metadata: dict[str, Any] = {}  # noqa: RUF012 - never written to
