"""Choose how maps are colored, and have them drawn by another method."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_mmsubtype.core.progress import Job
from napari_mmsubtype.models.torch_import import import_torch
from napari_mmsubtype.plugin.layer_list import is_copy
from napari_mmsubtype.plugin.map_layers import (
    CAM,
    cam_layers,
    hide_maps,
    maps_of,
    scale_words,
    set_scale,
)
from napari_mmsubtype.plugin.placement import METADATA_KEY, PATCH_FACTS, is_shown
from napari_mmsubtype.plugin.view_maps import is_in_view
from napari_mmsubtype.results.map_scale import SCALES
from napari_mmsubtype.results.patch_facts import gather_facts
from napari_mmsubtype.widgets.color_legend import ColorLegend
from napari_mmsubtype.widgets.job_bar import JobBar
from napari_mmsubtype.widgets.job_runner import JobRunner
from napari_mmsubtype.widgets.layer_adder import LayerAdder, build_images, remove_layers
from napari_mmsubtype.widgets.view_follower import ViewFollower

if TYPE_CHECKING:
    from napari_mmsubtype.widgets.result_summary import ResultSummary


class MapField(QWidget):
    """Colors and methods of the maps of the result that is shown.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are colored; receives the maps.
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._store = self._drawn_store = ""
        self._adder = LayerAdder(viewer, self)
        self.scaleCombo = _combo(self, "Color scale", SCALES)
        self.scaleCombo.setToolTip("Changes what is seen, never the numbers")
        self.colors = ColorLegend(self)
        self._legend = QLabel(self)
        self._legend.setWordWrap(True)
        self.methodCombo = _combo(self, "Method of another map", ())
        self.viewCheck = QCheckBox("Draw what is in view", self)
        self.viewCheck.setToolTip(
            "Draws where you look and keeps it; the whole slide goes on from there"
        )
        self._told = QLabel(self)
        self._told.setWordWrap(True)
        self._told.hide()
        self._runner = JobRunner("Draw map", self, has_bar=False, is_long=True)
        self._bar = JobBar(self._runner, self)
        self._bar.runButton.setText("Draw whole slide")
        self.follower = ViewFollower(viewer, self)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Colors", self.scaleCombo)
        form.addRow(self.colors)
        form.addRow(self._legend)
        form.addRow("Other map", self.methodCombo)
        self._drawing = (
            form.labelForField(self.methodCombo),
            self.methodCombo,
            self.viewCheck,
            self._bar,
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addWidget(self.viewCheck)
        layout.addWidget(self._told)
        layout.addWidget(self._bar)
        self.scaleCombo.currentTextChanged.connect(self._on_scale)
        self.viewCheck.toggled.connect(self._on_view)
        self.methodCombo.currentTextChanged.connect(self._on_method)
        self._bar.runRequested.connect(self.drawSlide)
        self._runner.succeeded.connect(self._on_drawn)
        self._runner.finished.connect(self._on_finished)
        self.follower.told.connect(self._tell)
        self.follower.stopped.connect(self._on_stopped)
        self._adder.finished.connect(self.describe)
        viewer.layers.events.inserted.connect(self._on_inserted)
        self.destroyed.connect(self._disconnector())

    def _disconnector(self) -> Any:
        """Make a function that lets go of the viewer when this is deleted."""
        inserted, listener = self._viewer.layers.events.inserted, self._on_inserted

        def disconnect(*_: object) -> None:
            inserted.disconnect(listener)

        return disconnect

    def legend(self) -> str:
        """Give the words below the scale.

        Returns
        -------
        str
            What full color means; empty where the result has no layer.
        """
        return str(self._legend.text())

    def setResult(self, summary: ResultSummary | None) -> None:
        """Show the choices of a result.

        Parameters
        ----------
        summary : ResultSummary or None
            None where none is shown; an interrupted analysis has no maps.
        """
        if summary is not None and summary.prediction is None:
            summary = None
        self.setEnabled(summary is not None)
        store = summary.store if summary else ""
        if store == self._store:
            self.describe()
            return
        self.follower.stop()
        self._store = store
        methods = list(summary.other_methods) if summary else []
        self.methodCombo.clear()
        self.methodCombo.addItems(methods)
        self._show_drawing()
        self._on_scale()

    def _show_drawing(self) -> None:
        """Show what can be drawn of this result, and how that of no other ended."""
        self._bar.clear()
        for part in self._drawing:
            # What is being drawn of another result can still be cancelled.
            part.setVisible(self.methodCombo.count() > 0 or self._runner.is_running)

    def drawSlide(self) -> None:
        """Draw the whole slide by the method that is chosen."""
        method = self.methodCombo.currentText()
        if self._store and method and not self._runner.is_running:
            self.viewCheck.setChecked(False)
            self._drawn_store = self._store
            self._runner.start(partial(_draw_job, self._store, method))

    def stop(self) -> None:
        """Stop whatever draws."""
        self.follower.stop()
        self._runner.cancel()

    def _own_layers(self) -> list[Any]:
        """List the layers of the result whose colors follow the scale."""
        return maps_of(self._viewer.layers, self._store)

    def _on_inserted(self, event: Any) -> None:
        """Show a new map as the others of its result, whoever adds it."""
        for layer in maps_of([event.value], self._store):
            set_scale(layer, self.scaleCombo.currentText())
        self.describe()

    def _on_scale(self, *_: object) -> None:
        scale = self.scaleCombo.currentText()
        layers = self._own_layers()
        for layer in layers:
            set_scale(layer, scale)
        self.follower.setScale(scale)
        self.describe()

    def describe(self) -> None:
        """Say what the colors mean of the selected layer, or the topmost visible."""
        scale, layers = self.scaleCombo.currentText(), self._own_layers()
        active = self._viewer.layers.selection.active
        shown = [x for x in layers if x is active] or [x for x in layers if x.visible]
        words, top, about = "", None, ""
        if shown:
            top = shown[-1]
            facts = top.metadata[METADATA_KEY]
            about = facts["class"]
            words = f"{top.name}: {scale_words(facts, scale)}"
        self.colors.setLayer(top, about)
        self._legend.setText(words)
        self._legend.setVisible(bool(words))

    def _on_view(self, is_on: bool) -> None:
        if not is_on:
            self.follower.stop()
        elif self._store and self.methodCombo.currentText():
            scale = self.scaleCombo.currentText()
            self.follower.start(self._store, self.methodCombo.currentText(), scale)

    def _on_method(self, *_: object) -> None:
        self.viewCheck.setChecked(False)

    def _on_stopped(self) -> None:
        self.viewCheck.setChecked(False)
        self._told.hide()

    def _tell(self, text: str) -> None:
        self._told.setText(text)
        self._told.setVisible(bool(text))
        self.describe()

    def _on_finished(self) -> None:
        if self._drawn_store != self._store:
            self._show_drawing()

    def _on_drawn(self, layers: list[Any]) -> None:
        """Put a finished map in the place of what was drawn of it before."""
        # Another result may be shown by now.
        drawn = layers[0].metadata[METADATA_KEY]
        store, method = drawn["store"], drawn["method"]
        if not is_shown(self._viewer.layers, store):
            return
        older = []
        for layer in maps_of(self._viewer.layers, store):
            facts = layer.metadata[METADATA_KEY]
            is_same = facts["kind"] == CAM and facts["method"] == method
            if (is_same or is_in_view(layer)) and not is_copy(layer):
                older.append(layer)
        remove_layers(self._viewer, older)
        hide_maps(self._viewer.layers, store)
        self._adder.add(layers)


def _combo(parent: QWidget, name: str, entries: tuple[str, ...]) -> QComboBox:
    combo = QComboBox(parent)
    combo.setAccessibleName(name)
    combo.addItems(list(entries))
    return combo


def _draw_job(store: str, method: str) -> Job[list[Any]]:
    """Draw the whole slide; give the layers of that method, the topmost visible."""
    # PyTorch takes seconds to import.
    import_torch()
    from napari_mmsubtype.workflows.draw_cam import draw_cam_job

    result = yield from draw_cam_job(store, method)
    called = result.prediction.label if result.prediction else ""
    known = gather_facts(result)
    layers = []
    for data, kwargs, kind in cam_layers(result):
        facts = kwargs["metadata"][METADATA_KEY]
        if facts["method"] == method:
            facts[PATCH_FACTS] = known
            kwargs["visible"] = facts["class"] in ("", called)
            layers.append((data, kwargs, kind))
    layers.sort(key=lambda layer: bool(layer[1]["visible"]))
    return build_images(layers)
