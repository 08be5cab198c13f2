import numpy as np
import pytest
from PIL import Image

from builders.slides import draw_scene, write_deepzoom
from napari_mmsubtype.core.units import MppSource
from napari_mmsubtype.errors import SlideReadError
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.deepzoom_backend import DeepZoomBackend
from napari_mmsubtype.slides.registry import can_open, open_slide

IMAGE = draw_scene(301, 421)
DOCUMENT = (
    '<Image Format="{form}" Overlap="{overlap}" TileSize="{tile}">'
    '<Size Height="{height}" Width="300"/></Image>'
)


@pytest.mark.parametrize(
    ("tile", "overlap"), [(126, 1), (128, 0), (100, 4), (64, 64), (512, 1)]
)
def test_tiles_and_levels_whatever_the_overlap(tmp_path, tile, overlap):
    made = write_deepzoom(tmp_path / "a.dzi", IMAGE, tile=tile, overlap=overlap)
    with open_slide(tmp_path / "a.dzi") as slide:
        assert slide.backend == "deepzoom"
        fitting = [max(level.shape[:2]) <= tile for level in made]
        assert slide.native_levels == fitting.index(True) + 1
        for index in range(slide.native_levels):
            height, width = made[index].shape[:2]
            assert slide.levels[index].shape == (height, width)
            assert slide.levels[index].downsample == 2.0**index
            region = slide.read_region(index, 0, 0, height, width)
            assert (region == made[index]).all()


def test_it_tells_no_pixel_size(tmp_path):
    write_deepzoom(tmp_path / "a.dzi", IMAGE)
    assert can_open(tmp_path / "a.dzi")
    with open_slide(tmp_path / "a.dzi") as slide:
        assert slide.pixel_size is None
        assert slide.mpp_source is MppSource.NONE
        assert slide.info()["compression"] == "png"
    with open_slide(tmp_path / "a.dzi", mpp=0.5) as slide:
        assert slide.require_pixel_size().mean == 0.5


def test_lower_levels_may_be_missing(tmp_path):
    write_deepzoom(tmp_path / "a.dzi", IMAGE, tile=64, lowest=9)
    with open_slide(tmp_path / "a.dzi") as slide:
        assert slide.native_levels == 1
        assert (slide.read_region(0, 0, 0, 301, 421) == IMAGE).all()


def test_a_single_row_of_pixels(tmp_path):
    write_deepzoom(tmp_path / "a.dzi", IMAGE[:1], tile=64)
    with open_slide(tmp_path / "a.dzi") as slide:
        assert slide.native_levels == 1
        assert (slide.read_region(0, 0, 0, 1, 421) == IMAGE[:1]).all()


def test_transparent_tiles_lie_over_white(tmp_path):
    clear = np.concatenate([IMAGE, np.zeros_like(IMAGE[:, :, :1])], axis=2)
    write_deepzoom(tmp_path / "a.dzi", clear)
    with open_slide(tmp_path / "a.dzi") as slide:
        assert (slide.read_region(0, 0, 0, 301, 421) == 255).all()


def test_bad_tiles_are_read_errors(tmp_path):
    write_deepzoom(tmp_path / "a.dzi", IMAGE)
    folder = tmp_path / "a_files" / "9"
    (folder / "0_0.png").unlink()
    (folder / "1_0.png").write_bytes(b"no image")
    Image.fromarray(IMAGE[:9, :9]).save(folder / "2_0.png")
    Image.fromarray(np.zeros((128, 128), np.uint16)).save(folder / "1_1.png")
    with open_slide(tmp_path / "a.dzi") as slide:
        for y, x, reason in (
            (0, 0, "0_0.png"),
            (0, 126, "cannot identify"),
            (0, 252, "9 x 9 px where 127 x 128 are expected"),
            (126, 126, "not 8 bits"),
        ):
            with pytest.raises(SlideReadError, match=reason):
                slide.read_region(0, y, x, 9, 9)
        assert (slide.read_region(0, 126, 0, 9, 9) == IMAGE[126:135, :9]).all()


def test_a_jpeg_that_lost_its_end_is_a_read_error(tmp_path):
    write_deepzoom(tmp_path / "a.dzi", IMAGE, ending="jpg")
    file = tmp_path / "a_files" / "9" / "0_0.jpg"
    data = file.read_bytes()
    half = len(data) // 2
    file.write_bytes(data[:half] + bytes(len(data) - half))
    with open_slide(tmp_path / "a.dzi") as slide:
        with pytest.raises(SlideReadError, match="the JPEG ends early"):
            slide.read_region(0, 0, 0, 9, 9)
        slide.read_region(0, 0, 130, 9, 9)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"form": "../x"}, "no ending of a file"),
        ({"overlap": "-1"}, "Overlap is '-1'"),
        ({"tile": "0"}, "TileSize is '0'"),
        ({"tile": "99999"}, "at most 8192 px"),
        ({"overlap": "200"}, "overlap within a tile"),
        ({"height": "tall"}, "Height is 'tall'"),
        ({}, "a folder 9 is expected"),
    ],
)
def test_documents_that_make_no_sense(tmp_path, changed, reason):
    told = {"form": "png", "overlap": 1, "tile": 126, "height": 300, **changed}
    (tmp_path / "a.dzi").write_text(DOCUMENT.format(**told))
    with pytest.raises(BackendRefusal, match=reason):
        DeepZoomBackend(str(tmp_path / "a.dzi"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<Image", "no readable XML"),
        ("<Collection/>", "describes 'Collection'"),
        ('<Image Format="png" Overlap="0" TileSize="9"/>', "no <Size>"),
        (" " * (1024**2 + 1), "larger than"),
    ],
)
def test_other_documents(tmp_path, text, reason):
    (tmp_path / "a.dzi").write_text(text)
    with pytest.raises(BackendRefusal, match=reason):
        DeepZoomBackend(str(tmp_path / "a.dzi"))


def test_other_files_and_further_images(tmp_path):
    with pytest.raises(BackendRefusal, match=r"ending in \.dzi"):
        DeepZoomBackend(str(tmp_path))
    write_deepzoom(tmp_path / "a.dzi", IMAGE)
    backend = DeepZoomBackend(str(tmp_path / "a.dzi"))
    with pytest.raises(KeyError):
        backend.read_associated("label")
    backend.close()
    backend.close()
