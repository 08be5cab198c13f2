"""Show the result that belongs to the selected layer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.plugin.hover import watch_layers
from napari_mmsubtype.plugin.map_layers import maps_of
from napari_mmsubtype.plugin.placement import is_shown, store_of
from napari_mmsubtype.widgets.column_scroll import ColumnScroll
from napari_mmsubtype.widgets.dock_panel import DockPanel
from napari_mmsubtype.widgets.folded_part import FoldedPart
from napari_mmsubtype.widgets.job_runner import JobRunner
from napari_mmsubtype.widgets.map_field import MapField
from napari_mmsubtype.widgets.result_summary import (
    ResultSummary,
    result_names,
    summarize,
    summary_text,
)
from napari_mmsubtype.widgets.result_view import ResultView
from napari_mmsubtype.widgets.save_dialog import ask_save_path
from napari_mmsubtype.widgets.umap_panel import open_umap

if TYPE_CHECKING:
    import napari

_NOTHING = (
    "No result yet. Run an analysis, open a *.mmsubtype.zarr folder, or select a layer "
    "of a result."
)

AGAIN_MS = 2000
"""Pause before a store is read again whose analysis was running."""

_LOOKS = {"visible", "opacity", "contrast_limits", "colormap"}


class ResultPanel(DockPanel):
    """Shows the results whose layers are in the viewer, one at a time.

    It follows the layer that the user selects; stores are read away from the GUI
    thread.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose layers are watched.
    parent : QWidget, optional
        Owner.
    """

    def __init__(
        self, napari_viewer: napari.Viewer, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = napari_viewer
        self._known: dict[str, ResultSummary] = {}
        self._runner = JobRunner("Open result", self, has_bar=False)
        self._runner.succeeded.connect(self._on_opened)
        self._runner.failed.connect(self._on_failed)
        self._runner.finished.connect(self._load_next)
        self._failed: set[str] = set()
        self._loading = ""
        self._due: set[str] = set()
        self._turns = self._failures = 0
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(AGAIN_MS)
        self._again.timeout.connect(self._read_again)
        self._has_chosen = False
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(0)
        self._combo = QComboBox(self)
        self._combo.setAccessibleName("Result")
        self._combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._combo.setMinimumContentsLength(12)
        self._combo.currentIndexChanged.connect(self._show_current)
        self._combo.activated.connect(self._on_chosen)
        self._scroll = ColumnScroll(self)
        self._maps = MapField(napari_viewer)
        self._maps_part = FoldedPart("Maps", self._maps, self)
        self._copy = QPushButton("Copy as text", self)
        self._copy.clicked.connect(self._on_copy)
        self._save = QPushButton("Save report…", self)
        self._save.setToolTip("Call, data and how it was made, as one HTML file")
        self._save.clicked.connect(self._choose_report)
        self._reporter = JobRunner("Save report", self)
        self._reporter.started.connect(partial(self._save.setEnabled, False))
        self._reporter.finished.connect(partial(self._save.setEnabled, True))
        self._reporter.succeeded.connect(_tell_saved)
        self._map = QPushButton("Map of patches", self)
        self._map.setToolTip("Patches laid out by what they look like (UMAP)")
        self._map.clicked.connect(self._on_map)
        buttons = QHBoxLayout()
        buttons.addWidget(self._map)
        buttons.addWidget(self._copy)
        buttons.addWidget(self._save)
        layout = QVBoxLayout(self)
        layout.addWidget(self._combo)
        layout.addWidget(self._scroll, 1)
        layout.addWidget(self._maps_part)
        layout.addLayout(buttons)
        watch_layers(napari_viewer)
        layers = napari_viewer.layers
        layers.events.inserted.connect(self._on_inserted)
        layers.events.removed.connect(self._forget)
        layers.events.connect(self._on_layer)
        layers.selection.events.active.connect(self._on_active)
        self.destroyed.connect(self._disconnector())
        self._show_current()
        self._load_next()

    def summary(self) -> ResultSummary | None:
        """Give the result that is shown.

        Returns
        -------
        ResultSummary or None
            None while there is none.
        """
        return self._known.get(self._combo.currentData() or "")

    def addSummary(self, summary: ResultSummary) -> None:
        """Offer a result and show it.

        Parameters
        ----------
        summary : ResultSummary
            Replaces what was known of the same store.
        """
        self._offer(summary)
        self._combo.setCurrentIndex(self._combo.findData(summary.store))

    def _offer(self, summary: ResultSummary) -> None:
        """Take a result into the list; it is shown only where there was none."""
        self._known[summary.store] = summary
        index = self._combo.findData(summary.store)
        if index < 0:
            self._combo.addItem("", summary.store)
            self._combo.setVisible(self._combo.count() > 1)
            self._name_results()
        elif index == self._combo.currentIndex():
            self._show_current()

    def saveReport(self, path: str) -> None:
        """Write the report of the result that is shown, away from the GUI thread.

        Parameters
        ----------
        path : str
            The HTML file.
        """
        summary = self.summary()
        if summary is not None and not self._reporter.is_running:
            self._reporter.start(partial(_report_job, summary.store, path))

    def _choose_report(self) -> None:
        summary = self.summary()
        if summary is None:
            return
        start = str(Path(summary.store).with_suffix(".html"))
        path = ask_save_path(
            self, "Save report", start, "HTML (*.html)", (".html", ".htm")
        )
        if path:
            self.saveReport(path)

    def _disconnector(self) -> Any:
        """Make a function that lets go of the viewer when this is deleted."""
        layers = self._viewer.layers
        load, forget, active = self._on_inserted, self._forget, self._on_active
        look = self._on_layer

        def disconnect(*_: object) -> None:
            layers.events.inserted.disconnect(load)
            layers.events.removed.disconnect(forget)
            layers.events.disconnect(look)
            layers.selection.events.active.disconnect(active)

        return disconnect

    def _stores(self) -> list[str]:
        """List the stores whose layers are in the viewer."""
        found = (store_of(layer) for layer in self._viewer.layers)
        return list(dict.fromkeys(store for store in found if store))

    def _on_inserted(self, event: Any) -> None:
        self._settling.start()
        self._load_next()

    def _load_next(self) -> None:
        """Read the next store that is in the viewer and not known yet."""
        if self._runner.is_running:
            return
        for store in self._stores():
            is_new = store not in self._known and store not in self._failed
            if is_new or store in self._due:
                self._due.discard(store)
                self._loading, self._has_chosen = store, False
                self._runner.start(partial(_open_job, store))
                return
        if self._running():
            self._again.start()

    def _running(self) -> set[str]:
        """List the stores that are to be read again."""
        known = self._known.items()
        return {store for store, x in known if x.is_running}

    def _read_again(self) -> None:
        # One that cannot be read for a moment is asked for ever more seldom.
        self._turns += 1
        if self._turns % 2 ** min(self._failures, 5):
            self._again.start()
            return
        self._due = self._running()
        self._load_next()

    def _on_opened(self, summary: ResultSummary) -> None:
        """Offer what was read, unless its layers are gone or more is known by now."""
        self._failures = 0
        if not is_shown(self._viewer.layers, summary.store):
            return
        known = self._known.get(summary.store)
        if known is None and not summary.is_running and not self._has_chosen:
            self.addSummary(summary)
        elif known is None or (known.is_running and not summary.is_running):
            self._offer(summary)

    def _on_failed(self) -> None:
        self._failures += 1
        if self._loading not in self._known:
            self._failed.add(self._loading)

    def _forget(self, event: Any = None) -> None:
        """Drop results whose layers are gone."""
        self._settling.start()
        stores = self._stores()
        for index in reversed(range(self._combo.count())):
            if self._combo.itemData(index) not in stores:
                self._known.pop(self._combo.itemData(index), None)
                self._combo.removeItem(index)
        self._failed.intersection_update(stores)
        self._name_results()

    def _name_results(self) -> None:
        """Name all that are in the list: what tells one from others may change."""
        names = result_names(self._known.values())
        for index in range(self._combo.count()):
            store = self._combo.itemData(index)
            self._combo.setItemText(index, names[store])
            self._combo.setItemData(index, store, Qt.ItemDataRole.ToolTipRole)

    def _on_active(self, event: Any = None) -> None:
        store = store_of(self._viewer.layers.selection.active)
        index = self._combo.findData(store) if store else -1
        # In one turn with an insertion or a removal napari selects, not the user.
        if index >= 0 and not self._settling.isActive():
            self._combo.setCurrentIndex(index)
        self._maps.describe()

    def _on_chosen(self) -> None:
        """Select what is seen of the result, so that status bar and legend tell of it.

        What is being read meanwhile does not take its place.
        """
        self._has_chosen = True
        store, layers = self._combo.currentData(), self._viewer.layers
        seen = [x for x in layers if x.visible and store_of(x) == store]
        for layer in (maps_of(seen, store) or seen)[-1:]:
            layers.selection.active = layer

    def _on_layer(self, event: Any) -> None:
        """Follow what decides which colors a map is seen in."""
        if event.type in _LOOKS:
            self._maps.describe()

    def _show_current(self) -> None:
        summary = self.summary()
        self._combo.setVisible(self._combo.count() > 1)
        has_ended = summary is not None and not summary.is_running
        self._copy.setVisible(has_ended)
        self._save.setVisible(has_ended)
        self._maps_part.setVisible(has_ended)
        self._combo.setToolTip(summary.store if summary else "")
        self._maps.setResult(summary)
        self._map.setVisible(summary is not None and summary.prediction is not None)
        if summary is None:
            hint = QLabel(_NOTHING)
            hint.setWordWrap(True)
            hint.setAlignment(Qt.AlignmentFlag.AlignTop)
            self._scroll.setWidget(hint)
        else:
            self._scroll.setWidget(ResultView(summary))

    def _on_map(self) -> None:
        summary = self.summary()
        if summary is not None:
            open_umap(self._viewer, summary.store, self._combo.currentText())

    def _on_copy(self) -> None:
        summary = self.summary()
        clipboard = QGuiApplication.clipboard()
        if summary is not None and clipboard is not None:
            clipboard.setText(summary_text(summary))


def _open_job(store: str) -> Job[ResultSummary]:
    """Read a store's summary."""
    from napari_mmsubtype.results.run_state import live_owner, place_elsewhere
    from napari_mmsubtype.results.store import open_result

    yield Progress("open", message=f"opening {store}")
    owner = live_owner(Path(store))
    summary = summarize(open_result(store))
    if owner is None or summary.prediction is not None:
        return summary
    return replace(summary, is_running=True, runs_at=place_elsewhere(owner))


def _report_job(store: str, path: str) -> Job[Path]:
    """Write the report of a store."""
    # Templates and pictures take a while to import.
    from napari_mmsubtype.results.html_report import write_report

    yield Progress("write", message=f"writing {path}")
    return write_report(store, path)


def _tell_saved(path: Path) -> None:
    show_info(f"Report saved as {path}")
