from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image

from builders.results import CLASSES, MPP, make_result
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.plugin.layers import (
    METADATA_KEY,
    slide_layers,
    slide_placement,
    to_layers,
)
from napari_mmsubtype.results.colors import FLAG_COLORS
from napari_mmsubtype.slides.registry import open_slide

ADDRESS = "synthetic:seed=1,size=512x768"


def by_name(layers: list[Any]) -> dict[str, Any]:
    return {layer[1]["name"]: layer for layer in layers}


def world(kwargs: dict[str, Any], index: tuple[float, float]) -> np.ndarray:
    """Where a data index lies in the world, in microns."""
    offset = np.asarray(kwargs.get("translate", (0.0, 0.0)))
    return np.asarray(index) * kwargs["scale"] + offset


def test_slide_layer_is_lazy_rgb_in_microns() -> None:
    slide = open_slide(ADDRESS)
    ((data, kwargs, kind),) = slide_layers(slide)
    finest = data[0] if isinstance(data, list) else data
    assert kind == "image"
    assert finest.shape == (512, 768, 3)
    assert hasattr(finest, "dask")
    assert kwargs["rgb"] is True
    assert kwargs["units"] == ("um", "um")
    assert kwargs["scale"] == (0.5, 0.5)
    assert kwargs["name"] == slide.name
    # Memory for what was looked at has one limit, that of the decoded tiles.
    assert kwargs["cache"] is False


def test_slide_layer_records_where_it_came_from() -> None:
    ((_, kwargs, _),) = slide_layers(open_slide(ADDRESS))
    facts = kwargs["metadata"][METADATA_KEY]
    assert facts["kind"] == "slide"
    assert facts["path"] == ADDRESS
    assert facts["mpp"] == [0.5, 0.5]
    assert facts["vendor"] == "synthetic"


def test_large_slide_becomes_multiscale_without_reading_a_pixel() -> None:
    ((data, kwargs, _),) = slide_layers(open_slide("synthetic:seed=1,size=100000"))
    assert kwargs["multiscale"] is True
    sizes = [level.shape[0] for level in data]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= 2048


def test_slide_without_pixel_size_is_placed_in_pixels() -> None:
    placement = slide_placement(None)
    assert placement == {"scale": (1.0, 1.0), "units": ("pixel", "pixel")}
    assert slide_placement(PixelSize(0.25, 0.5))["scale"] == (0.25, 0.5)


def test_every_overlay_of_a_result_is_in_microns(tmp_path: Path) -> None:
    layers = to_layers(make_result(tmp_path, slide=ADDRESS))
    assert [layer[1]["units"] for layer in layers] == [("um", "um")] * len(layers)
    assert [layer[2] for layer in layers] == [
        "image",
        "labels",
        "labels",
        "labels",
        "image",
        "image",
    ]


def test_maps_cover_the_slide_from_its_first_pixel(tmp_path: Path) -> None:
    result = make_result(tmp_path, slide=ADDRESS)
    for _, kwargs, _ in to_layers(result, with_slide=False):
        corner = world(kwargs, (-0.5, -0.5))
        np.testing.assert_allclose(corner, (-MPP / 2, -MPP / 2), atol=1e-9)


def test_tissue_ends_where_the_slide_ends(tmp_path: Path) -> None:
    result = make_result(tmp_path, slide=ADDRESS)
    mask, kwargs, _ = by_name(to_layers(result, with_slide=False))["tissue"]
    end = world(kwargs, np.asarray(mask.shape) - 0.5)
    expected = np.asarray(result.slide_shape) * MPP - MPP / 2
    np.testing.assert_allclose(end, expected)


@pytest.mark.parametrize("stride_px", [128, 64])
def test_class_cell_lies_on_the_centre_of_its_patch(
    tmp_path: Path, stride_px: int
) -> None:
    result = make_result(tmp_path, slide=ADDRESS, stride_px=stride_px)
    grid = result.grid
    labels, kwargs, _ = by_name(to_layers(result))["class: Luminal / Basal/HER2"]
    for index in (0, len(grid) - 1):
        assert labels[tuple(grid.cell[index])] > 0
        centre_px = grid.origin[index] + np.asarray(grid.extent) / 2 - 0.5
        found = world(kwargs, tuple(grid.cell[index]))
        np.testing.assert_allclose(found, centre_px * MPP, atol=1e-9)


def test_each_patch_is_a_label_of_its_own_with_features(tmp_path: Path) -> None:
    result = make_result(tmp_path, slide=ADDRESS, unreadable=1)
    labels, kwargs, _ = by_name(to_layers(result))["class: Luminal / Basal/HER2"]
    table = kwargs["features"].set_index("index")
    used = labels[labels > 0]
    assert len(set(used.tolist())) == used.size == len(result.grid)
    assert set(table.index) == set(used.tolist())
    row, col = result.grid.cell[0]
    first = table.loc[labels[row, col]]
    assert (first["row"], first["column"]) == (row, col)
    expected = CLASSES[int(result.class_map()[row, col]) - 1].name
    assert first["class"] == expected
    np.testing.assert_allclose(
        first["evidence Luminal"], result.patch_evidence[0, 0], rtol=1e-6
    )
    assert table["class"].tolist().count("unreadable") == 1
    assert set(table["quality"]) == {"good"}


def test_flagged_patches_get_a_layer_of_their_own(tmp_path: Path) -> None:
    napari_layers = pytest.importorskip("napari.layers")
    flags = {0: 1, 3: 2, 4: 6, 5: 2}
    result = make_result(tmp_path, slide=ADDRESS, flags=flags, excluded=(0, 3))
    layers = by_name(to_layers(result))
    data, kwargs, kind = layers["quality"]
    assert (kind, kwargs["visible"]) == ("labels", False)
    table = kwargs["features"].set_index("index")["quality"]
    at = {i: data[tuple(result.grid.cell[i])] for i in range(len(result.grid))}
    assert {i: table[v] for i, v in at.items() if v} == {
        0: "pen",
        3: "blurred",
        4: "blurred, folded",
        5: "blurred",
    }
    layer = napari_layers.Labels(data, **{**kwargs, "visible": True})
    for index, flag in ((0, 0), (3, 1), (4, 1), (5, 1)):
        color = layer.get_color(int(at[index]))
        np.testing.assert_allclose(color, FLAG_COLORS[flag + 1], atol=1e-6)
    status = layer.get_status(
        tuple(world(kwargs, tuple(result.grid.cell[4]))),
        view_direction=None,
        dims_displayed=[0, 1],
        world=True,
    )
    assert "quality: blurred, folded" in str(status)
    shown = layers["class: Luminal / Basal/HER2"][1]["features"]
    assert shown["class"].tolist().count("left out") == 2
    assert shown["quality"].tolist().count("blurred, folded") == 1


def test_without_a_flag_there_is_no_layer_of_flags(tmp_path: Path) -> None:
    assert "quality" not in by_name(to_layers(make_result(tmp_path, slide=ADDRESS)))


def test_labels_run_through_the_class_colours_in_a_cycle(tmp_path: Path) -> None:
    napari_layers = pytest.importorskip("napari.layers")
    result = make_result(tmp_path, slide=ADDRESS)
    data, kwargs, _ = by_name(to_layers(result))["class: Luminal / Basal/HER2"]
    layer = napari_layers.Labels(data, **kwargs)
    classes = result.class_map()
    row, col = result.grid.cell[0]
    last_row, last_col = result.grid.cell[-1]
    color = layer.get_color(int(data[row, col]))
    np.testing.assert_allclose(color[:3], CLASSES[classes[row, col] - 1].rgb, atol=1e-6)
    grey = layer.get_color(int(data[last_row, last_col]))
    np.testing.assert_allclose(grey[:3], 0.55, atol=1e-6)


def test_patches_without_evidence_are_listed_and_not_drawn(tmp_path: Path) -> None:
    napari_layers = pytest.importorskip("napari.layers")
    result = make_result(tmp_path, slide=ADDRESS, says_nothing=True, excluded=(2,))
    data, kwargs, _ = by_name(to_layers(result))["class: Luminal / Basal/HER2"]
    table = kwargs["features"].set_index("index")
    layer = napari_layers.Labels(data, **kwargs)
    used = data[data > 0]
    assert len(set(used.tolist())) == used.size == len(result.grid) == len(table)
    counts = table["class"].value_counts().to_dict()
    assert counts == {"none": len(result.grid) - 2, "left out": 1, "unreadable": 1}
    for label, told in table["class"].items():
        assert (layer.get_color(int(label))[3] == 0) == (told == "none")


def test_hovering_over_a_patch_says_its_class(tmp_path: Path) -> None:
    napari_layers = pytest.importorskip("napari.layers")
    result = make_result(tmp_path, slide=ADDRESS)
    data, kwargs, _ = by_name(to_layers(result))["class: Luminal / Basal/HER2"]
    kwargs["visible"] = True
    layer = napari_layers.Labels(data, **kwargs)
    row, col = result.grid.cell[0]
    position = world(kwargs, (row, col))
    status = layer.get_status(
        tuple(position), view_direction=None, dims_displayed=[0, 1], world=True
    )
    assert "class: Luminal" in str(status)


def test_only_the_evidence_for_the_called_class_is_visible(tmp_path: Path) -> None:
    layers = to_layers(make_result(tmp_path, slide=ADDRESS))
    shown = {
        name: layer[1].get("visible", True)
        for name, layer in by_name(layers).items()
        if name.startswith("evidence")
    }
    assert shown == {"evidence: Luminal": True, "evidence: Basal/HER2": False}
    assert layers[-1][1]["name"] == "evidence: Luminal"


def test_evidence_layers_share_one_symmetric_scale(tmp_path: Path) -> None:
    result = make_result(tmp_path, slide=ADDRESS)
    layers = by_name(to_layers(result))
    limits = [layers[f"evidence: {c.name}"][1]["contrast_limits"] for c in CLASSES]
    assert limits[0] == limits[1]
    assert limits[0][0] == -limits[0][1]
    data = layers["evidence: Luminal"][0]
    assert data.dtype == np.float32
    np.testing.assert_allclose(limits[0][1], np.percentile(np.abs(data[data != 0]), 99))


def test_evidence_is_against_the_other_classes(tmp_path: Path) -> None:
    result = make_result(tmp_path, slide=ADDRESS)
    layers = by_name(to_layers(result))
    luminal = layers["evidence: Luminal"][0]
    np.testing.assert_allclose(luminal, -layers["evidence: Basal/HER2"][0])
    # Planted: the left half speaks for Luminal, the right half against it.
    middle = luminal.shape[1] // 2
    assert luminal[:, :middle].sum() > 0 > luminal[:, middle:].sum()


def test_grid_is_a_chessboard_of_the_tissue_patches(tmp_path: Path) -> None:
    result = make_result(tmp_path)
    fields, kwargs, kind = by_name(to_layers(result, with_slide=False))["patches"]
    assert kind == "labels"
    assert np.count_nonzero(fields) == len(result.grid)
    both = (fields[:, 1:] > 0) & (fields[:, :-1] > 0)
    assert both.any()
    assert (fields[:, 1:] != fields[:, :-1])[both].all()
    assert kwargs["colormap"][0][3] == 0


def test_interrupted_analysis_shows_slide_tissue_and_grid(tmp_path: Path) -> None:
    layers = to_layers(make_result(tmp_path, slide=ADDRESS, complete=False))
    kinds = [layer[1]["metadata"][METADATA_KEY]["kind"] for layer in layers]
    assert kinds == ["slide", "tissue", "patches"]


def test_result_of_a_lost_slide_shows_its_overlays_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("napari_mmsubtype.plugin.layers.show_problem", told.append)
    result = make_result(tmp_path, slide="/there/gone.svs")
    layers = to_layers(result)
    assert "slide" not in [x[1]["metadata"][METADATA_KEY]["kind"] for x in layers]
    (message,) = told
    assert "no file or folder at '/there/gone.svs'" in message
    assert str(result.path.parent) in message
    to_layers(result, with_slide=False)
    assert len(told) == 1


def paths(layers: list[Any]) -> set[str]:
    return {kwargs["metadata"][METADATA_KEY]["path"] for _, kwargs, _ in layers}


def test_maps_name_the_slide_by_the_path_that_its_layer_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was, store = tmp_path / "was" / "a.png", tmp_path / "stores"
    was.parent.mkdir()
    store.mkdir()
    PIL.Image.new("RGB", (768, 512), "white").save(was, dpi=(50800, 50800))
    monkeypatch.chdir(was.parent)
    (layer,) = slide_layers(open_slide("a.png"))
    result = make_result(store, slide=str(was))
    assert paths([layer, *to_layers(result)]) == {str(was)}
    # Moved beside the store, it is opened there.
    beside = was.rename(store / "a.png")
    layers = to_layers(result)
    assert layers[0][1]["metadata"][METADATA_KEY]["kind"] == "slide"
    assert paths(layers) == {str(beside)}


def test_user_given_pixel_size_is_used_to_show_the_slide_again(tmp_path: Path) -> None:
    result = make_result(tmp_path, slide=ADDRESS, mpp_source="user")
    facts = to_layers(result)[0][1]["metadata"][METADATA_KEY]
    assert facts["mpp"] == [MPP, MPP]
    assert facts["mpp_source"] == "user"


def test_layers_need_neither_torch_nor_qt() -> None:
    code = (
        "import sys, napari_mmsubtype.plugin.layers, napari_mmsubtype.plugin.reader, "
        "napari_mmsubtype.plugin.sample_data\n"
        "assert not {'torch', 'qtpy', 'napari'} & set(sys.modules), 'too much imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@settings(max_examples=50)
@given(st.floats(0.05, 20), st.floats(0.05, 20), st.floats(0, 1e5), st.floats(0, 1e5))
def test_pixels_go_to_microns_in_napari_and_back(y, x, row, col):
    placement = slide_placement(PixelSize(y, x))
    layer = Image(np.zeros((2, 2)), scale=placement["scale"])
    world = layer.data_to_world((row, col))
    assert world == pytest.approx((row * y, col * x))
    assert layer.world_to_data(world) == pytest.approx((row, col), abs=1e-6)
