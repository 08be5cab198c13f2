import struct

import numpy as np
import pytest
import tifffile

from builders.slides import (
    cut,
    draw_scene,
    pyramid_of,
    write_ome_tiff,
    write_pyramid_tiff,
    write_svs,
)
from builders.slides_hamamatsu import write_ndpi
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tiff_layout import (
    check_directories,
    check_segments,
    lay_out,
)

IMAGE = draw_scene(300, 400)
FOUR_GIB = 4 * 1024**3
SHAPES = [(300, 400), (150, 200), (75, 100)]


def sizes(layout):
    return [(p.imagelength, p.imagewidth) for (p, *_) in layout.levels]


def check_all(path):
    check_directories(path)
    with tifffile.TiffFile(path) as tif:
        for (page,) in lay_out(tif).levels:
            check_segments(path, page)


@pytest.mark.parametrize("subifds", [False, True])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_levels_in_pages_and_in_subpages(tmp_path, subifds, bigtiff):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, IMAGE, subifds=subifds, bigtiff=bigtiff)
    check_directories(path)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_bigtiff == bigtiff
        layout = lay_out(tif)
        assert sizes(layout) == SHAPES
        assert layout.associated == {}


def test_offsets_of_64_bits_are_followed_where_a_file_is_ndpi(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE)
    assert check_directories(tmp_path / "a.tif") is False
    write_ndpi(tmp_path / "a.ndpi", IMAGE)
    assert check_directories(tmp_path / "a.ndpi") is True
    cut(tmp_path / "a.ndpi", -5)
    with pytest.raises(SlideOpenError, match="truncated: a page directory"):
        check_directories(tmp_path / "a.ndpi")


def test_ndpi_beyond_4_gib_is_not_read_at_the_lower_half_of_its_offsets(tmp_path):
    path = tmp_path / "a.ndpi"
    with path.open("wb") as file:
        file.truncate(FOUR_GIB + 1)
    if path.stat().st_blocks > 1000:
        pytest.skip("this disk does not store files with holes")
    write_ndpi(path, IMAGE, hole=FOUR_GIB + 1000)
    with path.open("r+b") as file:
        offset = struct.unpack("<Q", file.read(12)[4:])[0]
        assert offset > FOUR_GIB
        # Rubbish that looks like a directory of very many entries.
        file.seek(offset - FOUR_GIB)
        file.write(b"\xff" * 8)
    assert check_directories(path) is True


def test_aperio_thumbnail_label_and_macro_are_no_levels(tmp_path):
    write_svs(tmp_path / "a.svs", IMAGE, levels=3)
    with tifffile.TiffFile(tmp_path / "a.svs") as tif:
        layout = lay_out(tif)
        assert sizes(layout) == SHAPES
        assert list(layout.associated) == ["thumbnail", "label", "macro"]


def test_a_striped_page_is_a_level_only_where_it_says_so(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        small, tiny = pyramid_of(IMAGE, 3)[1:]
        tif.write(IMAGE, photometric="rgb", metadata=None)
        tif.write(small, photometric="rgb", metadata=None, subfiletype=1)
        tif.write(tiny, photometric="rgb", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        layout = lay_out(tif)
        assert sizes(layout) == SHAPES[:2]
        assert list(layout.associated) == ["page 2"]


def test_ome_levels_and_channels(tmp_path):
    write_ome_tiff(tmp_path / "a.ome.tif", IMAGE)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        assert sizes(lay_out(tif)) == SHAPES
    write_ome_tiff(tmp_path / "b.ome.tif", IMAGE, axes="CYX")
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as tif:
        assert [len(pages) for pages in lay_out(tif).levels] == [3, 3, 3]


@pytest.mark.parametrize(
    ("axes", "shape", "reason"),
    [
        ("ZYX", (4, 64, 64), "4 planes along Z"),
        ("TYX", (2, 64, 64), "2 planes along T"),
        ("CYX", (5, 64, 64), "5 channels, as fluorescence"),
    ],
)
def test_ome_stacks_are_refused_with_their_reason(tmp_path, axes, shape, reason):
    path = tmp_path / "a.ome.tif"
    data = np.zeros(shape, np.uint8)
    tifffile.imwrite(path, data, metadata={"axes": axes}, photometric="minisblack")
    with tifffile.TiffFile(path) as tif, pytest.raises(BackendRefusal, match=reason):
        lay_out(tif)


@pytest.mark.parametrize("imagej", [False, True])
def test_stacks_of_equal_pages_are_refused(tmp_path, imagej):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros((3, 32, 32), np.uint8), imagej=imagej, photometric="minisblack"
    )
    with (
        tifffile.TiffFile(path) as tif,
        pytest.raises(BackendRefusal, match="stack of 3 images"),
    ):
        lay_out(tif)


def test_a_file_of_another_kind_is_no_tiff(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"\x89PNG and more")
    with pytest.raises(
        BackendRefusal, match=r"no TIFF file \(it begins with b'.x89PNG"
    ):
        check_directories(tmp_path / "a.tif")


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("keep", [8, 0.3, 0.9, 0.999])
def test_a_cut_file_is_found_wherever_it_was_cut(tmp_path, keep, bigtiff):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, IMAGE, bigtiff=bigtiff, compression="deflate")
    cut(path, keep)
    with pytest.raises(SlideOpenError, match="truncated"):
        check_all(path)


def test_a_value_that_lost_its_last_byte_is_named(tmp_path, capfd):
    # tifffile writes the OME-XML of all pages last.
    path = tmp_path / "a.ome.tif"
    write_ome_tiff(path, IMAGE)
    with tifffile.TiffFile(path) as tif:
        tag = tif.pages[0].tags["ImageDescription"]
        assert tag.valueoffset + tag.count == path.stat().st_size
    check_directories(path)
    cut(path, path.stat().st_size - 1)
    with pytest.raises(SlideOpenError, match="truncated: the value of tag 270"):
        open_slide(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("levels", [2, 3])
def test_a_cut_within_a_directory_of_a_lower_level_is_found(tmp_path, bigtiff, levels):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, IMAGE, levels=levels, subifds=True, bigtiff=bigtiff)
    with tifffile.TiffFile(path) as tif:
        last = tif.pages[0].pages[-1].offset
    data = path.read_bytes()
    # The tail of the file: the last directory is the only thing that is cut.
    path.write_bytes(data[: last + 20])
    with pytest.raises(SlideOpenError, match="truncated"):
        check_directories(path)


def test_a_directory_that_cannot_even_be_sought_is_beyond_the_end(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"II+\0\x08\0\0\0" + b"\xff" * 8)
    with pytest.raises(SlideOpenError, match="truncated: a page directory"):
        check_directories(path)


def test_a_chain_of_directories_that_loops_ends(tmp_path):
    path = tmp_path / "a.tif"
    directory = struct.pack("<H", 0) + struct.pack("<I", 8)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + directory)
    check_directories(path)


def test_a_tile_beyond_the_end_is_named(tmp_path):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, IMAGE, levels=1)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        counts = page.databytecounts
        page.databytecounts = (*counts[:5], 10**8, *counts[6:])
        with pytest.raises(SlideOpenError, match="tile 6 of 12 should end at byte"):
            check_segments(path, page)


def test_missing_index_entries_are_damage(tmp_path):
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, IMAGE, levels=1)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        page.dataoffsets, page.databytecounts = page.dataoffsets[:3], (1, 1, 1)
        with pytest.raises(SlideOpenError, match="lists 3 tiles where 12"):
            check_segments(path, page)


def test_overlapping_tiles_are_left_to_openslide(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE, software="MedScan 1")
    with (
        tifffile.TiffFile(tmp_path / "a.tif") as tif,
        pytest.raises(BackendRefusal, match="overlapping"),
    ):
        lay_out(tif)
