import sys

import numpy as np
import pytest
from openslide import OpenSlideError

from builders.slides import break_tile, draw_scene, write_pyramid_tiff, write_svs
from builders.slides_dicom import write_dicom
from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.openslide_backend import OpenSlideBackend
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene(700, 900)


def test_a_dicom_slide_is_read_through_openslide(tmp_path):
    path = tmp_path / "a.dcm"
    write_dicom(path, IMAGE, mpp=0.4)
    with open_slide(path) as slide:
        assert slide.backend == "openslide"
        assert slide.vendor == "dicom"
        assert slide.levels[0].shape == (700, 900)
        assert slide.pixel_size.y == pytest.approx(0.4)
        assert slide.mpp_source is MppSource.VENDOR
        region = slide.read_region(0, 100, 200, 300, 400).astype(int)
        assert [name for name, _ in slide._tried] == ["tifffile"]
    assert np.abs(region - IMAGE[100:400, 200:600]).mean() < 1.5


def test_rows_and_columns_are_not_confused(tmp_path):
    made = write_pyramid_tiff(tmp_path / "a.tif", IMAGE, levels=2)
    backend = OpenSlideBackend(str(tmp_path / "a.tif"))
    assert [level.shape for level in backend.levels] == [(700, 900), (350, 450)]
    for level, expected in enumerate(made):
        th, tw = backend.tile_shapes[level]
        tile = backend.read_tile(level, 1, 0)
        assert (tile == expected[th : 2 * th, :tw]).all()
    corner = backend.read_tile(0, 2, 3)
    assert (corner == made[0][512:700, 768:900]).all()
    backend.close()


def test_pixel_size_objective_and_source(tmp_path):
    write_svs(tmp_path / "a.svs", IMAGE, mpp=0.25)
    backend = OpenSlideBackend(str(tmp_path / "a.svs"))
    assert backend.pixel_size == PixelSize.square(0.25)
    assert backend.mpp_source is MppSource.VENDOR
    assert backend.properties["objective"] == "20"
    assert backend.icc_profile is None
    assert set(backend.associated_names) == {"label", "macro", "thumbnail"}
    assert (backend.read_associated("label") == 200).all()
    backend.close()
    backend.close()
    write_pyramid_tiff(tmp_path / "b.tif", IMAGE, mpp=0.5)
    backend = OpenSlideBackend(str(tmp_path / "b.tif"))
    assert backend.mpp_source is MppSource.RESOLUTION_TAG
    backend.close()


def test_one_damaged_tile_does_not_spoil_the_rest(tmp_path):
    path = tmp_path / "a.svs"
    write_svs(path, draw_scene(), tile=256)
    break_tile(path, 0, 0)
    backend = OpenSlideBackend(str(path))
    with pytest.raises(OpenSlideError):
        backend.read_tile(0, 0, 0)
    assert backend.read_tile(0, 1, 1).shape == (256, 256, 3)
    backend.close()


def test_a_closed_file_is_not_read(tmp_path):
    write_svs(tmp_path / "a.svs", IMAGE)
    backend = OpenSlideBackend(str(tmp_path / "a.svs"))
    backend.close()
    with pytest.raises(ValueError, match="closed"):
        backend.read_tile(0, 0, 0)


def test_transparent_pixels_are_white():
    class Handle:
        def read_region(self, corner, level, size):
            return np.zeros((size[1], size[0], 4), np.uint8)

    backend = OpenSlideBackend.__new__(OpenSlideBackend)
    backend._slide = Handle()
    assert (backend._read(lambda s: s.read_region((0, 0), 0, (4, 3))) == 255).all()


def test_refusals(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(BackendRefusal, match="Unsupported or missing"):
        OpenSlideBackend(str(tmp_path / "a.txt"))
    with pytest.raises(BackendRefusal, match="folder"):
        OpenSlideBackend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(BackendRefusal, match="library cannot be loaded"):
        OpenSlideBackend(str(tmp_path / "a.txt"))


def test_a_folder_of_one_series_and_of_two(tmp_path):
    (tmp_path / "0.dcm").write_bytes(b"no slide")
    write_dicom(tmp_path / "1.dcm", IMAGE)
    with open_slide(tmp_path) as slide:
        assert slide.levels[0].shape == (700, 900)
    write_dicom(tmp_path / "2.dcm", IMAGE, series=7, instance=5)
    with pytest.raises(SlideOpenError, match="several DICOM slides"):
        open_slide(tmp_path)
