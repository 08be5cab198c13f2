import contextlib

import numpy as np
import pytest
from openslide import OpenSlide

from builders.slides import draw_scene
from builders.slides_czi import (
    BGR24,
    JPEG,
    JPEG_XR,
    RAW,
    ZSTD1,
    CziFile,
    describe,
    encode,
    write_czi,
)
from napari_mmsubtype.core.units import MppSource
from napari_mmsubtype.errors import SlideOpenError, SlideReadError
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.czi_backend import CziBackend
from napari_mmsubtype.slides.registry import can_open, open_slide
from napari_mmsubtype.slides.slide import Slide

IMAGE = draw_scene(300, 420)


def write_scenes(path, scenes):
    """Tiles of one color: scene, factor, (y, x) and size at level 0, shade, order."""
    file = CziFile()
    for scene, factor, (y, x), side, shade, order in scenes:
        pixels = np.full((side // factor, side // factor, 3), shade, np.uint8)
        places = [
            ("X", x, side, side // factor),
            ("Y", y, side, side // factor),
            ("Z", 0, 1, 1),
            ("S", scene, 1, 1),
            ("M", order, 1, 1),
        ]
        file.tile(encode(pixels, RAW), BGR24, RAW, places)
    path.write_bytes(file.finish(describe((64, 64), None, 20, 2)))


def test_jpeg_xr_is_left_to_us_and_zstd_is_not(tmp_path):
    write_czi(tmp_path / "a.czi", IMAGE)
    write_czi(tmp_path / "b.czi", IMAGE, compression=JPEG_XR)
    with open_slide(tmp_path / "a.czi") as by_openslide:
        assert by_openslide.backend == "openslide"
        with open_slide(tmp_path / "b.czi") as ours:
            assert ours.backend == "czi"
            refused = {item["backend"]: item["reason"] for item in ours.info()["tried"]}
            assert "JPEG XR" in refused["openslide"]
            assert ours.levels == by_openslide.levels
            for level, (height, width) in enumerate(lv.shape for lv in ours.levels):
                box = (level, 0, 0, height, width)
                assert (ours.read_region(*box) == by_openslide.read_region(*box)).all()
            assert ours.pixel_size.mean == pytest.approx(by_openslide.pixel_size.mean)
            assert ours.mpp_source is MppSource.VENDOR
            for name in ("label", "macro", "thumbnail"):
                own, other = (
                    ours.read_associated(name),
                    by_openslide.read_associated(name),
                )
                assert (own == other).all()


def test_a_plane_that_openslide_does_not_know_is_read(tmp_path):
    write_scenes(tmp_path / "a.czi", [(0, 1, (0, 0), 64, 90, 0)])
    with open_slide(tmp_path / "a.czi") as slide:
        assert slide.backend == "czi"
        assert (slide.read_region(0, 0, 0, 64, 64) == 90).all()
        assert slide.mpp_source is MppSource.OBJECTIVE


def test_the_higher_number_of_the_mosaic_lies_on_top(tmp_path):
    tiles = [(0, 1, (0, 0), 64, 90, 5), (0, 1, (32, 32), 64, 10, 2)]
    write_scenes(tmp_path / "a.czi", tiles)
    with open_slide(tmp_path / "a.czi") as slide:
        region = slide.read_region(0, 0, 0, 96, 96)
    assert (region[:64, :64] == 90).all()
    assert (region[64:, 32:] == 10).all()
    assert (region[70:, :32] == 255).all()


def test_levels_end_where_one_region_of_the_glass_has_no_more(tmp_path):
    scenes = [
        (0, 1, (-500, 100), 64, 90, 0),
        (0, 2, (-500, 100), 64, 90, 0),
        (0, 4, (-500, 100), 64, 90, 0),
        (1, 1, (-400, 300), 64, 20, 0),
        (1, 2, (-400, 300), 64, 20, 0),
    ]
    write_scenes(tmp_path / "a.czi", scenes)
    with open_slide(tmp_path / "a.czi") as slide:
        assert [level.downsample for level in slide.levels] == [1.0, 2.0]
        assert slide.levels[0].shape == (164, 264)
        assert (slide.read_region(1, 50, 100, 32, 32) == 20).all()
        assert (slide.read_region(1, 0, 40, 32, 50) == 255).all()


def test_each_stored_tile_is_decoded_once(tmp_path, monkeypatch):
    from napari_mmsubtype.slides import czi_backend

    write_czi(tmp_path / "a.czi", draw_scene(600, 640), levels=1, tile=128)
    decoded = []
    real = czi_backend.decode_tile
    monkeypatch.setattr(
        czi_backend,
        "decode_tile",
        lambda data, tile, bits: decoded.append(tile) or real(data, tile, bits),
    )
    with open_slide(tmp_path / "a.czi"):
        backend = CziBackend(str(tmp_path / "a.czi"))
        for row in range(2):
            for col in range(2):
                backend.read_tile(0, row, col)
        backend.close()
    assert len(decoded) == len(set(decoded))


def test_a_damaged_tile_leaves_the_others(tmp_path):
    path = tmp_path / "a.czi"
    write_czi(path, draw_scene(512, 1024), compression=JPEG_XR, tile=512, overlap=0)
    data = bytearray(path.read_bytes())
    place = data.index(b"ZISRAWSUBBLOCK", data.index(b"ZISRAWSUBBLOCK") + 1)
    data[place + 288 : place + 700] = b"\0" * 412
    path.write_bytes(data)
    backend = CziBackend(str(path))
    assert backend.read_tile(0, 0, 0).shape == (512, 512, 3)
    with pytest.raises(Exception, match=r".+"):
        backend.read_tile(0, 0, 1)
    assert backend.read_tile(1, 0, 0).shape == (256, 512, 3)
    backend.close()


def test_refusals_are_short_and_leave_no_file_open(tmp_path):
    (tmp_path / "a.czi").write_bytes(b"no czi")
    with pytest.raises(BackendRefusal, match="no CZI file"):
        CziBackend(str(tmp_path / "a.czi"))
    with pytest.raises(BackendRefusal, match="folder"):
        CziBackend(str(tmp_path))
    write_czi(tmp_path / "b.czi", IMAGE)
    data = (tmp_path / "b.czi").read_bytes()
    (tmp_path / "b.czi").write_bytes(data[: len(data) // 2])
    with pytest.raises(SlideOpenError, match="truncated"):
        open_slide(tmp_path / "b.czi")


def test_czi_is_known_by_its_first_bytes(tmp_path):
    write_czi(tmp_path / "photo", IMAGE)
    assert can_open(tmp_path / "photo")
    assert OpenSlide.detect_format(str(tmp_path / "photo")) == "zeiss"


@pytest.mark.parametrize("compression", [RAW, JPEG, JPEG_XR, ZSTD1])
def test_a_damaged_file_is_an_error_of_ours_or_a_slide(tmp_path, compression):
    path = tmp_path / "a.czi"
    write_czi(path, IMAGE[:160, :200], compression=compression, levels=2)
    whole = path.read_bytes()
    rng = np.random.default_rng(compression)
    parts = [b"ZISRAWFILE", b"ZISRAWDIRECTORY", b"ZISRAWATTDIR", b"ZISRAWSUBBLOCK"]
    heads = np.concatenate([whole.index(part) + np.arange(300) for part in parts])
    damaged = [whole[: int(size)] for size in np.linspace(0, len(whole) - 1, 100)]
    for number in range(125):
        data = bytearray(whole)
        among = heads if number % 2 else np.arange(len(whole))
        for place in rng.choice(among[among < len(whole)], 2):
            data[place] = rng.integers(0, 256)
        damaged.append(bytes(data))
    for number, data in enumerate(damaged):
        path.write_bytes(data)
        try:
            backend = CziBackend(str(path))
        except (BackendRefusal, SlideOpenError):
            continue
        assert number >= 100, "a cut file was opened"
        with Slide(backend, path=str(path)) as slide:
            slide.info()
            for level in range(slide.native_levels):
                with contextlib.suppress(SlideReadError):
                    slide.read_region(level, 0, 0, 99, 99)
            for name in backend.associated_names:
                with contextlib.suppress(SlideReadError):
                    slide.read_associated(name)
