from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_mmsubtype.plugin.layers import METADATA_KEY
from napari_mmsubtype.plugin.tissue_layers import (
    BRUSH_UM,
    find_tissue_layer,
    lay_brush_down,
    take_brush,
    tissue_edit_layer,
)

SHAPE = (600, 1000)
MASK = (75, 125)


@pytest.fixture
def slide() -> Layer:
    facts = {"kind": "slide", "path": "/s/a.svs", "name": "a", "shape": list(SHAPE)}
    return Image(
        np.zeros((*SHAPE, 3), np.uint8),
        rgb=True,
        scale=(0.5, 0.25),
        units=("um", "um"),
        metadata={METADATA_KEY: facts},
    )


@pytest.fixture
def array(tmp_path: Path) -> Any:
    return zarr.create_array(
        tmp_path / "m.zarr", shape=MASK, chunks=(512, 512), dtype="uint8"
    )


@pytest.fixture
def layer(array, slide, tmp_path: Path) -> Labels:
    made = Layer.create(*tissue_edit_layer(array, tmp_path / "m.zarr", slide))
    take_brush(made)
    return made


def test_cells_cover_their_pixels(layer, slide) -> None:
    first = slide.world_to_data(layer.data_to_world((-0.5, -0.5)))
    last = slide.world_to_data(layer.data_to_world(np.array(MASK) - 0.5))
    np.testing.assert_allclose(first, (-0.5, -0.5))
    np.testing.assert_allclose(last, np.array(SHAPE) - 0.5)
    assert layer.units == slide.units


def test_brush_is_ready_and_wide_enough(layer) -> None:
    assert layer.mode == "paint"
    assert layer.selected_label == 1
    assert layer.n_edit_dimensions == 2
    assert not layer.multiscale
    assert layer.brush_size * np.mean(layer.scale) == pytest.approx(BRUSH_UM, rel=0.3)


def test_strokes_fills_and_undo_go_through_to_the_file(layer, tmp_path: Path) -> None:
    def kept() -> Any:
        return np.asarray(zarr.open_array(tmp_path / "m.zarr", mode="r")[...])

    layer.brush_size = 10
    layer.paint((30, 40), 1)
    stroke = kept()
    assert stroke[30, 40] == 1
    # The disk is round in microns: half as many cells along the longer pixel side.
    assert 30 < stroke.sum() < 60
    layer.paint((30, 40), 0)
    assert kept().sum() == 0
    layer.undo()
    np.testing.assert_array_equal(kept(), stroke)
    layer.redo()
    assert kept().sum() == 0
    layer.paint_polygon([(0, 0), (0, 20), (20, 20), (20, 0)], 1)
    assert kept()[10, 10] == 1
    layer.fill((70, 100), 1)
    assert kept().all()
    layer.undo()
    assert kept()[70, 100] == 0


def test_every_number_looks_like_tissue(layer) -> None:
    colors = layer.colormap.map(np.array([0, 1, 2, 7, 255], np.uint8))
    assert colors[0, 3] == 0
    assert (colors[1:] == colors[1]).all()
    assert colors[1, 3] > 0


def test_masks_are_found_by_their_file(layer, slide, tmp_path: Path) -> None:
    viewer = ViewerModel()
    viewer.add_layer(slide)
    viewer.add_layer(layer)
    assert find_tissue_layer(viewer.layers, str(tmp_path / "m.zarr")) is layer
    assert find_tissue_layer(viewer.layers, "/else.zarr") is None


def test_brush_is_laid_down_on_one_slide_only(layer, slide) -> None:
    lay_brush_down([slide, layer], "/s/other.svs", hide=True)
    assert (layer.mode, layer.visible) == ("paint", True)
    lay_brush_down([slide, layer], "/s/a.svs")
    assert (layer.mode, layer.visible) == ("pan_zoom", True)
    lay_brush_down([slide, layer], "/s/a.svs", hide=True)
    assert not layer.visible
    assert slide.visible
