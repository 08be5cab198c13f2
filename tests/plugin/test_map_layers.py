import numpy as np
import pytest
from napari.layers import Image, Layer

from builders.results import CLASSES, make_result, put_coarser_level
from builders.stores import complete_store
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.plugin.layers import to_layers
from napari_mmsubtype.plugin.map_layers import (
    attention_layers,
    cam_layers,
    evidence_layers,
    hide_maps,
    maps_of,
    scale_words,
    set_scale,
)
from napari_mmsubtype.plugin.placement import METADATA_KEY
from napari_mmsubtype.results.cam_maps import CamWriter
from napari_mmsubtype.results.map_scale import LINEAR, PERCENTILE, SYMLOG
from napari_mmsubtype.results.overlay import stitch
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_writer import StoreWriter


def with_map(result, method, channels):
    shape = (len(result.grid), channels, 8, 8)
    cells = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    writer = CamWriter(result.path, method, shape)
    writer.write_cells(0, cells)
    writer.finish(result.grid)
    return open_result(result.path), stitch(result.grid, cells)


def test_other_methods_are_layers_of_their_own_on_one_scale(tmp_path):
    result, canvas = with_map(make_result(tmp_path), "layer-cam", 2)
    layers = {layer[1]["name"]: layer for layer in cam_layers(result)}
    assert list(layers) == [f"layer-cam: {c.name}" for c in CLASSES]
    data, kwargs, kind = layers["layer-cam: Luminal"]
    assert (kind, kwargs["visible"]) == ("image", False)
    np.testing.assert_allclose(data, canvas[0] - canvas[1], rtol=1e-5, atol=1e-6)
    limits = {tuple(layer[1]["contrast_limits"]) for layer in layers.values()}
    size = np.abs(canvas[0] - canvas[1])
    assert len(limits) == 1
    limit = np.percentile(size[size > 0], 99)
    np.testing.assert_allclose(kwargs["contrast_limits"], (-limit, limit), rtol=0.02)
    assert kwargs["metadata"][METADATA_KEY]["unit"] == "logits"
    names = [layer[1]["name"] for layer in to_layers(result, with_slide=False)]
    assert names.index("layer-cam: Luminal") < names.index("evidence: Luminal")


def test_a_map_without_classes_is_one_layer_from_zero_up(tmp_path):
    result, canvas = with_map(make_result(tmp_path), "attention-rollout", 1)
    ((data, kwargs, _),) = cam_layers(result)
    assert kwargs["name"] == "attention rollout"
    np.testing.assert_array_equal(data, canvas[0])
    assert kwargs["contrast_limits"][0] == 0
    assert kwargs["interpolation2d"] == "nearest"
    facts = kwargs["metadata"][METADATA_KEY]
    assert (facts["class"], facts["unit"]) == ("", "share of the attention")


def test_weights_are_drawn_where_they_differ(tmp_path):
    result = complete_store(tmp_path)
    assert attention_layers(result) == []
    weights = np.arange(1, len(result.grid) + 1, dtype=np.float32)
    weights /= weights.sum()
    StoreWriter(result.path).write_fusion(weights, result.patch_evidence)
    again = open_result(result.path)
    ((data, kwargs, _),) = attention_layers(again)
    row, col = again.grid.cell.T
    np.testing.assert_allclose(data[row, col], weights * len(weights), rtol=1e-5)
    assert data[row, col].mean() == pytest.approx(1)
    assert kwargs["interpolation2d"] == "nearest"


def test_a_pyramid_of_the_map_is_a_multiscale_layer(tmp_path):
    result = complete_store(tmp_path)
    canvas = np.stack([result.evidence_map(i) for i in (0, 1)])
    half = canvas.reshape(2, canvas.shape[1] // 2, 2, -1, 2).mean(axis=(2, 4))
    put_coarser_level(result.path, half)
    again = open_result(result.path)
    assert again.map_levels == 2
    for data, kwargs, _ in evidence_layers(again):
        assert [level.shape for level in data] == [canvas.shape[1:], half.shape[1:]]
        layer = Image(data, **kwargs)
        assert layer.multiscale
        np.testing.assert_allclose(layer.scale, [8.0, 8.0])


def test_a_scale_changes_colors_and_never_values(tmp_path):
    result = make_result(tmp_path)
    layers = evidence_layers(result)
    data, kwargs, _ = layers[-1]
    layer = Image(data, **kwargs)
    before = np.array(layer.data)
    facts = layer.metadata[METADATA_KEY]
    typical, largest = facts["range"]
    plain = layer.colormap.colors.copy()
    for scale, limit in ((LINEAR, largest), (SYMLOG, largest), (PERCENTILE, typical)):
        set_scale(layer, scale)
        np.testing.assert_allclose(layer.contrast_limits, (-limit, limit), rtol=1e-6)
        np.testing.assert_array_equal(layer.data, before)
        assert f"{limit:.2g} logits" in scale_words(facts, scale)
        assert (len(layer.colormap.colors) == 1025) == (scale == SYMLOG)
    np.testing.assert_allclose(layer.colormap.colors, plain)
    assert result.map_pixel_size == PixelSize(8.0, 8.0)


def test_maps_of_one_result_are_hidden_and_nothing_else(tmp_path):
    first, other = make_result(tmp_path / "a"), make_result(tmp_path / "b")
    entries = [*to_layers(first, with_slide=False), *evidence_layers(other)]
    layers = [Layer.create(*entry) for entry in entries]
    layers.append(Image(np.zeros((4, 4)), name="foreign"))
    for layer in layers:
        layer.visible = True
    maps = maps_of(layers, str(first.path))
    assert {layer.name for layer in maps} == {f"evidence: {c.name}" for c in CLASSES}
    hide_maps(layers, str(first.path))
    assert [layer for layer in layers if not layer.visible] == maps
    assert maps_of(layers, str(tmp_path)) == []
