"""Add layers one at a time, so that the window stays alive between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    import napari

    from napari_mmsubtype.plugin.layers import LayerTuple


class LayerAdder(QObject):
    """Adds layer tuples to a viewer, one per turn of the event loop.

    Parameters
    ----------
    viewer : napari.Viewer
        Receives the layers.
    parent : QObject, optional
        Owner.
    """

    finished = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._waiting: deque[LayerTuple] = deque()
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._add_next)

    def add(self, layers: Sequence[LayerTuple]) -> None:
        """Add layers on top of those that are there.

        Parameters
        ----------
        layers : sequence of tuple
            ``(data, keyword arguments, type)``, from bottom to top.
        """
        self._waiting.extend(layers)
        self._timer.start()

    def _add_next(self) -> None:
        if not self._waiting:
            self._timer.stop()
            self.finished.emit()
            return
        data, kwargs, kind = self._waiting.popleft()
        layer: Any = Layer.create(data, kwargs, kind)
        self._viewer.add_layer(layer)
