import json
import pickle
import shutil
import sys

import numpy as np
import pytest
import zarr

from builders.slides import draw_scene, write_ome_zarr, zip_folder
from builders.web import serve
from napari_mmsubtype.core.units import MppSource
from napari_mmsubtype.errors import (
    MissingDependencyError,
    SlideOpenError,
    SlideReadError,
)
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.omezarr_backend import OmeZarrBackend
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene(300, 420)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["cyx", "tczyx", "yxc"])
@pytest.mark.parametrize("zipped", [False, True])
def test_versions_axes_and_zip(tmp_path, version, axes, zipped):
    path = tmp_path / "a.ome.zarr"
    made = write_ome_zarr(path, IMAGE, version=version, axes=axes)
    if zipped:
        path = zip_folder(path, tmp_path / "a.ome.zarr.zip")
    with open_slide(path) as slide:
        assert slide.backend == "omezarr"
        assert slide.name == "a"
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 4.0]
        assert slide.pixel_size.y == pytest.approx(0.5)
        assert slide.mpp_source is MppSource.VENDOR
        assert slide.properties["ome.version"] == version
        for level, expected in enumerate(made):
            height, width = expected.shape[:2]
            assert (slide.read_region(level, 0, 0, height, width) == expected).all()


def test_grey_and_alpha(tmp_path):
    grey = IMAGE[:, :, :1]
    write_ome_zarr(tmp_path / "g.zarr", grey, axes="yx", levels=1)
    with open_slide(tmp_path / "g.zarr") as slide:
        assert (slide.read_region(0, 0, 0, 300, 420) == grey).all()
    clear = np.concatenate([IMAGE, np.zeros_like(grey)], axis=2)
    write_ome_zarr(tmp_path / "c.zarr", clear, levels=1)
    with open_slide(tmp_path / "c.zarr") as slide:
        assert (slide.read_region(0, 0, 0, 300, 420) == 255).all()


def test_a_scale_without_a_unit_measures_nothing(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", IMAGE, unit=False)
    with open_slide(tmp_path / "a.zarr") as slide:
        assert slide.pixel_size is None
        assert slide.mpp_source is MppSource.NONE


def rewrite(path, name, change):
    """Change a JSON document of a store of version 0.5."""
    file = path / name
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def rescale(path, change):
    def _each(document):
        for image in document["attributes"]["ome"]["multiscales"]:
            for entry in image["datasets"]:
                change(entry)

    rewrite(path, "zarr.json", _each)


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.pop("coordinateTransformations"),
        lambda entry: entry["coordinateTransformations"][0].update(type="Scale"),
    ],
)
def test_without_a_scale_the_pixel_size_is_unknown(tmp_path, change):
    path = tmp_path / "a.zarr"
    write_ome_zarr(path, IMAGE, version="0.5")
    rescale(path, change)
    with open_slide(path) as slide:
        assert slide.pixel_size is None
        assert slide.mpp_source is MppSource.NONE
        assert [level.downsample for level in slide.levels] == [1, 2, 4]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda made: made.append(made[0]), "2 scales of one level"),
        (lambda made: made[0].update(scale=[2.0]), "1 numbers for 3 axes"),
        (lambda made: made[0].update(scale=[2.0] * 4), "4 numbers for 3 axes"),
        (lambda made: made.append("scale"), "cannot be understood"),
    ],
)
def test_scales_that_make_no_sense_are_refused(tmp_path, change, reason):
    path = tmp_path / "a.zarr"
    write_ome_zarr(path, IMAGE, version="0.5")
    rescale(path, lambda entry: change(entry["coordinateTransformations"]))
    with pytest.raises(BackendRefusal, match=reason):
        OmeZarrBackend(str(path))


@pytest.mark.parametrize(
    ("level", "side", "reason"),
    [
        ("2", 100_000, "told to be finer than a larger one"),
        ("2", 10**9, "1 to 4,000,000 px expected"),
        ("0", 2**40, "1 to 4,000,000 px expected"),
        ("0", 0, "1 to 4,000,000 px expected"),
    ],
)
def test_sides_that_cannot_be_true_are_refused(tmp_path, level, side, reason):
    path = tmp_path / "a.zarr"
    write_ome_zarr(path, IMAGE, version="0.5")
    shape = [3, side, side]
    rewrite(path, f"{level}/zarr.json", lambda document: document.update(shape=shape))
    with pytest.raises(BackendRefusal, match=reason):
        OmeZarrBackend(str(path))


def test_chunks_without_a_pixel_are_refused(tmp_path):
    path = tmp_path / "a.zarr"
    write_ome_zarr(path, IMAGE, version="0.5")
    grid = {"name": "regular", "configuration": {"chunk_shape": [3, 0, 0]}}
    rewrite(path, "0/zarr.json", lambda document: document.update(chunk_grid=grid))
    with pytest.raises(BackendRefusal, match="at least 1 px along each axis"):
        OmeZarrBackend(str(path))


def test_the_first_image_of_a_collection_is_opened(tmp_path):
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    write_ome_zarr(tmp_path / "a.zarr" / "0", IMAGE)
    with open_slide(tmp_path / "a.zarr") as slide:
        assert slide.levels[0].shape == (300, 420)


def test_channels_that_are_no_rgb_are_refused(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", np.repeat(IMAGE, 2, axis=2), levels=1)
    with pytest.raises(BackendRefusal, match="6 channels, as fluorescence"):
        OmeZarrBackend(str(tmp_path / "a.zarr"))


def test_other_types_are_refused(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", IMAGE.astype(np.float32), levels=1)
    with pytest.raises(BackendRefusal, match="float32"):
        OmeZarrBackend(str(tmp_path / "a.zarr"))


def test_zarr_without_image_metadata_is_refused(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)
    group.attrs["something"] = 1
    with pytest.raises(BackendRefusal, match=r"multiscales.*something"):
        OmeZarrBackend(str(tmp_path / "a.zarr"))


def test_a_missing_level_is_refused(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", IMAGE)
    group = zarr.open_group(tmp_path / "a.zarr", mode="a")
    del group["1"]
    with pytest.raises(
        BackendRefusal, match="level '1' of the OME-Zarr image is missing"
    ):
        OmeZarrBackend(str(tmp_path / "a.zarr"))


def test_other_folders_and_zips_are_refused(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x.txt").write_text("x")
    with pytest.raises(BackendRefusal, match="no zarr metadata"):
        OmeZarrBackend(str(tmp_path / "d"))
    with pytest.raises(BackendRefusal, match="no zarr metadata at its top"):
        OmeZarrBackend(str(zip_folder(tmp_path / "d", tmp_path / "d.zip")))
    with pytest.raises(BackendRefusal, match="neither a folder nor a zip"):
        OmeZarrBackend(str(tmp_path / "d" / "x.txt"))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_store_behind_a_web_server(tmp_path, version):
    made = write_ome_zarr(tmp_path / "a b.zarr", IMAGE, version=version)
    with serve(tmp_path) as address, open_slide(f"{address}/a%20b.zarr/") as slide:
        assert slide.pixel_size.y == pytest.approx(0.5)
        for level, expected in enumerate(made):
            height, width = expected.shape[:2]
            assert (slide.read_region(level, 0, 0, height, width) == expected).all()
        with pickle.loads(pickle.dumps(slide)) as copy:
            assert (copy.read_region(0, 0, 0, 9, 9) == made[0][:9, :9]).all()


def test_a_web_server_that_vanishes(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", IMAGE)
    with serve(tmp_path) as address:
        slide = open_slide(f"{address}/a.zarr")
        with pytest.raises(
            SlideOpenError, match=r"no zarr group and arrays where an OME-Zarr"
        ):
            open_slide(f"{address}/absent.zarr")
    no_answer = r"no answer from the server.*Cannot connect.*check the connection"
    with slide, pytest.raises(SlideReadError, match=no_answer) as caught:
        slide.read_region(0, 0, 0, 9, 9)
    assert "damaged" not in str(caught.value)
    with pytest.raises(SlideOpenError, match=no_answer):
        open_slide(f"{address}/a.zarr")


@pytest.mark.parametrize("web", [False, True])
def test_a_store_that_is_taken_away_is_no_black_slide(tmp_path, web):
    folder = tmp_path / "a.zarr"
    write_ome_zarr(folder, IMAGE)
    with serve(tmp_path) as address:
        slide = open_slide(f"{address}/a.zarr" if web else folder)
        shutil.rmtree(folder)
        with slide, pytest.raises(SlideReadError, match="is gone since it was opened"):
            slide.read_region(0, 0, 0, 9, 9)


def test_a_chunk_that_was_never_written_is_blank(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", IMAGE)
    (tmp_path / "a.zarr" / "0" / "0.0.0").unlink()
    with open_slide(tmp_path / "a.zarr") as slide:
        assert (slide.read_region(0, 0, 0, 128, 128) == 0).all()
        assert (slide.read_region(0, 0, 128, 9, 9) == IMAGE[:9, 128:137]).all()


def relist(path, change):
    """Change the list of levels in the metadata."""
    group = zarr.open_group(path, mode="a")
    told = group.attrs["multiscales"]
    change(told[0]["datasets"])
    group.attrs["multiscales"] = told


def test_levels_listed_in_any_order_are_sorted(tmp_path):
    made = write_ome_zarr(tmp_path / "a.zarr", IMAGE, mpp=0.25)
    relist(tmp_path / "a.zarr", lambda levels: levels.reverse())
    with open_slide(tmp_path / "a.zarr") as slide:
        assert [level.shape for level in slide.levels] == [m.shape[:2] for m in made]
        assert slide.pixel_size.mean == pytest.approx(0.25)
        assert (slide.read_region(2, 0, 0, 75, 105) == made[2]).all()


def test_a_level_of_another_shape_and_none_at_all_are_refused(tmp_path):
    path = tmp_path / "a.zarr"
    write_ome_zarr(path, IMAGE)
    group = zarr.open_group(path, mode="a")
    turned = np.moveaxis(IMAGE[::2, ::2], -1, 0).swapaxes(1, 2)
    del group["1"]
    group.create_array("1", data=turned)
    with pytest.raises(BackendRefusal, match=r"level 1 is 210 x 150 px.*another shape"):
        OmeZarrBackend(str(path))
    relist(path, lambda levels: levels.clear())
    with pytest.raises(BackendRefusal, match="lists no level"):
        OmeZarrBackend(str(path))


def test_web_libraries_that_are_absent_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(MissingDependencyError, match=r"napari-mmsubtype\[remote\]"):
        open_slide("http://127.0.0.1:9/a.zarr")


def test_there_are_no_associated_images(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", IMAGE)
    backend = OmeZarrBackend(str(tmp_path / "a.zarr"))
    with pytest.raises(KeyError):
        backend.read_associated("label")
    backend.close()
    backend.close()
