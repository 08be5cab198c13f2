from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Layer, Shapes
from qtpy.QtWidgets import QWidget

from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.plugin.layers import METADATA_KEY
from napari_mmsubtype.slides.region_geojson import read_regions, write_regions
from napari_mmsubtype.slides.regions import Region
from napari_mmsubtype.widgets import region_tools
from napari_mmsubtype.widgets.analyze_form import AnalyzeForm
from napari_mmsubtype.widgets.region_tools import RegionTools, with_drawn_regions
from napari_mmsubtype.widgets.slide_field import SlideChoice
from napari_mmsubtype.workflows.jobs import run_job

PATH = "/s/a.svs"
SQUARE = [(10, 20), (10, 60), (50, 60), (50, 20)]


class Tools:
    """The tools with their form over a viewer that is never shown."""

    def __init__(self, qtbot: Any) -> None:
        self.qtbot = qtbot
        self.window = QWidget()
        qtbot.addWidget(self.window)
        self.form = AnalyzeForm(self.window)
        self.field = self.form.regions
        self.viewer = ViewerModel()
        self.tools = RegionTools(self.viewer, self.form, self.window)
        self.viewer.layers.events.inserted.connect(lambda _: self.tools.refresh())
        self.viewer.layers.events.removed.connect(lambda _: self.tools.refresh())
        self.form.slide.setChoices([SlideChoice("a", PATH, 0.5, "vendor")])

    def show_slide(self) -> Layer:
        facts = {
            "kind": "slide",
            "path": PATH,
            "name": "a",
            "mpp": [0.5, 0.5],
            "mpp_source": "vendor",
            "shape": [100, 200],
        }
        image = np.zeros((100, 200, 3), np.uint8)
        layer = Image(
            image,
            rgb=True,
            scale=(0.5, 0.5),
            units=("um", "um"),
            metadata={METADATA_KEY: facts},
        )
        return self.viewer.add_layer(layer)

    def draw(self) -> Any:
        with self.qtbot.waitSignal(self.tools.loader.finished, timeout=60_000):
            self.field.drawButton.click()
        return self.viewer.layers[-1]


@pytest.fixture
def tools(qtbot: Any) -> Tools:
    return Tools(qtbot)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(region_tools, "show_info", messages.append)
    monkeypatch.setattr(region_tools, "show_error", messages.append)
    return messages


def test_drawing_begins_with_a_polygon_on_the_slide(tools) -> None:
    tools.show_slide()
    layer = tools.draw()
    assert isinstance(layer, Shapes)
    assert layer.mode == "add_polygon"
    assert tools.viewer.layers.selection.active is layer
    assert tools.field.layerKey() == str(layer.unique_id)
    np.testing.assert_allclose(layer.scale, 0.5)
    # Once more takes the same layer up.
    layer.mode = "pan_zoom"
    tools.field.drawButton.click()
    assert layer.mode == "add_polygon"
    assert len(tools.viewer.layers) == 2


def test_what_is_drawn_goes_beside_the_result(tools, tmp_path: Path) -> None:
    tools.show_slide()
    layer = tools.draw()
    layer.add_polygons([SQUARE])
    tools.field._class_buttons["Exclude"].click()
    layer.add_rectangles([[(20, 30), (30, 40)]])
    recipe = AnalyzeRecipe(slide=PATH, out=str(tmp_path / "new"))
    named = run_job(with_drawn_regions(recipe, tools.tools.drawn()))
    assert named.regions == str(tmp_path / "new" / "a.regions.geojson")
    kept, left_out = read_regions(named.regions)
    np.testing.assert_allclose(kept.outline, np.array(SQUARE) + 0.5)
    assert [kept.is_excluded, left_out.is_excluded] == [False, True]


def test_whole_slide_writes_nothing(tools, tmp_path: Path) -> None:
    tools.show_slide()
    assert tools.tools.drawn() is None
    recipe = AnalyzeRecipe(slide=PATH, out=str(tmp_path))
    assert run_job(with_drawn_regions(recipe, None)) is recipe
    assert list(tmp_path.iterdir()) == []


def test_layers_of_other_slides_are_not_offered(tools) -> None:
    tools.show_slide()
    mine = tools.viewer.add_layer(Shapes(name="mine"))
    about = {"kind": "regions", "path": "/s/other.svs"}
    tools.viewer.add_layer(Shapes(name="theirs", metadata={METADATA_KEY: about}))
    tools.viewer.add_layer(Image(np.zeros((4, 4))))
    assert tools.field._layers == [(str(mine.unique_id), "mine")]
    tools.field.setLayer(str(mine.unique_id))
    tools.viewer.layers.remove(mine)
    assert tools.field.layerKey() is None


def test_regions_are_saved_and_loaded(tools, tmp_path: Path) -> None:
    tools.show_slide()
    regions = [Region(SQUARE, name="Tumor"), Region(SQUARE, name="Ignore*")]
    given = tmp_path / "from QuPath.geojson"
    write_regions(given, regions)
    with tools.qtbot.waitSignal(tools.tools.loader.finished, timeout=60_000):
        tools.tools.load(str(given))
    layer = tools.viewer.layers[-1]
    assert layer.name == "from QuPath"
    assert tools.field.layerKey() == str(layer.unique_id)
    assert layer.mode == "pan_zoom"
    layer.add_polygons([SQUARE])
    first, _, drawn = layer.edge_color.tolist()
    assert drawn == first
    assert layer.features["class"].iloc[-1] == "Analyze"
    layer.selected_data = {2}
    layer.remove_selected()
    saved = tmp_path / "saved.geojson"
    with tools.qtbot.waitSignal(tools.tools.saver.finished, timeout=10_000):
        tools.tools.save(str(saved))
    back = read_regions(saved)
    assert [region.name for region in back] == ["Tumor", "Ignore*"]
    np.testing.assert_allclose(back[0].outline, SQUARE, atol=1e-3)


def test_dialogs_lead_to_files(tools, tmp_path: Path, monkeypatch) -> None:
    tools.show_slide()
    layer = tools.draw()
    layer.add_polygons([SQUARE])
    chosen = str(tmp_path / "mine")
    dialog = region_tools.QFileDialog
    monkeypatch.setattr(dialog, "getSaveFileName", lambda *_: (chosen, ""))
    with tools.qtbot.waitSignal(tools.tools.saver.finished, timeout=10_000):
        tools.field.saveRequested.emit()
    chosen += ".geojson"
    assert len(read_regions(chosen)) == 1
    monkeypatch.setattr(dialog, "getOpenFileName", lambda *_: (chosen, ""))
    with tools.qtbot.waitSignal(tools.tools.loader.finished, timeout=10_000):
        tools.field.loadRequested.emit()
    assert tools.viewer.layers[-1].name == "mine"


def test_too_many_regions_are_refused(
    tools, tmp_path: Path, notifications, monkeypatch
) -> None:
    monkeypatch.setattr(region_tools, "MOST_SHAPES", 1)
    tools.show_slide()
    write_regions(tmp_path / "r.geojson", [Region(SQUARE)] * 2)
    with tools.qtbot.waitSignal(tools.tools.loader.finished, timeout=10_000):
        tools.tools.load(str(tmp_path / "r.geojson"))
    assert "2 are too many to draw" in notifications[0]
    assert len(tools.viewer.layers) == 1


def test_lines_are_refused_before_anything_is_written(tools, tmp_path: Path) -> None:
    tools.show_slide()
    layer = tools.draw()
    layer.add_lines([[(0, 0), (9, 9)]])
    recipe = AnalyzeRecipe(slide=PATH, out=str(tmp_path))
    with pytest.raises(ConfigurationError, match="of the kind line"):
        run_job(with_drawn_regions(recipe, tools.tools.drawn()))
    assert list(tmp_path.iterdir()) == []


def test_regions_need_their_slide(tools, told) -> None:
    tools.field.drawButton.click()
    assert "Open a slide" in told[0]
    slide = tools.show_slide()
    layer = tools.draw()
    layer.add_polygons([SQUARE])
    tools.viewer.layers.remove(slide)
    with pytest.raises(ConfigurationError, match="open 'a' in the viewer"):
        tools.tools.drawn()
    tools.tools.save("/nowhere.geojson")
    assert "open 'a'" in told[1]
