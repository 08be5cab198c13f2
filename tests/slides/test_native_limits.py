import struct

import pytest
import tifffile

from builders.slides import draw_scene, write_pyramid_tiff, write_svs
from builders.slides_czi import write_czi
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.native_limits import (
    check_associated,
    check_tiff_tiles,
)
from napari_mmsubtype.slides.openslide_backend import OpenSlideBackend

IMAGE = draw_scene(150, 210)


def test_sound_files_and_others_pass(tmp_path):
    write_svs(tmp_path / "a.svs", IMAGE)
    check_tiff_tiles(tmp_path / "a.svs")
    (tmp_path / "note.txt").write_text("no TIFF")
    check_tiff_tiles(tmp_path / "note.txt")


@pytest.mark.parametrize("tag", ["TileWidth", "TileLength"])
@pytest.mark.parametrize("index", [0, 2])
def test_tiles_that_claim_gigabytes_are_refused_before_openslide_asks(
    tmp_path, tag, index
):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, IMAGE, tile=64, compression="jpeg")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[index].aspage().tags[tag].overwrite(64 * 2**20)
    with pytest.raises(SlideOpenError, match=rf"page {index} claims tiles.*67,108,864"):
        OpenSlideBackend(str(path))


def test_a_tile_that_claims_more_bytes_than_the_file_has_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, IMAGE, tile=64, compression="jpeg")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tag = tif.pages[1].aspage().tags["TileByteCounts"]
        tag.overwrite([*tag.value[:-1], 2**31])
    with pytest.raises(SlideOpenError, match=r"page 1 claims a tile of 2,147,483,648"):
        OpenSlideBackend(str(path))


def test_a_further_image_that_claims_gigabytes_is_refused():
    properties = {
        "openslide.associated.macro.height": "40000",
        "openslide.associated.macro.width": "40000",
        "openslide.associated.label.height": "400",
        "openslide.associated.label.width": "400",
    }
    check_associated("label", properties)
    check_associated("thumbnail", properties)
    with pytest.raises(ValueError, match="40,000 x 40,000 px, too large"):
        check_associated("macro", properties)


def test_a_czi_tile_far_off_the_glass_is_refused_before_openslide_maps_it(tmp_path):
    path = tmp_path / "a.czi"
    write_czi(path, draw_scene(300, 420))
    data = bytearray(path.read_bytes())
    # The first entry of the directory: its head, then "X" and where the tile begins.
    entry = data.index(b"DV", data.index(b"ZISRAWDIRECTORY"))
    x = data.index(b"X\0\0\0", entry)
    data[x + 4 : x + 8] = struct.pack("<i", -(2**30))
    path.write_bytes(data)
    with pytest.raises(BackendRefusal, match="px expected"):
        OpenSlideBackend(str(path))
