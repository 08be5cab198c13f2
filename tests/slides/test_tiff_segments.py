import threading

import numpy as np
import pytest
import tifffile
from PIL import Image

from builders.slides import draw_scene, encode_jpeg2000, write_svs
from napari_mmsubtype.slides import tiff_segments
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.tiff_segments import TiffLevelReader

IMAGE = draw_scene(300, 400)


def write(path, image, **options):
    options = {"photometric": "rgb", "metadata": None, **options}
    tifffile.imwrite(path, image, **options)
    return path


def read_all(path):
    """Every tile of page 0, joined and cut to the page."""
    with tifffile.TiffFile(path) as tif:
        reader = TiffLevelReader((tif.pages[0],), threading.Lock())
        height, width = reader.shape
        th, tw = reader.tile_shape
        rows = [
            np.concatenate(
                [
                    reader.read_tile(r, c)[:, : width - c * tw]
                    for c in range(-(-width // tw))
                ],
                axis=1,
            )[: height - r * th]
            for r in range(-(-height // th))
        ]
    return np.concatenate(rows)


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "zstd", "packbits"])
@pytest.mark.parametrize("layout", [{"tile": (64, 96)}, {"rowsperstrip": 7}, {}])
def test_lossless_compressions_in_tiles_and_strips(tmp_path, compression, layout):
    path = write(tmp_path / "a.tif", IMAGE, compression=compression, **layout)
    assert (read_all(path) == IMAGE).all()


@pytest.mark.parametrize("predictor", [True, False])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_sixteen_bits_keep_their_upper_half(tmp_path, predictor, byteorder):
    wide = IMAGE.astype(np.uint16) * 256 + 77
    path = write(
        tmp_path / "a.tif",
        wide,
        tile=(64, 64),
        compression="deflate",
        predictor=predictor,
        byteorder=byteorder,
    )
    assert (read_all(path) == IMAGE).all()


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_large_raw_strip_is_read_in_bands(tmp_path, monkeypatch, byteorder):
    monkeypatch.setattr(tiff_segments, "BAND_BYTES", 100_000)
    wide = IMAGE.astype(np.uint16) * 256
    path = write(tmp_path / "a.tif", wide, rowsperstrip=300, byteorder=byteorder)
    with tifffile.TiffFile(path) as tif:
        reader = TiffLevelReader((tif.pages[0],), threading.Lock())
        assert reader.tile_shape == (83, 400)
    assert (read_all(path) == IMAGE).all()


@pytest.mark.parametrize("space", ["ycbcr", "rgb"])
def test_jpeg_in_ycbcr_and_rgb(tmp_path, space):
    path = write(
        tmp_path / "a.tif",
        IMAGE,
        tile=(64, 64),
        compression="jpeg",
        compressionargs={"level": 95, "outcolorspace": space},
    )
    with tifffile.TiffFile(path) as tif:
        assert tif.pages[0].photometric.name.lower() == space
    assert np.abs(read_all(path).astype(int) - IMAGE).mean() < 1.5


@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {"rowsperstrip": 64}])
def test_a_jpeg_that_lost_its_end_is_an_error(tmp_path, layout):
    path = write(tmp_path / "a.tif", IMAGE, compression="jpeg", **layout)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        end = page.dataoffsets[1] + page.databytecounts[1]
    data = path.read_bytes()
    path.write_bytes(data[: end - 40] + bytes(40) + data[end:])
    with tifffile.TiffFile(path) as tif:
        reader = TiffLevelReader((tif.pages[0],), threading.Lock())
        with pytest.raises(ValueError, match="the JPEG ends early"):
            reader._read_segment(1)
        reader._read_segment(2)


def test_ycbcr_without_jpeg_is_converted(tmp_path):
    planes = Image.fromarray(IMAGE).convert("YCbCr")
    path = write(
        tmp_path / "a.tif",
        np.asarray(planes),
        tile=(64, 64),
        compression="deflate",
        photometric="ycbcr",
        subsampling=(1, 1),
    )
    expected = np.asarray(planes.convert("RGB")).astype(int)
    assert np.abs(read_all(path) - expected).max() <= 1


def test_separate_planes(tmp_path):
    planes = np.moveaxis(IMAGE, -1, 0)
    for options in ({"tile": (64, 64)}, {"rowsperstrip": 9}):
        path = write(
            tmp_path / "a.tif",
            planes,
            planarconfig="separate",
            compression="deflate",
            **options,
        )
        assert (read_all(path) == IMAGE).all()


def test_grey_inverted_grey_and_bits(tmp_path):
    grey = IMAGE[:, :, 1]
    expected = np.repeat(grey[:, :, None], 3, axis=2)
    path = write(tmp_path / "a.tif", grey, tile=(64, 64), photometric="minisblack")
    assert (read_all(path) == expected).all()
    path = write(tmp_path / "b.tif", 255 - grey, photometric="miniswhite")
    assert (read_all(path) == expected).all()
    bits = grey > 200
    path = write(tmp_path / "c.tif", bits, photometric="minisblack")
    assert (read_all(path)[:, :, 0] == bits * 255).all()


def test_transparency_over_white_and_unknown_samples_dropped(tmp_path):
    alpha = np.full((300, 400, 1), 255, np.uint8)
    alpha[:100] = 0
    rgba = np.concatenate([IMAGE, alpha], axis=2)
    path = write(tmp_path / "a.tif", rgba, tile=(64, 64), extrasamples=["unassalpha"])
    expected = IMAGE.copy()
    expected[:100] = 255
    assert (read_all(path) == expected).all()
    path = write(tmp_path / "b.tif", rgba, tile=(64, 64), extrasamples=["unspecified"])
    assert (read_all(path) == IMAGE).all()


def test_a_palette_is_looked_up(tmp_path):
    colors = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16)
    index = IMAGE[:, :, 0]
    path = write(tmp_path / "a.tif", index, photometric="palette", colormap=colors << 8)
    assert (read_all(path) == np.moveaxis(colors[:, index], 0, -1)).all()


def test_one_page_per_channel(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        for plane in np.moveaxis(IMAGE, -1, 0):
            tif.write(plane, tile=(64, 64), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as tif:
        reader = TiffLevelReader(tuple(tif.pages), threading.Lock())
        assert (reader.read_tile(1, 2) == IMAGE[64:128, 128:192]).all()


def test_a_tile_without_data_is_white(tmp_path):
    path = write(tmp_path / "a.tif", IMAGE, tile=(64, 64), compression="deflate")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = tif.pages[0].tags[name]
            tag.overwrite([0, *tag.value[1:]])
    with tifffile.TiffFile(path) as tif:
        reader = TiffLevelReader((tif.pages[0],), threading.Lock())
        assert (reader.read_tile(0, 0) == 255).all()
        assert reader.read_tile(0, 0).shape == (64, 64, 3)
        assert (reader.read_tile(0, 1) == IMAGE[:64, 64:128]).all()


@pytest.mark.parametrize("name", ["TileOffsets", "TileByteCounts"])
def test_a_tile_with_half_of_its_place_is_damaged(tmp_path, name):
    path = write(tmp_path / "a.tif", IMAGE, tile=(64, 64), compression="deflate")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tag = tif.pages[0].tags[name]
        tag.overwrite([0, *tag.value[1:]])
    with tifffile.TiffFile(path) as tif:
        reader = TiffLevelReader((tif.pages[0],), threading.Lock())
        with pytest.raises(ValueError, match="without data has 0 of both"):
            reader.read_tile(0, 0)
        assert (reader.read_tile(0, 1) == IMAGE[:64, 64:128]).all()


def test_a_large_raw_strip_without_a_place_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_segments, "BAND_BYTES", 100_000)
    path = write(tmp_path / "a.tif", IMAGE, rowsperstrip=300)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["StripOffsets"].overwrite(0)
    with tifffile.TiffFile(path) as tif:
        reader = TiffLevelReader((tif.pages[0],), threading.Lock())
        with pytest.raises(ValueError, match="without data has 0 of both"):
            reader.read_tile(0, 0)


def test_a_first_tile_without_a_place_does_not_keep_a_slide_from_opening(tmp_path):
    path = tmp_path / "a.svs"
    write_svs(path, IMAGE, compression=33003)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tag = tif.pages[0].tags["TileOffsets"]
        tag.overwrite([0, *tag.value[1:]])
    with tifffile.TiffFile(path) as tif:
        reader = TiffLevelReader((tif.pages[0],), threading.Lock())
        with pytest.raises(ValueError, match="without data has 0 of both"):
            reader.read_tile(0, 0)
        reader.read_tile(0, 1)


def test_jpeg2000_with_reduced_chroma_is_left_to_others():
    codestream = bytearray(encode_jpeg2000(IMAGE[:64, :64], ycbcr=True))
    tiff_segments._refuse_subsampled_jpeg2000(bytes(codestream))
    start = codestream.find(b"\xff\x51")
    codestream[start + 2 + 38 + 3 + 1] = 2
    with pytest.raises(BackendRefusal, match="reduced chroma"):
        tiff_segments._refuse_subsampled_jpeg2000(bytes(codestream))


@pytest.mark.parametrize(
    ("dtype", "photometric", "reason"),
    [
        (np.float32, "minisblack", "samples are float32"),
        (np.uint8, "cielab", "CIELAB"),
        (np.uint8, "separated", "SEPARATED"),
    ],
)
def test_samples_that_are_no_rgb_are_refused(tmp_path, dtype, photometric, reason):
    samples = {"minisblack": 1, "cielab": 3, "separated": 4}[photometric]
    data = np.squeeze(np.zeros((32, 32, samples), dtype))
    path = write(tmp_path / "a.tif", data, photometric=photometric)
    with tifffile.TiffFile(path) as tif, pytest.raises(BackendRefusal, match=reason):
        TiffLevelReader((tif.pages[0],), threading.Lock())


def test_one_huge_compressed_piece_is_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_segments, "LARGEST_SEGMENT_BYTES", 10_000)
    path = write(tmp_path / "a.tif", IMAGE, compression="lzw", rowsperstrip=300)
    with (
        tifffile.TiffFile(path) as tif,
        pytest.raises(BackendRefusal, match="vips tiffsave"),
    ):
        TiffLevelReader((tif.pages[0],), threading.Lock())


def test_an_unknown_compression_is_named(tmp_path):
    path = write(tmp_path / "a.tif", IMAGE, compression="deflate")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["Compression"].overwrite(65535)
    with tifffile.TiffFile(path) as tif, pytest.raises(BackendRefusal, match="65535"):
        TiffLevelReader((tif.pages[0],), threading.Lock())


def test_strips_are_grouped_into_bands_of_whole_strips(tmp_path):
    image = np.concatenate([IMAGE] * 3)
    path = write(tmp_path / "a.tif", image, rowsperstrip=7)
    with tifffile.TiffFile(path) as tif:
        reader = TiffLevelReader((tif.pages[0],), threading.Lock())
        assert reader.tile_shape == (252, 400)
        assert reader.read_tile(3, 0).shape == (900 - 3 * 252, 400, 3)


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("rows", [20, 149, 150, 1000])
def test_a_small_image_of_uneven_strips_is_read_to_its_last_row(
    tmp_path, compression, rows
):
    image = IMAGE[:150]
    options = {"compression": compression, "rowsperstrip": rows}
    path = write(tmp_path / "a.tif", image, **options)
    assert (read_all(path) == image).all()


def test_a_tile_that_claims_to_be_far_larger_than_the_image_is_refused(tmp_path):
    path = write(tmp_path / "a.tif", IMAGE, tile=(64, 64), compression="lzw")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["TileLength"].overwrite(4_000_000)
    with (
        tifffile.TiffFile(path) as tif,
        pytest.raises(BackendRefusal, match=r"compressed piece of 0\.8 GB"),
    ):
        TiffLevelReader((tif.pages[0],), threading.Lock())


def test_only_what_lies_on_the_image_counts_for_a_strip(tmp_path):
    path = write(tmp_path / "a.tif", IMAGE, rowsperstrip=2**31)
    with tifffile.TiffFile(path) as tif:
        assert tiff_segments.segment_bytes(tif.pages[0]) == IMAGE.nbytes
