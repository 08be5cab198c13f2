from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_mmsubtype.plugin.layers import METADATA_KEY, slide_layers
from napari_mmsubtype.plugin.slide_pixel_size import (
    find_slide,
    own_size,
    set_slide_pixel_size,
    size_problem,
    slide_facts,
    slide_images,
)
from napari_mmsubtype.slides.registry import open_slide

PATH = "/s/a.svs"


def slide_layer(mpp: list[float] | None, source: str, path: str = PATH) -> Layer:
    facts = {"kind": "slide", "path": path, "mpp": mpp, "mpp_source": source}
    scale = mpp or [1, 1]
    unit = "um" if mpp else "pixel"
    return Image(
        np.zeros((60, 80, 3), np.uint8),
        rgb=True,
        scale=scale,
        units=(unit, unit),
        name="a" if mpp else "a (no pixel size)",
        metadata={METADATA_KEY: facts, "theirs": 1},
    )


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


def test_slides_are_told_from_other_layers(viewer) -> None:
    other = viewer.add_layer(Image(np.zeros((4, 4))))
    slide = viewer.add_layer(slide_layer(None, "none"))
    assert slide_facts(other) == {}
    assert slide_images(viewer.layers) == [slide]
    assert find_slide(viewer.layers, PATH) is slide
    assert find_slide(viewer.layers, "/s/b.svs") is None


def test_size_of_a_slide_that_has_none(viewer) -> None:
    layer = viewer.add_layer(slide_layer(None, "none"))
    set_slide_pixel_size(viewer, PATH, 0.25)
    np.testing.assert_allclose(layer.scale, 0.25)
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert layer.name == "a"
    facts = slide_facts(layer)
    assert (facts["mpp"], facts["mpp_source"]) == ([0.25, 0.25], "user")
    assert own_size(facts) == (None, "none")
    assert layer.metadata["theirs"] == 1
    set_slide_pixel_size(viewer, PATH, None)
    np.testing.assert_allclose(layer.scale, 1.0)
    assert {str(unit) for unit in layer.units} == {"pixel"}
    assert layer.name == "a (no pixel size)"
    assert slide_facts(layer)["mpp"] is None


def test_oblong_pixels_of_the_file_come_back(viewer) -> None:
    layer = viewer.add_layer(slide_layer([0.5, 0.25], "vendor"))
    set_slide_pixel_size(viewer, PATH, 0.4)
    set_slide_pixel_size(viewer, PATH, 0.3)
    np.testing.assert_allclose(layer.scale, 0.3)
    assert own_size(slide_facts(layer)) == ([0.5, 0.25], "vendor")
    set_slide_pixel_size(viewer, PATH, None)
    np.testing.assert_allclose(layer.scale, [0.5, 0.25])
    assert slide_facts(layer)["mpp_source"] == "vendor"


def test_what_belongs_to_the_slide_stays_on_its_tissue(viewer) -> None:
    slide = viewer.add_layer(slide_layer([0.5, 0.5], "vendor"))
    mine = Labels(
        np.zeros((6, 8), np.uint8),
        scale=(5, 5),
        translate=(2.25, 2.25),
        units=("um", "um"),
        metadata={METADATA_KEY: {"kind": "tissue-edit", "path": PATH}},
    )
    other = Labels(np.zeros((6, 8), np.uint8), scale=(5, 5), units=("um", "um"))
    viewer.add_layer(mine)
    viewer.add_layer(other)
    under = slide.world_to_data(mine.data_to_world((3, 4)))
    set_slide_pixel_size(viewer, PATH, 0.2)
    again = slide.world_to_data(mine.data_to_world((3, 4)))
    np.testing.assert_allclose(again, under)
    np.testing.assert_allclose(mine.scale, 2)
    np.testing.assert_allclose(other.scale, 5)


def test_view_stays_on_the_same_tissue(viewer) -> None:
    viewer.add_layer(slide_layer(None, "none"))
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0, 40, 20), 3.0
    set_slide_pixel_size(viewer, PATH, 0.25)
    np.testing.assert_allclose(camera.center[-2:], (10, 5))
    assert camera.zoom == pytest.approx(12)
    viewer.add_layer(slide_layer([1, 1], "vendor", "/s/b.svs"))
    before = camera.center, camera.zoom
    set_slide_pixel_size(viewer, PATH, 0.5)
    assert (camera.center, camera.zoom) == before


def test_listeners_hear_of_it_once_all_is_in_place(viewer) -> None:
    layers = [viewer.add_layer(slide_layer(None, "none")) for _ in range(2)]
    heard: list[Any] = []

    def listen(event: Any) -> None:
        if event.type == "metadata":
            heard.append([slide_facts(layer)["mpp_source"] for layer in layers])

    viewer.layers.events.connect(listen)
    set_slide_pixel_size(viewer, PATH, 0.5)
    assert heard == [["user", "user"]] * 2


def test_unknown_slides_change_nothing(viewer) -> None:
    layer = viewer.add_layer(slide_layer(None, "none"))
    set_slide_pixel_size(viewer, "/s/b.svs", 0.5)
    np.testing.assert_allclose(layer.scale, 1)


@pytest.mark.parametrize("mpp", [0.05, 0.25, 20.0])
def test_believable_sizes_are_no_problem(mpp: float) -> None:
    assert size_problem(mpp) == ""


@pytest.mark.parametrize("mpp", [0.0, 0.049, 20.01, 1000.0, float("nan")])
def test_unbelievable_sizes_are_answered_in_words(mpp: float) -> None:
    assert f"{mpp:g} µm is not believable" in size_problem(mpp)
    assert "0.05 to 20" in size_problem(mpp)


def test_slide_opened_with_a_size_has_none_of_its_own() -> None:
    ((data, kwargs, kind),) = slide_layers(open_slide("synthetic:size=256", mpp=0.4))
    layer = Layer.create(data, kwargs, kind)
    assert own_size(slide_facts(layer)) == (None, "none")
    assert slide_facts(layer)["shape"] == [256, 256]
