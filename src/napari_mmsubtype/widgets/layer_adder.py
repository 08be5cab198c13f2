"""Add layers one at a time, and remove them at once, so that the window stays alive."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_mmsubtype.plugin.layer_list import index_of_new
from napari_mmsubtype.plugin.window import keep_context

if TYPE_CHECKING:
    import napari

    from napari_mmsubtype.plugin.layers import LayerTuple


def build_images(layers: Sequence[LayerTuple]) -> list[LayerTuple | Layer]:
    """Make image layers out of their tuples, in whatever thread this is called.

    Parameters
    ----------
    layers : sequence of tuple
        ``(data, keyword arguments, type)``.

    Returns
    -------
    list of tuple or napari.layers.Layer
        Images as layers: reading what they show first is the slow part of opening a
        slide. Other layers stay tuples; making one swaps the warning filters of the
        process, which is safe in the GUI thread only.
    """
    return [
        Image(entry[0], **entry[1]) if entry[2] == "image" else entry
        for entry in layers
    ]


def remove_layers(viewer: napari.Viewer, unwanted: Sequence[Layer]) -> None:
    """Remove layers, all in one go.

    With each removal napari has Python search the whole process for cycles, a quarter
    of a second in a window with a slide; here that is done once.

    Parameters
    ----------
    viewer : napari.Viewer
        That has them.
    unwanted : sequence of napari.layers.Layer
        Any number.
    """
    if not unwanted:
        return
    # Older versions of napari neither have this nor search.
    together: Callable[[], AbstractContextManager[object]] = getattr(
        viewer.layers, "batched_update", nullcontext
    )
    with together():
        for layer in unwanted:
            viewer.layers.remove(layer)


class LayerAdder(QObject):
    """Adds layers to a viewer, one per turn of the event loop.

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
        keep_context()
        self._viewer = viewer
        self._waiting: deque[LayerTuple | Layer] = deque()
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._add_next)

    def add(self, layers: Sequence[LayerTuple | Layer]) -> None:
        """Add layers, each directly above what lies on its slide.

        Parameters
        ----------
        layers : sequence of tuple or napari.layers.Layer
            From bottom to top; tuples are ``(data, keyword arguments, type)``.
        """
        self._waiting.extend(layers)
        self._timer.start()

    def drop(self, is_unwanted: Callable[[dict[str, Any]], bool]) -> None:
        """Forget layers that wait to be added.

        Parameters
        ----------
        is_unwanted : callable
            Judges a layer by its metadata.
        """
        kept = [x for x in self._waiting if not is_unwanted(_metadata(x))]
        self._waiting = deque(kept)

    def _add_next(self) -> None:
        if not self._waiting:
            self._timer.stop()
            self.finished.emit()
            return
        entry: Any = self._waiting.popleft()
        layer = Layer.create(*entry) if isinstance(entry, tuple) else entry
        layers = self._viewer.layers
        layers.insert(index_of_new(layers, layer), layer)


def _metadata(entry: LayerTuple | Layer) -> dict[str, Any]:
    found = entry[1].get("metadata", {}) if isinstance(entry, tuple) else entry.metadata
    return dict(found)
