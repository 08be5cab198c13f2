"""Show the maps of a running analysis, once a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_mmsubtype.plugin.layer_list import is_copy
from napari_mmsubtype.plugin.layers import METADATA_KEY
from napari_mmsubtype.plugin.live_layers import LIVE, LIVE_EVIDENCE, LiveUpdate
from napari_mmsubtype.widgets.layer_adder import remove_layers

if TYPE_CHECKING:
    from napari_mmsubtype.core.progress import Progress
    from napari_mmsubtype.widgets.layer_adder import LayerAdder

INTERVAL_MS = 1000
"""Pause between two refreshes: batches may come faster than anyone can look, and where
there is no graphics card, the processor that computes them draws them, too."""


class LiveView(QObject):
    """Adds the layers of a running analysis and keeps them up to date.

    Parameters
    ----------
    viewer : napari.Viewer
        Receives the layers.
    adder : LayerAdder
        Adds them one by one.
    parent : QObject, optional
        Owner.
    """

    def __init__(
        self, viewer: Any, adder: LayerAdder, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._adder = adder
        self._update: LiveUpdate | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self.refresh)

    def show(self, event: Progress) -> None:
        """Take notice of an event; what it brings is drawn soon.

        Parameters
        ----------
        event : Progress
            Of the running analysis.
        """
        update = event.partial
        if not isinstance(update, LiveUpdate):
            return
        is_new = self._update is None or self._update.maps is not update.maps
        self._update = update
        if is_new:
            self.remove(update.maps.store)
            self._adder.add(update.layers)
        if not self._timer.isActive():
            self._timer.start()

    def stop(self) -> None:
        """Draw what has come and wait for nothing more."""
        if self._timer.isActive():
            self._timer.stop()
            self.refresh()
        self._update = None

    def refresh(self) -> None:
        """Draw what has come since the last refresh."""
        update = self._update
        if update is None:
            return
        for layer in self._viewer.layers:
            facts = layer.metadata.get(METADATA_KEY, {})
            if facts.get("store") != update.maps.store or facts["kind"] not in LIVE:
                continue
            if is_copy(layer):
                continue
            if facts["kind"] == LIVE_EVIDENCE:
                layer.contrast_limits_range = (-update.limit, update.limit)
                layer.contrast_limits = (-update.limit, update.limit)
            layer.refresh()

    def remove(self, store: str) -> None:
        """Take away what an earlier run of the same request drew, no copies of it.

        Parameters
        ----------
        store : str
            Path of its store.
        """

        def _is_of_store(metadata: dict[str, Any]) -> bool:
            return bool(metadata.get(METADATA_KEY, {}).get("store") == store)

        self._adder.drop(_is_of_store)
        older = [
            layer
            for layer in self._viewer.layers
            if _is_of_store(layer.metadata) and not is_copy(layer)
        ]
        remove_layers(self._viewer, older)
