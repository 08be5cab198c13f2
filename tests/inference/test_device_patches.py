import logging
import os

import numpy as np
import pytest
import tifffile
import torch

from builders.jpeg_sources import read_all, source_over
from builders.slides import break_tile, draw_scene, write_pyramid_tiff
from builders.slides_jpeg import write_jpeg_tiff
from napari_mmsubtype.errors import SlideChangedError
from napari_mmsubtype.inference import device_patches
from napari_mmsubtype.inference.device_patches import (
    DevicePatches,
    open_device_patches,
)
from napari_mmsubtype.slides.registry import open_slide

CPU = torch.device("cpu")
IMAGE = draw_scene(700, 900)
RGB = {"rgb": True, "shared": True, "markers": False}


@pytest.fixture
def decoded(monkeypatch):
    """How many tiles went to the decoder, call by call."""
    calls = []
    real = device_patches.decode_streams

    def counted(streams, device):
        calls.append(len(streams))
        return real(streams, device)

    monkeypatch.setattr(device_patches, "decode_streams", counted)
    return calls


@pytest.fixture
def slide(tmp_path):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE, subsampling="420", shared=True)
    with open_slide(path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("mpp", "level", "change"),
    [(0.5, 0, 0), (0.75, 0, 1), (1.0, 1, 0), (0.37, 0, 1), (1.5, 1, 1)],
)
@pytest.mark.parametrize("options", [{}, {"subsampling": "420"}, RGB])
def test_patches_are_those_that_the_cpu_reads(tmp_path, mpp, level, change, options):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE, **options)
    with open_slide(path) as slide:
        source = source_over(slide, mpp=mpp)
        assert source.grid.level == level
        pixels, readable = open_device_patches(source, CPU).load(range(len(source)))
        expected, _ = read_all(source)
    assert pixels.dtype == torch.uint8
    assert readable.all()
    difference = np.abs(pixels.numpy().astype(int) - expected)
    assert difference.max() <= change
    assert difference.mean() < 1e-3
    # Patches over the lower and right border are white outside the slide.
    assert (expected[-1, -1] == 255).all()


@pytest.mark.parametrize("size_px", [96, 100])
def test_a_real_slide_gives_the_pixels_of_the_cpu(real_data, size_px):
    path = real_data / "slides" / "CMU-1-Small-Region.svs"
    with open_slide(path) as slide:
        source = source_over(slide, size_px=size_px, mpp=0.65)
        pixels, readable = open_device_patches(source, CPU).load(range(len(source)))
        expected, _ = read_all(source)
    assert readable.all()
    difference = np.abs(pixels.numpy().astype(int) - expected)
    assert difference.max() <= 1
    assert difference.mean() < 1e-3


def test_batches_share_tiles_and_each_is_decoded_once(slide, decoded):
    source = source_over(slide)
    patches = open_device_patches(source, CPU)
    size = 7
    found = [
        patches.load(range(start, min(start + size, len(source))))[0]
        for start in range(0, len(source), size)
    ]
    np.testing.assert_array_equal(torch.cat(found).numpy(), read_all(source)[0])
    assert sum(decoded) == 6 * 8
    assert len(decoded) > 1


def test_memory_for_tiles_is_bounded(slide, decoded, monkeypatch):
    source = source_over(slide)
    tile = 3 * 128 * 128
    patches = DevicePatches(source, slide.jpeg_tiles(0), CPU, limit_bytes=12 * tile)
    pixels, _ = patches.load(range(len(source)))
    assert patches._pool.tiles.nbytes <= 12 * tile
    np.testing.assert_array_equal(pixels.numpy(), read_all(source)[0])
    assert sum(decoded) > 6 * 8
    assert max(decoded) <= 11
    # What one call decodes and puts together is bounded as well.
    monkeypatch.setattr(device_patches, "AT_ONCE", 4)
    monkeypatch.setattr(device_patches, "PIXELS_AT_ONCE", 2 * 96 * 96)
    patches.release()
    decoded.clear()
    steps = []
    resize = device_patches.resize_area_on_device
    monkeypatch.setattr(
        device_patches,
        "resize_area_on_device",
        lambda region, *size: steps.append(len(region)) or resize(region, *size),
    )
    again, _ = patches.load(range(len(source)))
    assert torch.equal(again, pixels)
    assert max(decoded) == 4
    assert max(steps) == 2


def test_tiles_that_do_not_fit_under_one_patch_are_refused(slide):
    source = source_over(slide)
    tiles = slide.jpeg_tiles(0)
    with pytest.raises(ValueError, match="4 tiles of 128 x 128 px under a patch do"):
        DevicePatches(source, tiles, CPU, limit_bytes=4 * 3 * 128 * 128)
    DevicePatches(source, tiles, CPU, limit_bytes=5 * 3 * 128 * 128)


@pytest.mark.parametrize("bytes_broken", ["all", "a header within"])
def test_a_damaged_tile_loses_the_patches_that_it_loses_today(
    tmp_path, caplog, bytes_broken
):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE)
    if bytes_broken == "all":
        break_tile(path, 0, 9)
    else:
        with tifffile.TiffFile(path) as tif:
            page = tif.pages[0]
            middle = page.dataoffsets[9] + page.databytecounts[9] // 2
        with path.open("r+b") as file:
            file.seek(middle)
            file.write(b"\xff\x55\xff\xc4\xff\x55")
    with open_slide(path) as slide:
        source = source_over(slide)
        expected, lost = read_all(source)
        assert 0 < np.count_nonzero(~lost) < 6
        caplog.clear()
        patches = open_device_patches(source, CPU)
        pixels, readable = patches.load(range(len(source)))
        np.testing.assert_array_equal(readable, lost)
        np.testing.assert_array_equal(pixels.numpy(), expected)
        assert slide.unreadable_tiles == ((0, 1, 1),)
    skipped = [r.getMessage() for r in caplog.records if "skipped" in r.getMessage()]
    assert len(skipped) == np.count_nonzero(~lost)
    first = int(np.flatnonzero(~lost)[0])
    assert skipped[0].startswith(f"patch {first} skipped: cannot decode tile (row 1, ")
    assert not patches.failure


def test_a_tile_that_only_the_cpu_decodes_is_taken_from_it(tmp_path, caplog):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        counts = list(tif.pages[0].databytecounts)
        # Bytes of the next tile behind the end: libjpeg does not look at them.
        counts[9] += 2
        tif.pages[0].tags["TileByteCounts"].overwrite(counts)
    caplog.set_level(logging.DEBUG)
    with open_slide(path) as slide:
        source = source_over(slide)
        pixels, readable = open_device_patches(source, CPU).load(range(len(source)))
        np.testing.assert_array_equal(pixels.numpy(), read_all(source)[0])
    assert readable.all()
    reason = "the JPEG ends 2 bytes before its tile"
    assert f"tile (1, 1) is not decoded on the device: {reason}" in caplog.text


def test_a_tile_that_the_device_alone_refuses_is_its_failure(slide, monkeypatch):
    def refuse(_streams, _device):
        msg = "nvjpegDecode failed: 5"
        raise RuntimeError(msg)

    monkeypatch.setattr(device_patches, "decode_streams", refuse)
    patches = open_device_patches(source_over(slide), CPU)
    with pytest.raises(
        RuntimeError, match=r"that the CPU does: nvjpegDecode failed: 5"
    ):
        patches.load(range(4))


def test_a_damaged_tile_in_a_call_does_not_spoil_the_others(tmp_path, monkeypatch):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE)
    break_tile(path, 0, 9)
    real = device_patches.decode_streams

    def strict(streams, device):
        if any(len(stream) == 3 for stream in streams):
            msg = "one of the images cannot be decoded"
            raise RuntimeError(msg)
        return real(streams, device)

    monkeypatch.setattr(device_patches, "decode_streams", strict)
    with open_slide(path) as slide:
        source = source_over(slide)
        tiles = slide.jpeg_tiles(0)
        # As where the markers of a stream look sound and its content is not.
        blind = type(tiles)(
            tiles.shape,
            tiles.tile_shape,
            lambda row, col: b"bad" if (row, col) == (1, 1) else tiles.read(row, col),
        )
        pixels, readable = DevicePatches(source, blind, CPU).load(range(len(source)))
        expected, lost = read_all(source)
    np.testing.assert_array_equal(readable, lost)
    np.testing.assert_array_equal(pixels.numpy(), expected)


@pytest.mark.parametrize("words", ["CUDA out of memory", "CUDA error: unspecified"])
def test_a_device_that_is_full_or_lost_is_not_the_tiles_fault(
    slide, monkeypatch, words
):
    def fail(_streams, _device):
        raise RuntimeError(words)

    monkeypatch.setattr(device_patches, "decode_streams", fail)
    reads = []
    monkeypatch.setattr(slide, "read_region", lambda *at: reads.append(at))
    with pytest.raises(RuntimeError, match=f"^{words}$"):
        open_device_patches(source_over(slide), CPU).load(range(4))
    assert reads == []


def test_tiles_without_data_are_white(tmp_path, decoded, monkeypatch):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE, levels=1)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = tif.pages[0].tags[name]
            tag.overwrite([*tag.value[:9], 0, *tag.value[10:]])
    with open_slide(path) as slide:
        source = source_over(slide)
        expected, _ = read_all(source)
        monkeypatch.setattr(slide, "read_region", None)
        pixels, readable = open_device_patches(source, CPU).load(range(len(source)))
    np.testing.assert_array_equal(pixels.numpy(), expected)
    assert readable.all()
    assert sum(decoded) == 47


def test_a_slide_that_changes_on_disk_ends_it(slide):
    patches = open_device_patches(source_over(slide), CPU)
    os.utime(slide.path, (1, 1))
    with pytest.raises(SlideChangedError, match="changed on disk"):
        patches.load(range(4))


def test_slides_that_are_not_suitable_are_left_to_the_cpu(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "deflate.tif"
    write_pyramid_tiff(path, IMAGE, compression="deflate")
    with open_slide(path) as slide:
        assert open_device_patches(source_over(slide), CPU) is None
    assert "stores no JPEG tiles" in caplog.text
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE)
    for index in range(48):
        break_tile(path, 0, index)
    with open_slide(path) as slide:
        assert open_device_patches(source_over(slide), CPU) is None
    assert "are not for a device: a JPEG begins with" in caplog.text


def test_a_damaged_tile_does_not_speak_for_the_others(tmp_path):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE, shared=True)
    with open_slide(path) as slide:
        source = source_over(slide)
        tiles = slide.jpeg_tiles(source.grid.level)
        box = source.box(len(source) // 2).clipped(*tiles.shape)
        height, width = tiles.tile_shape
        row, col = box.y // height, box.x // width
    break_tile(path, 0, row * -(-tiles.shape[1] // width) + col)
    with open_slide(path) as slide:
        tiles = slide.jpeg_tiles(0)
        with pytest.raises(ValueError, match="begins with"):
            tiles.read(row, col)
        assert open_device_patches(source_over(slide), CPU) is not None


def test_it_reads_single_patches_like_its_source_and_gives_up_once(slide, caplog):
    source = source_over(slide)
    patches = open_device_patches(source, CPU)
    assert len(patches) == len(source)
    np.testing.assert_array_equal(patches.read(5), source.read(5))
    patches.load(range(4))
    assert patches._pool is not None
    for _ in range(2):
        patches.give_up("no nvJPEG here")
    assert patches._pool is None
    assert patches.failure == "no nvJPEG here"
    assert [record.getMessage() for record in caplog.records] == [
        "tiles of slide a are decoded by the CPU from now on; on cpu: no nvJPEG here"
    ]


@pytest.mark.gpu
@pytest.mark.parametrize("subsampling", ["444", "420"])
def test_a_gpu_puts_about_the_same_patches_together(tmp_path, subsampling):
    path = write_jpeg_tiff(tmp_path / "a.tif", IMAGE, subsampling=subsampling)
    with open_slide(path) as slide:
        source = source_over(slide, mpp=0.75)
        patches = open_device_patches(source, torch.device("cuda"))
        pixels, readable = patches.load(range(len(source)))
        expected, _ = read_all(source)
    assert pixels.device.type == "cuda"
    assert readable.all()
    change = np.abs(pixels.cpu().numpy().astype(int) - expected).mean(axis=(1, 2, 3))
    # Reduced chroma may be repeated; `decoding_choice` then prefers the CPU.
    assert change.max() < (1 if subsampling == "444" else 3)
