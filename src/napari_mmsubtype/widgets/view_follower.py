"""Draw by another method where one looks: in a worker, whenever the view rests."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.models.torch_import import import_torch
from napari_mmsubtype.plugin.layer_list import is_copy, raise_slide
from napari_mmsubtype.plugin.map_layers import hide_maps, set_scale
from napari_mmsubtype.plugin.placement import METADATA_KEY
from napari_mmsubtype.plugin.view_maps import ViewMaps, follow_cells, is_in_view
from napari_mmsubtype.results.map_scale import PERCENTILE
from napari_mmsubtype.results.stored_slide import slide_place
from napari_mmsubtype.widgets.job_runner import JobRunner
from napari_mmsubtype.widgets.layer_adder import LayerAdder, remove_layers

if TYPE_CHECKING:
    from napari_mmsubtype.workflows.draw_view import ViewSession

REST_MS = 400
"""How long a view must rest before it is drawn."""
REFRESH_MS = 250

_NEWS = 0.05
"""A scale is set anew where it changed by more than this part."""


class ViewFollower(QObject):
    """Draws what is in view by one method, until it is told to stop.

    Parameters
    ----------
    viewer : napari.Viewer
        Its view is followed; receives the layers.
    parent : QObject, optional
        Owner.
    """

    told = Signal(str)
    stopped = Signal()

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._adder = LayerAdder(viewer, self)
        self._session: ViewSession | None = None
        self._maps: ViewMaps | None = None
        self._scale = PERCENTILE
        self._is_wanted = self._is_stale = False
        self._runner = JobRunner("Draw what is in view", self, has_bar=False)
        self._runner.succeeded.connect(self._on_succeeded)
        self._runner.progressed.connect(self._on_progress)
        self._runner.failed.connect(self._on_failed)
        self._runner.finished.connect(self._on_finished)
        self._rest = _timer(self, REST_MS, self.draw)
        self._refresh = _timer(self, REFRESH_MS, self.refresh)
        self._adder.finished.connect(self.draw)
        _camera(viewer).events.connect(self._on_moved)
        viewer.layers.events.removed.connect(self._on_removed)
        self.destroyed.connect(self._disconnector())

    def _disconnector(self) -> Any:
        """Make a function that lets go of everything when this is deleted."""
        camera, layers = _camera(self._viewer), self._viewer.layers
        moved, removed = self._on_moved, self._on_removed

        def disconnect(*_: object) -> None:
            camera.events.disconnect(moved)
            layers.events.removed.disconnect(removed)
            self._let_go()

        return disconnect

    @property
    def is_following(self) -> bool:
        """Whether views are drawn, or will be once the model is loaded."""
        return self._is_wanted

    @property
    def maps(self) -> ViewMaps | None:
        """What is drawn by now, or None."""
        return self._maps

    def start(self, store: str, method: str, scale: str = PERCENTILE) -> None:
        """Load the model and draw what is in view from then on.

        Parameters
        ----------
        store : str
            Of the result.
        method : str
            One of `cam_methods.METHODS`.
        scale : str, default: "percentile"
            Of the layers, one of `map_scale.SCALES`.
        """
        if self._is_wanted or self._runner.is_running:
            return
        self._is_wanted, self._scale = True, scale
        self.told.emit("loading the model")
        self._runner.start(partial(_open_job, store, method))

    def stop(self) -> None:
        """Draw no more; what was drawn stays in view."""
        if not self._is_wanted:
            return
        self._is_wanted = self._is_stale = False
        self._rest.stop()
        if self._runner.is_running:
            self._runner.cancel()
        else:
            self._close()

    def setScale(self, scale: str) -> None:
        """Show the layers on another scale.

        Parameters
        ----------
        scale : str
            One of `map_scale.SCALES`.
        """
        self._scale = scale
        for layer in self._layers():
            set_scale(layer, scale)

    def draw(self) -> None:
        """Draw what is in view now."""
        if not self._is_wanted or self._session is None or self._maps is None:
            return
        shown = [layer for layer in self._layers() if layer.visible]
        if not shown:
            return
        if self._runner.is_running:
            # Ends after its batch; what follows begins with what is in view then.
            self._is_stale = True
            self._runner.cancel()
            return
        box = self._maps.box(shown[0].corner_pixels[:, -2:])
        job = partial(_draw_job, self._session, self._maps, box)
        self._runner.start(job)

    def refresh(self) -> None:
        """Show what was drawn since the last refresh."""
        maps = self._maps
        if maps is None:
            return
        found = [maps.measured.typical, maps.measured.largest]
        for layer in self._layers():
            facts = layer.metadata[METADATA_KEY]
            pairs = zip(facts["range"], found, strict=True)
            if any(abs(new - old) > _NEWS * old for old, new in pairs):
                facts["range"] = found
                set_scale(layer, self._scale)
            layer.refresh()

    def _layers(self) -> list[Any]:
        """List the layers that are being filled."""
        maps = self._maps
        if maps is None:
            return []
        return [
            layer
            for layer in self._viewer.layers
            if is_in_view(layer)
            and not is_copy(layer)
            and layer.metadata[METADATA_KEY]["store"] == maps.store
            and layer.metadata[METADATA_KEY]["method"] == maps.method
        ]

    def _on_moved(self, event: Any = None) -> None:
        if self._session is not None and self._is_wanted:
            self._rest.start()

    def _on_removed(self, event: Any = None) -> None:
        is_ours = event is not None and is_in_view(event.value)
        if self._session is not None and is_ours and not self._layers():
            self.stop()

    def _on_progress(self, event: Progress) -> None:
        if event.stage != "maps" or self._session is None:
            return
        self.told.emit(f"{event.done} of {event.total} patches in view")
        if not self._refresh.isActive():
            self._refresh.start()

    def _on_succeeded(self, outcome: Any) -> None:
        if outcome is None:
            self.told.emit("what is in view is drawn")
            self.refresh()
            return
        session, maps, layers = outcome
        self._session, self._maps = session, maps
        if not self._is_wanted:
            return
        old, self._session = self._layers(), None
        remove_layers(self._viewer, old)
        hide_maps(self._viewer.layers, maps.store)
        # What is in view of a slide that another covers could not be seen.
        raise_slide(self._viewer.layers, slide_place(maps.result))
        self._session = session
        self._adder.add(layers)

    def _on_failed(self, message: str) -> None:
        self.told.emit(message)
        self.stop()

    def _on_finished(self) -> None:
        if not self._is_wanted:
            self._close()
        elif self._is_stale:
            self._is_stale = False
            self.draw()

    def _let_go(self) -> None:
        """Drop slide and model; a view being drawn holds them until it has ended."""
        if self._session is not None and not self._runner.is_running:
            self._session.close()
        self._session = self._maps = None

    def _close(self) -> None:
        self.refresh()
        if self._session is not None:
            self._session.close()
        self._session = None
        self.stopped.emit()


def _camera(viewer: Any) -> Any:
    """Find the camera, which napari 0.9 moved into the scene."""
    return getattr(viewer, "scene", viewer).camera


def _timer(parent: QObject, pause_ms: int, act: Any) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(pause_ms)
    timer.timeout.connect(act)
    return timer


def _open_job(store: str, method: str) -> Job[Any]:
    """Load what drawing takes, and show what was drawn before."""
    # PyTorch takes seconds to import.
    import_torch()
    from napari_mmsubtype.workflows.draw_view import open_view_job

    session = yield from open_view_job(store, method)
    drawing = session.drawing
    maps = ViewMaps(session.result, method, drawing.shape, drawing.factor, drawing.used)
    for start, cells, mapped in session.drawn():
        maps.place(start, cells, mapped)
        yield Progress("open", message="reading what was drawn before")
    maps.measure()
    return session, maps, maps.layers()


def _draw_job(
    session: ViewSession, maps: ViewMaps, box: tuple[float, float, float, float]
) -> Job[None]:
    yield from follow_cells(session.draw_job(box), maps)
