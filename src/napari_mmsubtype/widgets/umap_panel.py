"""The map of a result's patches, tied to the slide: choose here, see it there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.core.subtypes import Subtype
from napari_mmsubtype.plugin.hover import CHOSEN
from napari_mmsubtype.plugin.layer_list import index_of_new, is_copy
from napari_mmsubtype.plugin.placement import (
    METADATA_KEY,
    PATCH_FACTS,
    is_shown,
    map_placement,
    patch_sizes,
    store_of,
)
from napari_mmsubtype.results.patch_colors import (
    class_colors,
    color_choices,
    patch_colors,
)
from napari_mmsubtype.results.patch_facts import PatchFacts, gather_facts
from napari_mmsubtype.results.patch_map import PatchMap
from napari_mmsubtype.widgets.dock_panel import DockPanel
from napari_mmsubtype.widgets.dot_plot import DotPlot
from napari_mmsubtype.widgets.job_runner import JobRunner

if TYPE_CHECKING:
    import napari
    from numpy.typing import NDArray

_COLORS = [[0.0, 0.0, 0.0, 0.0], [1.0, 0.85, 0.1, 1.0]]
_GONE = "No layer shows this result any more. Open it again to see where patches lie."
_HINT = "Draw around dots, or click one, to see where these patches lie."


@dataclass(frozen=True, slots=True, eq=False)
class MapView:
    """What the panel shows of a result; nothing is read later.

    Attributes
    ----------
    store, slide_name : str
        Whose patches.
    found : PatchMap or None
        None where no map was made yet.
    facts : PatchFacts
        What is known of the patches.
    classes : tuple of Subtype
        The model's.
    evidence : ndarray of float32, shape (n, c)
        In logits.
    tissue : ndarray of float32, shape (n,)
        Share of tissue.
    cell : ndarray of int32, shape (n, 2)
        Row and column of each patch.
    pixel_um : tuple of float
        Microns per level-0 pixel, ``(y, x)``.
    placement : dict
        Of the layer that shows chosen patches, which tells of them as the others do.
    """

    store: str
    slide_name: str
    found: PatchMap | None
    facts: PatchFacts
    classes: tuple[Subtype, ...]
    evidence: NDArray[np.float32]
    tissue: NDArray[np.float32]
    cell: NDArray[np.int32]
    pixel_um: tuple[float, float]
    placement: dict[str, Any]


class UmapPanel(DockPanel):
    """Shows the map of one result, and makes it.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Shows the chosen patches; a click on its canvas marks a patch here.
    store : str
        Of the result.
    parent : QWidget, optional
        Owner.
    """

    def __init__(
        self, napari_viewer: napari.Viewer, store: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = napari_viewer
        self.store = store
        self._view: MapView | None = None
        self.plot = DotPlot(self)
        self.plot.chosen.connect(self._on_chosen)
        self.colorBox = QComboBox(self)
        self.colorBox.setAccessibleName("Color patches by")
        self.colorBox.currentTextChanged.connect(self._paint)
        self.makeButton = QPushButton("Make map", self)
        self.makeButton.setEnabled(False)
        self.makeButton.clicked.connect(self._on_make)
        self._text = QLabel(self)
        self._text.setWordWrap(True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.reader = JobRunner("Open map", self, has_bar=False)
        self.reader.succeeded.connect(self._show)
        self.reader.failed.connect(self._say)
        self.maker = JobRunner("Map of patches", self, has_bar=False, is_long=True)
        self.maker.progressed.connect(self._on_progress)
        self.maker.succeeded.connect(self._show)
        self.maker.failed.connect(self._say)
        self.maker.cancelled.connect(partial(self._say, "Cancelled; nothing changed."))
        self.maker.finished.connect(self._on_finished)
        row = QHBoxLayout()
        row.addWidget(QLabel("Color by", self))
        row.addWidget(self.colorBox, 1)
        row.addWidget(self.makeButton)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self._text)
        napari_viewer.mouse_drag_callbacks.append(self._on_press)
        self.destroyed.connect(self._disconnector())
        self.read()

    def read(self) -> None:
        """Read the result, unless that is done or under way."""
        if self._view is None and not self.reader.is_running:
            self._say("")
            self.reader.start(partial(_read_job, self.store))

    def text(self) -> str:
        """Give the line below the map.

        Returns
        -------
        str
            What is shown, why nothing is, or how far the making is.
        """
        return str(self._text.text())

    def _disconnector(self) -> Any:
        """Make a function that lets go of the viewer when this is deleted."""
        callbacks, on_press = self._viewer.mouse_drag_callbacks, self._on_press

        def disconnect(*_: object) -> None:
            if on_press in callbacks:
                callbacks.remove(on_press)

        return disconnect

    def _show(self, view: MapView) -> None:
        self._view = view
        found = view.found
        self.makeButton.setText("Make map" if found is None else "Up to date")
        self.makeButton.setEnabled(found is None)
        if self.colorBox.count() == 0:
            self.colorBox.addItems(color_choices(view.classes))
        if found is None:
            self._say(
                "No map yet. Make map lays the patches out by what they look like "
                "(UMAP); it takes seconds to minutes and can be cancelled."
            )
            return
        self.plot.setPoints(found.points, found.reference)
        self._paint()
        self._say(_HINT)

    def _paint(self) -> None:
        view = self._view
        if view is None or view.found is None:
            return
        colors = patch_colors(
            self.colorBox.currentText(), view.classes, view.evidence, view.tissue
        )
        self.plot.setColors(
            colors, class_colors(view.classes, view.found.reference_class)
        )

    def _say(self, text: str) -> None:
        self._text.setText(text)

    def _on_make(self) -> None:
        if self.maker.is_running:
            self.maker.cancel()
            self.makeButton.setEnabled(False)
        else:
            self.makeButton.setText("Cancel")
            self.maker.start(partial(_make_job, self.store))

    def _on_progress(self, event: Progress) -> None:
        count = f" {event.done:,} of {event.total:,}" if event.total else ""
        self._say(f"{event.message}{count}")

    def _on_finished(self) -> None:
        missing = self._view is None or self._view.found is None
        self.makeButton.setEnabled(missing)
        self.makeButton.setText("Make map" if missing else "Up to date")

    def _on_chosen(self, index: NDArray[np.int64]) -> None:
        view = self._view
        if view is None:
            return
        if not is_shown(self._viewer.layers, self.store):
            self._say(_GONE)
            return
        fields = np.zeros(view.facts.index.shape, np.uint8)
        row, col = view.cell[index].T
        fields[row, col] = 1
        layer = self._chosen_layer()
        if layer is not None:
            layer.data = fields
        elif len(index):
            layer = Labels(
                fields,
                name=f"{CHOSEN}: {view.slide_name}",
                colormap=_COLORS,
                opacity=0.5,
                **view.placement,
            )
            layers = self._viewer.layers
            layers.insert(index_of_new(layers, layer), layer)
        if len(index) == 1:
            self._say(view.facts.words(int(index[0])))
        else:
            self._say(
                f"{len(index):,} patches chosen. {_HINT}" if len(index) else _HINT
            )

    def _chosen_layer(self) -> Any:
        for layer in self._viewer.layers:
            own = layer.metadata.get(METADATA_KEY, {})
            is_ours = own.get("kind") == CHOSEN and own.get("store") == self.store
            if is_ours and not is_copy(layer):
                return layer
        return None

    def _is_seen(self, view: MapView) -> bool:
        """Whether what is seen on top is the slide of this result, or a map of it.

        Slides of one window lie over one another: a click is meant for what is seen.
        Layers of others, such as points, are looked through.
        """
        path = view.placement["metadata"][METADATA_KEY]["path"]
        for layer in reversed(self._viewer.layers):
            own = layer.metadata.get(METADATA_KEY, {})
            if layer.visible and "path" in own:
                return own["path"] == path or store_of(layer) == self.store
        return False

    def _on_press(self, viewer: Any, event: Any) -> None:
        """Mark the patch that was clicked on the slide."""
        view = self._view
        if view is None or view.found is None or not self._is_seen(view):
            return
        y, x = event.position[-2:]
        step = view.pixel_um
        patch = view.facts.at(y / step[0] + 0.5, x / step[1] + 0.5)
        self.plot.setMarked(patch)
        if patch >= 0:
            self._say(view.facts.words(patch))


def open_umap(viewer: napari.Viewer, store: str, name: str) -> UmapPanel:
    """Find the panel with the map of a result, or open it in a tab beside the others.

    Parameters
    ----------
    viewer : napari.Viewer
        With a window.
    store : str
        Of the result.
    name : str
        Of the result, for the title.

    Returns
    -------
    UmapPanel
        The panel, in front.
    """
    for widget in viewer.window.dock_widgets.values():
        inner = getattr(widget, "native", widget)
        if isinstance(inner, UmapPanel) and inner.store == store:
            dock = inner.parentWidget()
            if dock is not None:
                dock.show()
                dock.raise_()
            inner.read()
            return inner
    panel = UmapPanel(viewer, store)
    viewer.window.add_dock_widget(panel, name=f"Map: {name}", area="right", tabify=True)
    return panel


def _read_job(store: str) -> Job[MapView]:
    """Read what the panel shows."""
    from napari_mmsubtype.results.store import open_result

    yield Progress("open", message=f"opening {store}")
    result = open_result(store)
    pixel, facts = result.pixel_size, gather_facts(result)
    placement = map_placement(result, CHOSEN, *patch_sizes(result))
    placement["metadata"][METADATA_KEY][PATCH_FACTS] = facts
    return MapView(
        store=store,
        slide_name=result.slide_name,
        found=result.patch_map,
        facts=facts,
        classes=tuple(result.classes),
        evidence=result.patch_evidence,
        tissue=result.grid.tissue,
        cell=result.grid.cell,
        pixel_um=(pixel.y, pixel.x),
        placement=placement,
    )


def _make_job(store: str) -> Job[MapView]:
    """Make the map, then read it."""
    from napari_mmsubtype.workflows.patch_umap import umap_job

    yield from umap_job(store)
    return (yield from _read_job(store))
