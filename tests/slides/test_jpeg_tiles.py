import os

import imagecodecs
import numpy as np
import pytest
import tifffile

from builders.profiles import gamma_profile
from builders.slides import draw_scene, write_pyramid_tiff, write_svs
from builders.slides_jpeg import write_jpeg_tiff
from napari_mmsubtype.errors import SlideChangedError, SlideReadError
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene(300, 420)
KINDS = {
    "ycbcr 4:4:4": {},
    "ycbcr 4:2:2": {"subsampling": "422"},
    "ycbcr 4:2:0, shared tables": {"subsampling": "420", "shared": True},
    "rgb, Adobe marker": {"rgb": True},
    "rgb, shared tables, no marker": {"rgb": True, "shared": True, "markers": False},
    "as Aperio writes": {
        "rgb": True,
        "shared": True,
        "markers": False,
        "aperio": True,
        "tile": 80,
    },
    "ycbcr that says rgb": {"photometric": "rgb", "shared": True},
}


def every_tile(tiles):
    (height, width), (tile_h, tile_w) = tiles.shape, tiles.tile_shape
    for row in range(-(-height // tile_h)):
        for col in range(-(-width // tile_w)):
            yield row, col


@pytest.mark.parametrize("kind", KINDS)
def test_streams_hold_the_colors_that_the_slide_is_read_in(tmp_path, kind):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE, **KINDS[kind])
    with open_slide(path) as slide:
        assert slide.backend == "tifffile"
        assert slide.native_levels == 2
        for level in (0, 1):
            tiles = slide.jpeg_tiles(level)
            assert tiles.shape == slide.levels[level].shape
            assert tiles.tile_shape == slide.tile_shapes[level]
            height, width = tiles.tile_shape
            for row, col in every_tile(tiles):
                # No hint but what is in the stream itself.
                found = imagecodecs.jpeg_decode(tiles.read(row, col))
                corner = (row * height, col * width)
                expected = slide.read_region(level, *corner, height, width)
                h, w = (s - c for s, c in zip(tiles.shape, corner, strict=True))
                np.testing.assert_array_equal(found[:h, :w], expected[:h, :w])
        # So the comparison is not one of two equal mistakes.
        seen = slide.read_region(0, 0, 0, *IMAGE.shape[:2])
        assert np.abs(seen.astype(int) - IMAGE).mean() < 3


def test_the_tiles_of_a_real_svs(real_data):
    with open_slide(real_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        tiles = slide.jpeg_tiles(0)
        assert tiles.tile_shape == (240, 240)
        for row, col in every_tile(tiles):
            found = imagecodecs.jpeg_decode(tiles.read(row, col))
            h, w = min(240, 2967 - row * 240), min(240, 2220 - col * 240)
            expected = slide.read_region(0, row * 240, col * 240, h, w)
            np.testing.assert_array_equal(found[:h, :w], expected)


def test_a_tile_without_data_has_no_stream(tmp_path):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE, levels=1)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = tif.pages[0].tags[name]
            tag.overwrite([*tag.value[:4], 0, *tag.value[5:]])
    with open_slide(path) as slide:
        assert slide.jpeg_tiles(0).read(1, 0) is None
        assert slide.jpeg_tiles(0).read(1, 1) is not None
        assert (slide.read_region(0, 128, 0, 128, 128) == 255).all()


def other_slides(folder):
    write_pyramid_tiff(folder / "deflate.tif", IMAGE, compression="deflate")
    write_svs(folder / "jpeg2000.svs", IMAGE, compression=33005)
    grey = np.ascontiguousarray(IMAGE[:, :, :1])
    write_pyramid_tiff(folder / "grey.tif", grey, compression="jpeg", levels=1)
    tifffile.imwrite(
        folder / "strips.tif", IMAGE, compression="jpeg", rowsperstrip=16, metadata=None
    )
    return sorted(folder.iterdir())


def test_other_slides_have_none(tmp_path):
    for path in other_slides(tmp_path):
        with open_slide(path) as slide:
            assert slide.jpeg_tiles(0) is None, path.name
    with open_slide("synthetic:seed=1,size=512") as slide:
        assert slide.jpeg_tiles(0) is None


def test_levels_that_are_computed_have_none(tmp_path):
    path = write_jpeg_tiff(tmp_path / "a.tif", draw_scene(300, 4200), levels=1)
    with open_slide(path) as slide:
        assert slide.native_levels == 1 < len(slide.levels)
        assert slide.jpeg_tiles(0) is not None
        assert slide.jpeg_tiles(1) is None
        with pytest.raises(ValueError, match="has levels 0 to"):
            slide.jpeg_tiles(len(slide.levels))


def test_colors_that_are_changed_after_decoding_have_none(tmp_path):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE, iccprofile=gamma_profile(1.8))
    with open_slide(path) as stored, open_slide(path, icc=True) as shown:
        assert (stored.icc, shown.icc) == ("off", "applied")
        assert stored.jpeg_tiles(0) is not None
        assert shown.jpeg_tiles(0) is None


def test_a_closed_or_changed_slide_is_not_read(tmp_path):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE)
    with open_slide(path) as slide:
        tiles = slide.jpeg_tiles(0)
        os.utime(path, (1, 1))
        with pytest.raises(SlideChangedError, match="changed on disk"):
            tiles.read(0, 0)
    with pytest.raises(SlideReadError, match="is closed"):
        tiles.read(0, 0)
