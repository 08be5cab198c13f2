import errno

import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

from builders.results import CLASSES, MPP, make_result, put_coarser_level
from builders.stores import begin_store, complete_store
from napari_mmsubtype.errors import ConfigurationError, StoreError
from napari_mmsubtype.plugin.map_layers import evidence_layers
from napari_mmsubtype.results.cam_maps import CamWriter
from napari_mmsubtype.results.export_omezarr import export_ome_zarr
from napari_mmsubtype.results.overlay import stitch
from napari_mmsubtype.results.store import open_result


def nodes_of(path):
    """Read with ome-zarr-py: the image and its labels."""
    found = list(Reader(parse_url(str(path), mode="r"))())
    return {node.zarr.basename(): node for node in found}


def placement(node, level=0):
    scale, shift = node.metadata["coordinateTransformations"][level]
    return scale["scale"], shift["translation"]


def with_map(result, method, *, channels=2, cells=8):
    shape = (len(result.grid), channels, cells, cells)
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    writer = CamWriter(result.path, method, shape)
    writer.write_cells(0, values)
    writer.finish(result.grid)
    return open_result(result.path), stitch(result.grid, values)


def test_another_reader_finds_the_evidence_in_place_and_in_numbers(tmp_path):
    result, canvas = with_map(make_result(tmp_path), "layer-cam")
    path = export_ome_zarr(result, tmp_path / "maps")
    assert path.name == "maps.ome.zarr"
    image = nodes_of(path)["maps.ome.zarr"]
    (data,) = image.data
    expected = np.stack([result.evidence_map(i) for i in (0, 1)])
    np.testing.assert_array_equal(np.asarray(data)[:2], expected)
    np.testing.assert_array_equal(np.asarray(data)[2:], canvas)
    axes = image.metadata["axes"]
    assert [axis["name"] for axis in axes] == ["c", "y", "x"]
    assert {axis.get("unit") for axis in axes[1:]} == {"micrometer"}
    assert image.metadata["channel_names"] == [
        "evidence: Luminal",
        "evidence: Basal/HER2",
        "layer-cam: Luminal",
        "layer-cam: Basal/HER2",
    ]
    # The image lies where napari shows it.
    kwargs = evidence_layers(result)[0][1]
    scale, shift = placement(image)
    assert tuple(scale) == (1, *kwargs["scale"])
    assert tuple(shift) == (0, *kwargs["translate"])


def test_levels_keep_their_corner(tmp_path):
    result = complete_store(tmp_path)
    canvas = np.stack([result.evidence_map(i) for i in (0, 1)])
    half = canvas.reshape(2, canvas.shape[1] // 2, 2, -1, 2).mean(axis=(2, 4))
    put_coarser_level(result.path, half)
    path = export_ome_zarr(open_result(result.path), tmp_path / "a.ome.zarr")
    image = nodes_of(path)["a.ome.zarr"]
    assert [level.shape for level in image.data] == [canvas.shape, half.shape]
    np.testing.assert_allclose(np.asarray(image.data[1]), half)
    for level in (0, 1):
        scale, shift = placement(image, level)
        corner = np.subtract(shift[1:], np.divide(scale[1:], 2))
        np.testing.assert_allclose(corner, -MPP / 2)
        assert scale[1:] == [8.0 * 2**level] * 2


@pytest.mark.parametrize("stride_px", [128, 64])
def test_classes_are_labels_with_names_and_colors(tmp_path, stride_px):
    result = make_result(tmp_path, stride_px=stride_px)
    path = export_ome_zarr(result, tmp_path / "maps")
    labels = nodes_of(path)["class"]
    np.testing.assert_array_equal(np.asarray(labels.data[0]), result.class_map())
    scale, shift = placement(labels)
    assert scale == [stride_px * MPP] * 2
    np.testing.assert_allclose(shift, (128 * MPP - MPP) / 2)
    colors = labels.metadata["color"]
    for index, subtype in enumerate(CLASSES):
        np.testing.assert_allclose(colors[1 + index][:3], subtype.rgb, atol=0.01)
    names = {k: v["class"] for k, v in labels.metadata["properties"].items()}
    assert names == {1: "Luminal", 2: "Basal/HER2"}


@pytest.mark.parametrize("stride_px", [128, 64])
def test_labels_have_as_many_levels_as_their_image(tmp_path, stride_px):
    made = make_result(tmp_path, stride_px=stride_px)
    canvas = np.stack([made.evidence_map(i) for i in (0, 1)])
    for level in range(1, 5):
        put_coarser_level(made.path, canvas[:, :: 2**level, :: 2**level], level)
    path = export_ome_zarr(open_result(made.path), tmp_path / "maps")
    found = nodes_of(path)
    image, labels = found["maps.ome.zarr"], found["class"]
    assert len(labels.data) == len(image.data) == 5
    classes = made.class_map()
    fine_scale, fine_shift = placement(labels)
    for level, data in enumerate(labels.data):
        every = 2**level
        rows, cols = (-(-size // every) for size in classes.shape)
        expected = [
            [classes[every * row, every * col] for col in range(cols)]
            for row in range(rows)
        ]
        np.testing.assert_array_equal(np.asarray(data), expected)
        scale, shift = placement(labels, level)
        assert scale == [stride_px * MPP * every] * 2
        # The corner of the first pixel stays where it is, as that of the image does.
        corner = np.subtract(shift, np.divide(scale, 2))
        np.testing.assert_allclose(
            corner, np.subtract(fine_shift, np.divide(fine_scale, 2))
        )
    # Four by six patches, or seven by eleven: nothing is left to halve at the end.
    assert labels.data[-1].shape == (1, 1)


def test_patches_without_evidence_have_no_label(tmp_path):
    result = make_result(tmp_path, says_nothing=True)
    path = export_ome_zarr(result, tmp_path / "maps")
    assert not np.asarray(nodes_of(path)["class"].data[0]).any()


def test_maps_of_another_size_are_images_within(tmp_path):
    made = make_result(tmp_path)
    result, canvas = with_map(made, "attention-rollout", channels=1, cells=16)
    path = export_ome_zarr(result, tmp_path / "maps")
    rolled = nodes_of(path / "attention-rollout")["attention-rollout"]
    np.testing.assert_array_equal(np.asarray(rolled.data[0]), canvas)
    assert placement(rolled)[0] == [1, 4.0, 4.0]
    weights = nodes_of(path / "weights")["weights"]
    row, col = result.grid.cell.T
    found = np.asarray(weights.data[0])[0, row, col]
    np.testing.assert_array_equal(found, result.patch_weights)


def test_the_file_says_what_it_is_made_of(tmp_path):
    result = make_result(tmp_path)
    path = export_ome_zarr(result, tmp_path / "maps")
    root = zarr.open_group(path, mode="r")
    assert root.metadata.zarr_format == 3
    about = root.attrs["mmsubtype"]
    assert about["methods"] == {"cam": "logits"}
    assert (about["call"], about["exact"], about["patches"]) == ("Luminal", True, 22)
    channels = root.attrs["ome"]["omero"]["channels"]
    window = channels[0]["window"]
    assert channels[1]["window"] == window
    assert window["start"] == -window["end"] < 0
    assert root["0"].metadata.dimension_names == ("c", "y", "x")


def test_nothing_is_overwritten_and_nothing_is_left_of_a_failure(tmp_path, monkeypatch):
    result = make_result(tmp_path)
    taken = tmp_path / "maps.ome.zarr"
    taken.mkdir()
    with pytest.raises(ConfigurationError, match="there already"):
        export_ome_zarr(result, taken)
    taken.rmdir()

    def full(*_args, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zarr.Group, "create_array", full)
    with pytest.raises(StoreError, match="No space left"):
        export_ome_zarr(result, taken)
    assert [p.name for p in tmp_path.iterdir()] == [result.path.name]


def test_an_interrupted_analysis_is_refused(tmp_path):
    partial = open_result(begin_store(tmp_path).path)
    with pytest.raises(StoreError, match="incomplete"):
        export_ome_zarr(partial, tmp_path / "maps")
