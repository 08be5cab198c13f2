"""Slides at places that users have and developers forget."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders.slides import (
    draw_scene,
    write_deepzoom,
    write_ome_tiff,
    write_ome_zarr,
    write_svs,
    zip_folder,
)
from builders.slides_dicom import write_dicom
from napari_mmsubtype import analyze, open_result
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene(300, 400)
FOLDERS = {
    "spaces": "a folder with spaces ",
    "unicode": "Präparate 切片 😀",
    "signs": "50% #1 & [x] {y} 'z'",
    "long": "/".join(["d" * 200] * 6),
}


def zipped(path):
    folder = path.with_suffix(".folder")
    write_ome_zarr(folder, IMAGE)
    zip_folder(folder, path)


KINDS = {
    "svs": lambda path: write_svs(path, IMAGE),
    "ome.tif": lambda path: write_ome_tiff(path, IMAGE),
    "dcm": lambda path: write_dicom(path, IMAGE),
    "zarr": lambda path: write_ome_zarr(path, IMAGE),
    "zarr.zip": zipped,
    "dzi": lambda path: write_deepzoom(path, IMAGE),
    "png": lambda path: Image.fromarray(IMAGE).save(path),
}


@pytest.mark.parametrize("ending", KINDS)
@pytest.mark.parametrize("name", FOLDERS)
def test_slides_are_read_wherever_they_lie(tmp_path, name, ending):
    folder = tmp_path / FOLDERS[name]
    folder.mkdir(parents=True)
    path = folder / f"{name} é.{ending}"
    KINDS[ending](path)
    with open_slide(path) as slide:
        region = slide.read_region(0, 100, 120, 100, 110).astype(int)
        assert slide.name == f"{name} é"
    assert np.abs(region - IMAGE[100:200, 120:230]).mean() <= 3


def test_a_relative_path_and_a_path_object_are_the_same_slide(tmp_path, monkeypatch):
    write_svs(tmp_path / "a.svs", IMAGE)
    monkeypatch.chdir(tmp_path)
    with open_slide("a.svs") as one, open_slide(Path("a.svs")) as other:
        pixels = one.read_region(1, 0, 0, 50, 50)
        assert (pixels == other.read_region(1, 0, 0, 50, 50)).all()


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b.svs", "no such folder/ü.svs"])
def test_a_path_that_cannot_be_is_refused_in_one_message(path):
    with pytest.raises(SlideOpenError, match=r"check the|cannot be read"):
        open_slide(path)


def test_a_slide_of_a_very_long_name_is_analyzed(tmp_path):
    scene = np.tile(draw_scene(600, 800), (2, 2, 1))
    path = tmp_path / ("s" * 240 + ".svs")
    write_svs(path, scene)
    result = analyze(path, out=tmp_path / "out")
    assert open_result(result.path).status == "complete"


def test_looking_at_a_slide_leaves_its_folder_as_it_was(tmp_path):
    folder = tmp_path / "read only"
    folder.mkdir()
    scene = np.tile(draw_scene(600, 800), (4, 4, 1))
    write_svs(folder / "a.svs", scene, levels=1)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    folder.chmod(0o500)
    try:
        with open_slide(folder / "a.svs") as slide:
            assert slide.native_levels == 1
            slide.pyramid()[-1].compute()
            slide.info()
    finally:
        folder.chmod(0o700)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before
