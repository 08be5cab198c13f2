import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders.slides import (
    cut,
    draw_scene,
    write_ome_zarr,
    write_pyramid_tiff,
    write_svs,
    zip_folder,
)
from builders.slides_dicom import write_dicom
from builders.web import serve
from napari_mmsubtype.core.units import MppSource
from napari_mmsubtype.errors import ConfigurationError, SlideOpenError
from napari_mmsubtype.slides import registry
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.registry import can_open, open_slide, reopen_slide

IMAGE = draw_scene(300, 400)


def test_the_first_backend_that_can_is_taken(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE)
    with open_slide(str(tmp_path / "a.tif")) as slide:
        assert slide.backend == "tifffile"
        assert slide.info()["tried"] == []
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        assert slide.backend == "image"
        tried = [item["backend"] for item in slide.info()["tried"]]
        assert tried == ["tifffile", "openslide", "czi", "omezarr", "deepzoom"]


def test_the_content_counts_and_not_the_ending(tmp_path):
    write_svs(tmp_path / "a.dat", IMAGE)
    with open_slide(tmp_path / "a.dat") as slide:
        assert slide.vendor == "aperio"


def test_a_synthetic_address_is_a_slide():
    with open_slide("synthetic:seed=2,size=600") as slide:
        assert slide.backend == "synthetic"
        assert slide.levels[0].shape == (600, 600)


def test_the_users_pixel_size_wins(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE, mpp=0.5)
    with open_slide(tmp_path / "a.tif", mpp=0.25) as slide:
        assert slide.pixel_size.mean == 0.25
        assert slide.mpp_source is MppSource.USER
    with pytest.raises(ConfigurationError, match="not believable"):
        open_slide(tmp_path / "a.tif", mpp=100)


def test_every_backend_and_its_reason_are_listed(tmp_path):
    (tmp_path / "notes.txt").write_text("this is no slide")
    with pytest.raises(SlideOpenError) as caught:
        open_slide(tmp_path / "notes.txt")
    message = str(caught.value)
    for part in (
        "notes.txt",
        "tifffile: no TIFF file (it begins with b'this')",
        "openslide: Unsupported or missing image file",
        "omezarr: neither a folder nor a zip",
        "image: no PNG",
        "is expected",
    ):
        assert part in message
    assert "\n" not in message


def test_a_failure_inside_a_library_is_a_reason_like_others(tmp_path, monkeypatch):
    def crash(_):
        raise RuntimeError("inner fault")

    real = registry._load
    monkeypatch.setattr(
        registry,
        "_load",
        lambda target: crash if "tifffile" in target else real(target),
    )
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE)
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.backend == "openslide"
        assert slide.info()["tried"][0]["reason"] == (
            "something unexpected in the file (RuntimeError: inner fault)"
        )


def test_a_missing_path(tmp_path):
    with pytest.raises(SlideOpenError, match=r"no file or folder at .*absent\.svs"):
        open_slide(tmp_path / "absent.svs")


def test_an_empty_file(tmp_path):
    (tmp_path / "a.svs").touch()
    with pytest.raises(SlideOpenError, match=r"is empty \(0 bytes\)"):
        open_slide(tmp_path / "a.svs")


def test_a_folder_that_is_no_slide(tmp_path):
    with pytest.raises(SlideOpenError, match=r"folder that is no slide.*zarr\.json"):
        open_slide(tmp_path)


def test_a_web_address_is_only_read_as_ome_zarr(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", IMAGE)
    write_svs(tmp_path / "a.svs", IMAGE)
    with serve(tmp_path) as address:
        with open_slide(f"{address}/a.zarr") as slide:
            assert slide.backend == "omezarr"
        with pytest.raises(SlideOpenError, match=r"\(omezarr: [^;]*\)"):
            open_slide(f"{address}/a.svs")
    assert can_open("http://localhost/a.zarr/")
    assert not can_open("http://localhost/a.svs")


def test_a_dicom_folder_can_be_opened(tmp_path):
    assert not can_open(tmp_path)
    write_dicom(tmp_path / "image", IMAGE)
    assert can_open(tmp_path)
    with open_slide(tmp_path) as slide:
        assert slide.vendor == "dicom"


def test_a_file_without_permission(tmp_path, monkeypatch):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE)

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SlideOpenError, match=r"no permission to read .*a\.tif"):
        open_slide(tmp_path / "a.tif")


def test_a_folder_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SlideOpenError, match="no permission to read the folder"):
        open_slide(tmp_path)


def test_a_broken_disk(tmp_path, monkeypatch):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE)

    def fail(self, *args, **kwargs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(SlideOpenError, match=r"cannot be read: .*Input/output"):
        open_slide(tmp_path / "a.tif")


@pytest.mark.parametrize("keep", [10, 0.5, 0.95])
def test_a_truncated_slide_is_refused_and_not_read_by_another_backend(tmp_path, keep):
    write_svs(tmp_path / "a.svs", IMAGE)
    cut(tmp_path / "a.svs", keep)
    with pytest.raises(SlideOpenError, match="truncated"):
        open_slide(tmp_path / "a.svs")


def test_a_backend_that_no_longer_fits_says_so(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    with reopen_slide(str(tmp_path / "a.png"), "image", 0.5) as slide:
        assert slide.pixel_size.mean == 0.5
    with pytest.raises(SlideOpenError, match="tifffile: no TIFF"):
        reopen_slide(str(tmp_path / "a.png"), "tifffile", None)
    with reopen_slide("synthetic:size=600", "synthetic", None) as slide:
        assert slide.backend == "synthetic"


def test_a_failed_opening_leaves_no_file_open(tmp_path, monkeypatch):
    closed = []

    class Backend:
        name, icc_profile = "without levels", None
        levels = tile_shapes = ()

        def __init__(self, path):
            pass

        def close(self):
            closed.append(1)

    monkeypatch.setattr(registry, "_load", lambda _: Backend)
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE)
    with pytest.raises(IndexError):
        open_slide(tmp_path / "a.tif")
    assert closed


@pytest.mark.parametrize("name", ["a.svs", "a.ome.tif", "A.NDPI", "a.png", "a.dcm"])
def test_can_open_by_ending(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    assert can_open(tmp_path / name)


def test_can_open_by_content_and_address(tmp_path):
    write_pyramid_tiff(tmp_path / "noending", IMAGE)
    write_ome_zarr(tmp_path / "a.zarr", IMAGE)
    write_ome_zarr(tmp_path / "b.zarr", IMAGE, version="0.5")
    zip_folder(tmp_path / "a.zarr", tmp_path / "a.zarr.zip")
    (tmp_path / "image").write_bytes(b"\0" * 128 + b"DICM")
    for name in ("noending", "a.zarr", "b.zarr", "a.zarr.zip", "image"):
        assert can_open(str(tmp_path / name)), name
    assert can_open("synthetic:seed=1")


def test_can_open_never_raises(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "table.csv").write_text("a,b")
    for path in (
        None,
        3,
        [],
        ["a.svs"],
        np.zeros(3),
        b"a.svs",
        "",
        "\0",
        "a" * 5000,
        tmp_path,
        tmp_path / "absent.svs",
        tmp_path / "a.zarr",
        tmp_path / "a.zip",
        tmp_path / "table.csv",
    ):
        assert can_open(path) is False


def test_a_refusal_is_not_an_error_of_the_package():
    assert not issubclass(BackendRefusal, SlideOpenError)
