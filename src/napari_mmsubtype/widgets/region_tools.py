"""Draw, load and save the regions of a slide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer, Shapes
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.plugin.layers import METADATA_KEY, LayerTuple
from napari_mmsubtype.plugin.region_layers import (
    DrawnShapes,
    drawn_shapes,
    region_layer,
    set_drawn_class,
)
from napari_mmsubtype.plugin.slide_pixel_size import find_slide, slide_facts
from napari_mmsubtype.plugin.tissue_layers import lay_brush_down
from napari_mmsubtype.slides.slide_name import file_stem, slide_name
from napari_mmsubtype.widgets.analyze_form import AnalyzeForm, results_folder
from napari_mmsubtype.widgets.job_runner import JobRunner
from napari_mmsubtype.widgets.region_field import GEOJSON
from napari_mmsubtype.widgets.save_dialog import ask_save_path

if TYPE_CHECKING:
    import napari

MOST_SHAPES = 2000
"""More than these take the viewer seconds to draw."""


class RegionTools(QObject):
    """Serves the region field of the Analyze panel.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers of shapes are offered and which receives new ones.
    form : AnalyzeForm
        Whose slide is meant, and which is told of the layers.
    parent : QWidget
        Owner.
    """

    def __init__(
        self, viewer: napari.Viewer, form: AnalyzeForm, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._form = form
        self._field = form.regions
        self._window = parent
        self.loader = JobRunner("Load regions", self)
        self.saver = JobRunner("Save regions", self)
        self.loader.succeeded.connect(self._on_loaded)
        self._field.drawRequested.connect(self.draw)
        self._field.classChanged.connect(self._on_class)
        self._field.loadRequested.connect(self._choose_load)
        self._field.saveRequested.connect(self._choose_save)
        form.slide.valueChanged.connect(self.refresh)

    def refresh(self) -> None:
        """Offer the layers of shapes that may lie on the chosen slide."""
        choice = self._form.slide.choice()
        path = None if choice is None else choice.path
        self._field.setLayers(
            [
                (str(layer.unique_id), layer.name)
                for layer in self._viewer.layers
                if isinstance(layer, Shapes)
                and layer.metadata.get(METADATA_KEY, {}).get("path") in (None, path)
            ]
        )

    def draw(self) -> None:
        """Take up the polygon tool in the chosen layer, or in a new one."""
        slide = self._slide()
        if slide is None or self.loader.is_running:
            return
        layer = self._layer()
        if layer is None:
            self.loader.start(lambda: _empty_job(slide))
        else:
            self._take_up(layer, slide)

    def _take_up(self, layer: Shapes, slide: Layer) -> None:
        """Begin a polygon."""
        set_drawn_class(layer, self._field.drawnClass())
        lay_brush_down(self._viewer.layers, slide_facts(slide)["path"])
        self._viewer.layers.selection.active = layer
        layer.visible = True
        layer.selected_data = set()
        layer.mode = "add_polygon"

    def drawn(self) -> DrawnShapes | None:
        """Take down what is drawn in the chosen layer.

        Returns
        -------
        DrawnShapes or None
            None where no layer is chosen.

        Raises
        ------
        ConfigurationError
            If the layer or the slide cannot serve.
        """
        layer, choice = self._layer(), self._form.slide.choice()
        if layer is None or choice is None:
            return None
        slide = find_slide(self._viewer.layers, choice.path)
        if slide is None:
            msg = f"regions are drawn over a slide: open {choice.name!r} in the viewer"
            raise ConfigurationError(msg)
        return drawn_shapes(layer, slide)

    def load(self, path: str) -> None:
        """Show the regions of a file over the chosen slide.

        Parameters
        ----------
        path : str
            GeoJSON, as QuPath exports it.
        """
        slide = self._slide()
        if slide is not None and not self.loader.is_running:
            self.loader.start(lambda: _load_job(path, slide))

    def save(self, path: str) -> None:
        """Write the regions that are drawn.

        Parameters
        ----------
        path : str
            GeoJSON file.
        """
        try:
            drawn = self.drawn()
        except ConfigurationError as err:
            show_error(str(err))
            return
        if drawn is not None and not self.saver.is_running:
            self.saver.start(lambda: _save_job(path, drawn))

    def _slide(self) -> Layer | None:
        """Find the chosen slide in the viewer, or say what is missing."""
        choice = self._form.slide.choice()
        slide = choice and find_slide(self._viewer.layers, choice.path)
        if not slide:
            show_info("Open a slide in the viewer first: regions lie on it.")
            return None
        return slide

    def _layer(self) -> Any:
        """Find the layer that is chosen."""
        key = self._field.layerKey()
        found = (x for x in self._viewer.layers if str(x.unique_id) == key)
        return next(found, None)

    def _on_class(self, name: str) -> None:
        layer = self._layer()
        if layer is not None:
            set_drawn_class(layer, name)

    def _on_loaded(self, entry: LayerTuple) -> None:
        about = entry[1]["metadata"][METADATA_KEY]
        slide = find_slide(self._viewer.layers, about["path"])
        if slide is None:
            return  # closed meanwhile
        layer = self._viewer.add_layer(Layer.create(*entry))
        self.refresh()
        self._field.setLayer(str(layer.unique_id))
        if entry[0]:
            set_drawn_class(layer, self._field.drawnClass())
            self._viewer.layers.selection.active = layer
        else:
            self._take_up(layer, slide)

    def _choose_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self._window, "Load regions", self._folder(), GEOJSON
        )
        if path:
            self.load(path)

    def _choose_save(self) -> None:
        choice = self._form.slide.choice()
        stem = "regions" if choice is None else file_stem(slide_name(choice.path))
        start = str(Path(self._folder()) / f"{stem}.geojson")
        path = ask_save_path(
            self._window, "Save regions", start, GEOJSON, (".geojson", ".json")
        )
        if path:
            self.save(path)

    def _folder(self) -> str:
        choice = self._form.slide.choice()
        return "" if choice is None else str(results_folder(choice.path))


def with_drawn_regions(
    recipe: AnalyzeRecipe, drawn: DrawnShapes | None
) -> Job[AnalyzeRecipe]:
    """Write drawn regions beside the result, so that the request can be replayed.

    Parameters
    ----------
    recipe : AnalyzeRecipe
        The request as the form shows it.
    drawn : DrawnShapes or None
        What is drawn; None leaves the request as it is.

    Yields
    ------
    Progress
        One event, where there is something to write.

    Returns
    -------
    AnalyzeRecipe
        The request with the file of the regions.
    """
    if drawn is None:
        return recipe
    from napari_mmsubtype.slides.region_geojson import keep_regions

    yield Progress("open", message="writing regions")
    stem = file_stem(slide_name(recipe.slide))
    path = keep_regions(Path(recipe.out or "."), stem, drawn.to_regions())
    return replace(recipe, regions=str(path))


def _empty_job(slide: Layer) -> Job[LayerTuple]:
    yield Progress("open", message="preparing to draw")
    _warm_up()
    return region_layer(slide)


def _warm_up() -> None:
    """Let napari compile what shapes need: with the first one, for seconds."""
    Shapes(ndim=2)


def _load_job(path: str, slide: Layer) -> Job[LayerTuple]:
    from napari_mmsubtype.slides.region_geojson import read_regions

    yield Progress("open", message=f"reading {path}")
    regions = read_regions(path)
    if len(regions) > MOST_SHAPES:
        msg = (
            f"regions {path!r}: {len(regions)} are too many to draw in the viewer "
            f"(at most {MOST_SHAPES}); choose 'From a file…' to analyze them unseen"
        )
        raise ConfigurationError(msg)
    _warm_up()
    return region_layer(slide, regions, name=Path(path).stem)


def _save_job(path: str, drawn: DrawnShapes) -> Job[None]:
    from napari_mmsubtype.slides.region_geojson import write_regions

    yield Progress("open", message=f"writing {path}")
    write_regions(path, drawn.to_regions())
