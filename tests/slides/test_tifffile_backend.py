import struct

import numpy as np
import openslide
import pytest
import tifffile

from builders.slides import (
    cut,
    draw_scene,
    write_ome_tiff,
    write_pyramid_tiff,
    write_svs,
)
from builders.slides_hamamatsu import write_ndpi
from builders.slides_leica_philips import write_philips, write_scn
from builders.slides_ventana_trestle import write_bif, write_trestle
from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.errors import (
    MissingPixelSizeError,
    SlideOpenError,
    SlideReadError,
)
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tifffile_backend import TifffileBackend

IMAGE = draw_scene()

# Both read baseline JPEG through libjpeg-turbo, but not always the same release; the
# standard lets decoders differ by one level per transform.
DECODER_TOLERANCE = 2


def read_openslide(path, level, rows=None):
    with openslide.OpenSlide(path) as slide:
        width, height = slide.level_dimensions[level]
        size = (width, min(height, rows or height))
        return np.asarray(slide.read_region((0, 0), level, size))[:, :, :3].astype(int)


@pytest.mark.parametrize("compression", ["jpeg", 33003, 33005])
def test_aperio_levels_equal_openslide(tmp_path, compression):
    path = tmp_path / "a.svs"
    made = write_svs(path, IMAGE, compression=compression)
    with open_slide(path) as slide:
        assert slide.backend == "tifffile"
        assert slide.native_levels == 2
        for level, (height, width) in enumerate(level.shape for level in slide.levels):
            ours = slide.read_region(level, 0, 0, height, width).astype(int)
            theirs = read_openslide(path, level)
            assert np.abs(ours - theirs).max() <= DECODER_TOLERANCE
            assert np.abs(ours - made[level]).mean() < 2


@pytest.mark.parametrize(
    "name", ["CMU-1-Small-Region.svs", "TCGA-CR-7395-01A-01-TS1.svs"]
)
def test_real_aperio_slides_equal_openslide(real_data, name):
    path = real_data / "slides" / name
    with open_slide(path) as slide:
        assert slide.backend == "tifffile"
        for level in range(slide.native_levels):
            # 1800 rows keep it quick where the level is large.
            width = slide.levels[level].shape[1]
            theirs = read_openslide(path, level, rows=1800)
            ours = slide.read_region(level, 0, 0, len(theirs), width).astype(int)
            assert np.abs(ours - theirs).max() <= DECODER_TOLERANCE


def test_real_pixel_sizes(real_data):
    with open_slide(real_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        assert slide.pixel_size == PixelSize.square(0.499)
        assert slide.mpp_source is MppSource.VENDOR
        assert slide.levels[0].shape == (2967, 2220)
        assert sorted(slide.associated) == ["macro", "thumbnail"]
        assert slide.read_associated("label").shape == (463, 387, 3)
    with open_slide(real_data / "slides" / "TCGA-CR-7395-01A-01-TS1.svs") as slide:
        assert slide.pixel_size is None
        assert slide.icc_profile is not None
    for path in (real_data / "regions").rglob("*.tif"):
        with open_slide(path) as slide:
            assert slide.pixel_size is None
            assert slide.levels[0].shape == (1000, 1000)
            direct = tifffile.imread(path)
            assert (slide.read_region(0, 0, 0, 1000, 1000) == direct).all()


def test_ome_tiff_equals_what_was_written(tmp_path):
    for axes in ("YXS", "CYX"):
        made = write_ome_tiff(tmp_path / f"{axes}.ome.tif", IMAGE, axes=axes)
        with open_slide(tmp_path / f"{axes}.ome.tif") as slide:
            assert slide.vendor == "ome-tiff"
            for level, expected in enumerate(made):
                height, width = expected.shape[:2]
                assert (slide.read_region(level, 0, 0, height, width) == expected).all()


def test_opening_decodes_no_pixel(tmp_path, monkeypatch):
    path = tmp_path / "a.svs"
    write_svs(path, IMAGE)
    reads = []
    real = tifffile.FileHandle.read

    def count(self, size=-1, /):
        data = real(self, size)
        reads.append(len(data))
        return data

    monkeypatch.setattr(tifffile.FileHandle, "read", count)
    open_slide(path).close()
    assert sum(reads) < path.stat().st_size / 4


def test_associated_images_in_grey_and_planes(tmp_path):
    path = tmp_path / "a.tif"
    grey = IMAGE[:100, :90, 0]
    planes = np.moveaxis(IMAGE[:80, :70], -1, 0)
    with tifffile.TiffWriter(path) as tif:
        tif.write(IMAGE, tile=(64, 64), photometric="rgb", metadata=None)
        tif.write(grey, photometric="miniswhite", metadata=None)
        tif.write(planes, photometric="rgb", planarconfig="separate", metadata=None)
    with open_slide(path) as slide:
        assert (slide.read_associated("page 1")[:, :, 1] == 255 - grey).all()
        assert (slide.read_associated("page 2") == IMAGE[:80, :70]).all()


def test_embedded_profile_and_compression_are_told(tmp_path):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, IMAGE, compression="lzw", iccprofile=b"profile")
    with open_slide(path) as slide:
        assert slide.icc_profile == b"profile"
        assert slide.info()["compression"] == "lzw"


def test_a_cut_file_is_refused_for_good(tmp_path):
    path = tmp_path / "a.svs"
    write_svs(path, IMAGE)
    cut(path, 0.6)
    with pytest.raises(SlideOpenError, match=r"truncated.*copy or download it again"):
        TifffileBackend(str(path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xd8\xff\xe0", "no TIFF file"),
        (b"II*\0\0\0\0\0", "no page|no readable TIFF"),
    ],
)
def test_what_is_no_tiff_is_left_to_others(tmp_path, content, reason):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BackendRefusal, match=reason):
        TifffileBackend(str(tmp_path / "a"))
    with pytest.raises(BackendRefusal, match="folder"):
        TifffileBackend(str(tmp_path))


@pytest.mark.parametrize("mpp", [1000, 25400 / 72, 0.001])
def test_resolution_tags_that_cannot_be_true_count_as_missing(tmp_path, mpp):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE, mpp=mpp)
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.pixel_size is None
        assert slide.mpp_source is MppSource.NONE
        info = slide.info()
        assert info["mpp"] is None
        assert info["mpp_in_file"] == pytest.approx([mpp, mpp], rel=1e-3)
        with pytest.raises(MissingPixelSizeError, match=r"not believable.*--mpp 0\.25"):
            slide.require_pixel_size()


def test_ome_tiff_with_subifds_in_several_series(tmp_path):
    path = tmp_path / "a.ome.tif"
    options = {"tile": (64, 64), "photometric": "rgb", "compression": "zlib"}
    small = IMAGE[:200, :160]
    with tifffile.TiffWriter(path, ome=True) as tif:
        for name, image in (("macro image", small), ("slide", IMAGE), ("label", small)):
            told = {"axes": "YXS", "Name": name, "PhysicalSizeX": 0.5}
            told |= {"PhysicalSizeY": 0.5}
            tif.write(image, subifds=2, metadata=told, **options)
            # The smaller one first, as no rule forbids it.
            tif.write(image[::4, ::4], subfiletype=1, **options)
            tif.write(image[::2, ::2], subfiletype=1, **options)
    with open_slide(path) as slide:
        assert slide.backend == "tifffile"
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 4.0]
        for level, step in enumerate((1, 2, 4)):
            expected = IMAGE[::step, ::step]
            region = slide.read_region(level, 0, 0, *expected.shape[:2])
            assert (region == expected).all()
        assert list(slide.associated) == ["macro image"]
        assert (slide.read_associated("label") == small).all()


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_scn, "a.scn"),
        (write_philips, "a.tiff"),
        (write_bif, "a.bif"),
        (write_trestle, "a.tif"),
        (write_ndpi, "a.ndpi"),
    ],
)
@pytest.mark.parametrize("keep", [0.3, 0.7, 0.97])
def test_a_cut_file_of_any_maker_is_refused_at_once(tmp_path, write, name, keep):
    write(tmp_path / name, IMAGE)
    cut(tmp_path / name, keep)
    with pytest.raises(SlideOpenError, match="truncated"):
        open_slide(tmp_path / name)


def test_the_end_of_a_level_is_missed_though_all_directories_are_there(tmp_path):
    """NDPI and others may keep their directories before the pixels."""
    path = tmp_path / "a.ndpi"
    write_ndpi(path, IMAGE)
    with tifffile.TiffFile(path) as tif:
        tag = tif.pages[0].tags["StripByteCounts"]
        place = tag.offset + 8
    with path.open("r+b") as file:
        file.seek(place)
        file.write(struct.pack("<I", 10**8))
    with pytest.raises(SlideOpenError, match="truncated"):
        open_slide(path)


@pytest.mark.parametrize(
    ("write", "name"), [(write_scn, "a.scn"), (write_trestle, "a.tif")]
)
def test_a_tile_of_a_made_up_size_does_not_end_the_process(tmp_path, write, name):
    path = tmp_path / name
    write(path, IMAGE)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[len(tif.pages) - 1].aspage()
        tag = page.tags["TileWidth"]
    with path.open("r+b") as file:
        file.seek(tag.valueoffset)
        file.write(b"\0\0" if tag.dtype == 3 else b"\x80\0\0\x3b")
    with pytest.raises(SlideOpenError, match=r"damaged: page|cannot be opened"):
        open_slide(path)


def test_an_associated_image_that_claims_gigabytes_is_refused(tmp_path):
    path = tmp_path / "a.svs"
    write_svs(path, IMAGE)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        page = next(p for p in tif.pages if "macro" in (p.description or ""))
        page.tags["ImageLength"].overwrite(2**31)
    with (
        open_slide(path) as slide,
        pytest.raises(SlideReadError, match=r"2,147,483,648 x 60 px, too large"),
    ):
        slide.read_associated("macro")
