import shutil
import sys

import numpy as np
import pytest
from openslide import OpenSlideError
from PIL import ImageCms

from builders.slides import (
    break_tile,
    draw_scene,
    halve,
    write_pyramid_tiff,
    write_svs,
)
from builders.slides_czi import write_czi
from builders.slides_dicom import write_dicom
from builders.slides_hamamatsu import write_ndpi
from builders.slides_leica_philips import write_scn
from builders.slides_mirax import write_mrxs
from builders.slides_ventana_trestle import write_bif, write_trestle
from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.openslide_backend import OpenSlideBackend
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene(700, 900)
FOUR_GIB = 4 * 1024**3


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


def test_a_file_whose_series_is_unclear_does_not_make_two_slides(tmp_path):
    write_dicom(tmp_path / "1.dcm", IMAGE)
    head = (tmp_path / "1.dcm").read_bytes()[:600]
    (tmp_path / "2.dcm").write_bytes(head)
    with open_slide(tmp_path) as slide:
        assert slide.levels[0].shape == (700, 900)


def test_ndpi_beyond_4_gib(tmp_path):
    path = tmp_path / "a.ndpi"
    with path.open("wb") as file:
        file.truncate(FOUR_GIB + 1)
    if path.stat().st_blocks > 1000:
        pytest.skip("this disk does not store files with holes")
    made = write_ndpi(path, IMAGE, hole=FOUR_GIB + 2**20)
    assert path.stat().st_size > FOUR_GIB
    with open_slide(path) as slide:
        assert slide.vendor == "hamamatsu"
        for level, expected in enumerate(made):
            region = slide.read_region(level, 0, 0, *expected.shape[:2])
            assert np.abs(region.astype(int) - expected).mean() < 0.05


def test_strips_of_ndpi_become_tiles_that_are_no_strips(tmp_path):
    """A run of blocks is 8 px high; nobody wants to look at such tiles."""
    write_ndpi(tmp_path / "a.ndpi", IMAGE, tile=512)
    backend = OpenSlideBackend(str(tmp_path / "a.ndpi"))
    for (height, width), level in zip(backend.tile_shapes, backend.levels, strict=True):
        assert height >= min(256, level.shape[0])
        assert max(height, width) <= 2 * min(height, width)
    backend.close()
    with open_slide(tmp_path / "a.ndpi") as slide:
        assert all(set(array.chunksize[:2]) <= {512} for array in slide.pyramid()[:1])


def test_pixels_that_are_not_square_stay_so(tmp_path):
    write_czi(tmp_path / "a.czi", IMAGE, mpp=(0.5, 0.25))
    with open_slide(tmp_path / "a.czi") as slide:
        assert slide.pixel_size.y == pytest.approx(0.5)
        assert slide.pixel_size.x == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("write", "name", "objective", "mpp"),
    [
        (write_bif, "a.bif", 20, 0.5),
        (write_trestle, "a.tif", 20, 300),
        (write_scn, "a.scn", 40, 353),
    ],
)
def test_a_makers_nonsense_gives_way_to_the_objective(
    tmp_path, write, name, objective, mpp
):
    key = "magnification" if write is write_bif else "objective"
    write(tmp_path / name, IMAGE, mpp=mpp, **{key: objective})
    with open_slide(tmp_path / name) as slide:
        info = slide.info()
    assert info["objective"] == str(objective)
    assert info["mpp_in_file"] == pytest.approx([mpp, mpp])
    assert info["mpp_is_guess"] == (mpp > 20)
    assert info["mpp"] == pytest.approx([10 / objective] * 2)


def test_a_mirax_file_without_its_folder_is_not_its_preview(tmp_path):
    write_mrxs(tmp_path / "a.mrxs", IMAGE)
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(SlideOpenError, match=r"openslide: .*; .*only a preview of the"):
        open_slide(tmp_path / "a.mrxs")


def test_the_profile_of_a_dicom_slide_is_found(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    write_dicom(tmp_path / "a.dcm", IMAGE, profile=profile)
    with open_slide(tmp_path / "a.dcm") as slide:
        assert slide.icc_profile[: len(profile)] == profile
        assert slide.info()["icc_profile_bytes"] == len(slide.icc_profile)


def test_rounded_sizes_of_levels_do_not_bend_their_factor(tmp_path):
    """501 px halve to 250 px; OpenSlide makes a factor of 2.003 of that."""
    odd = draw_scene(501, 703)
    write_dicom(tmp_path / "a.dcm", odd, raw=True)
    write_dicom(tmp_path / "b.dcm", halve(odd), raw=True, instance=2, mpp=1.0)
    with open_slide(tmp_path) as slide:
        assert [level.downsample for level in slide.levels] == [1.0, 2.0]
        whole = slide.read_region(1, 0, 0, 250, 351).astype(int)
    # It blends neighbours by the part of a pixel that its own factor leaves over.
    assert np.abs(whole - halve(odd)).mean() < 0.1


def test_a_czi_tile_of_a_made_up_size_does_not_end_the_process(tmp_path):
    path = tmp_path / "a.czi"
    write_czi(path, IMAGE)
    data = bytearray(path.read_bytes())
    place = data.index(b"ZISRAWDIRECTORY") + 32 + 128 + 32
    assert data[place : place + 4] == b"X\0\0\0"
    data[place + 19] = 0x70
    path.write_bytes(data)
    with pytest.raises(SlideOpenError, match="a tile of 128 x 1879048320 px"):
        open_slide(path)
