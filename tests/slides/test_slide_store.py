import asyncio
import logging
import threading
from collections import Counter

import numpy as np
import pytest
import tifffile
import zarr
import zarr.storage
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from builders.slides import break_tile, draw_scene, write_pyramid_tiff, write_svs
from napari_mmsubtype.errors import SlideReadError
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.slide_store import LevelArray, SlideStore

IMAGE = draw_scene()


@pytest.fixture
def slide(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE, levels=2)
    with open_slide(tmp_path / "a.tif") as opened:
        yield opened


def test_zarr_reads_the_slide(slide):
    group = zarr.open_group(SlideStore(slide), mode="r")
    assert sorted(group.array_keys()) == ["0", "1"]
    array = group["0"]
    assert array.shape == (768, 1024, 3)
    assert array.chunks == (512, 512, 3)
    assert (array[...] == IMAGE).all()


def test_dask_levels_equal_the_slide(slide):
    levels = slide.pyramid()
    assert [level.shape for level in levels] == [(768, 1024, 3), (384, 512, 3)]
    assert levels[0].chunks[0] == (512, 256)
    assert (levels[0].compute() == IMAGE).all()
    expected = slide.read_region(1, 100, 50, 100, 40)
    assert (levels[1][100:200, 50:90].compute() == expected).all()


def test_dask_names_differ_between_openings(slide):
    with open_slide(slide.path) as other:
        assert other.pyramid()[0].name != slide.pyramid()[0].name
    assert slide.pyramid()[0].name == slide.pyramid()[0].name


def test_making_the_pyramid_decodes_nothing(slide, monkeypatch):
    monkeypatch.setattr(slide, "read_view", lambda *_: pytest.fail("decoded"))
    slide.pyramid()


def test_blocking_reads_leave_the_event_loop_free(slide, monkeypatch):
    threads = set()
    real = slide.read_view

    def read(*box):
        threads.add(threading.get_ident())
        return real(*box)

    monkeypatch.setattr(slide, "read_view", read)

    async def get():
        await SlideStore(slide).get("0/c/0/0/0", default_buffer_prototype())
        return threading.get_ident()

    assert asyncio.run(get()) not in threads
    assert len(threads) == 1


def test_a_border_chunk_is_full_and_white_outside(slide):
    data = asyncio.run(SlideStore(slide).get("0/c/1/1/0"))
    chunk = np.frombuffer(data.to_bytes(), np.uint8).reshape(512, 512, 3)
    assert (chunk[:256] == IMAGE[512:, 512:]).all()
    assert (chunk[256:] == 255).all()


@pytest.mark.parametrize(
    "key", ["2/zarr.json", "0/c/2/0/0", "0/c/0/0/1", "0/c/x/0/0", "9/c/0/0/0", "c", ""]
)
def test_absent_keys(slide, key):
    store = SlideStore(slide)
    assert asyncio.run(store.get(key)) is None
    assert not asyncio.run(store.exists(key))


def test_parts_of_values(slide):
    store = SlideStore(slide)
    whole = asyncio.run(store.get("0/c/0/0/0")).to_bytes()
    wanted = [
        ("0/c/0/0/0", RangeByteRequest(10, 20)),
        ("0/c/0/0/0", OffsetByteRequest(786_400)),
        ("0/c/0/0/0", SuffixByteRequest(7)),
        ("none", None),
    ]
    got = asyncio.run(store.get_partial_values(default_buffer_prototype(), wanted))
    assert [None if part is None else part.to_bytes() for part in got] == [
        whole[10:20],
        whole[786_400:],
        whole[-7:],
        None,
    ]


def test_listing(slide):
    store = SlideStore(slide)

    async def collect(keys):
        return [key async for key in keys]

    assert asyncio.run(collect(store.list())) == [
        "zarr.json",
        "0/zarr.json",
        "1/zarr.json",
    ]
    assert asyncio.run(collect(store.list_prefix("1/"))) == ["1/zarr.json"]
    assert asyncio.run(collect(store.list_dir(""))) == ["zarr.json", "0", "1"]
    assert asyncio.run(collect(store.list_dir("0"))) == ["zarr.json"]


def test_nothing_can_be_written(slide):
    store = SlideStore(slide)
    assert store.read_only
    data = default_buffer_prototype().buffer.from_bytes(b"1")
    for action in (store.set("0/c/0/0/0", data), store.delete("zarr.json")):
        with pytest.raises(ValueError, match="read-only"):
            asyncio.run(action)


def test_stores_of_one_slide_are_equal(slide):
    assert SlideStore(slide) == SlideStore(slide)
    assert hash(SlideStore(slide)) == hash(SlideStore(slide))
    assert SlideStore(slide) != "store"
    assert str(SlideStore(slide)) == "slide://a"


def test_a_pyramid_of_a_huge_slide_is_cheap():
    with open_slide("synthetic:seed=1,size=100000") as huge:
        level = huge.pyramid()[0]
        assert level.shape == (100_000, 100_000, 3)
        assert level.numblocks == (196, 196, 1)


@pytest.mark.parametrize(
    "selection",
    [
        np.s_[10:300, 500:600],
        np.s_[10:300, 500:600, :],
        np.s_[10:300, 500:600, 1:2],
        np.s_[-20:, :5],
        np.s_[700:9999, 1000:9999],
        np.s_[5:5, 3:9],
        np.s_[::2, 100:300:7],
        np.s_[3],
        np.s_[3, 4],
        np.s_[3, 4, 0],
        np.s_[...],
        np.s_[..., 2],
        np.s_[400:600],
    ],
)
def test_every_selection_equals_that_of_the_pixels(slide, selection):
    array = LevelArray.open(zarr.storage.StorePath(SlideStore(slide), "0"))
    assert isinstance(array, zarr.Array)
    expected = IMAGE[selection]
    got = np.asarray(array[selection])
    assert got.shape == expected.shape
    assert (got == expected).all()


def test_a_viewport_takes_no_way_round_through_the_event_loop(slide, monkeypatch):
    boxes = []
    real = slide.read_view

    def read(level, *box):
        boxes.append(box)
        return real(level, *box)

    levels = slide.pyramid()
    monkeypatch.setattr(SlideStore, "get", lambda *_: pytest.fail("chunk was asked"))
    monkeypatch.setattr(slide, "read_view", read)
    got = levels[0][100:600, 300:700].compute()
    assert (got == IMAGE[100:600, 300:700]).all()
    # Two by two chunks, and of each only what the viewport covers.
    assert sorted(boxes) == [
        (100, 300, 412, 212),
        (100, 512, 412, 188),
        (512, 300, 88, 212),
        (512, 512, 88, 188),
    ]


@pytest.mark.parametrize("rows", [8, 3])
def test_strips_become_square_chunks_and_are_decoded_once(tmp_path, rows):
    """The layout of NDPI and of plain TIFF writers: rows as wide as the slide."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (1100, 3840, 3), np.uint8)
    path = tmp_path / "strips.tif"
    tifffile.imwrite(
        path, image, rowsperstrip=rows, photometric="rgb", compression="zlib"
    )
    with open_slide(path) as strips:
        level = strips.pyramid()[0]
        assert level.chunks == ((512, 512, 76), (*(512,) * 7, 256), (3,))
        reads = count_segments(strips)
        view = level[300:812, 1000:2536].compute()
        assert (view == image[300:812, 1000:2536]).all()
        # Strips are decoded in bands of about 256 rows, these in the first four.
        assert reads
        assert set(reads.values()) == {1}
        assert max(reads) * rows < 1024
        assert (level.compute() == image).all()
        assert set(reads.values()) == {1}
        assert len(reads) == -(-1100 // rows)


def count_segments(slide):
    """Count how often each strip of level 0 is decoded."""
    reads = Counter()
    reader = slide._backend._readers[0]
    real = reader._read_segment

    def read(index):
        reads[index] += 1
        return real(index)

    reader._read_segment = read
    return reads


def test_a_damaged_tile_is_blank_in_every_level_and_all_else_is_there(tmp_path, caplog):
    image = draw_scene(2304, 2304)
    path = tmp_path / "damaged.svs"
    write_svs(path, image, tile=256, levels=1)
    with open_slide(path) as sound:
        expected = [level.compute() for level in sound.pyramid()]
    break_tile(path, 0, 9 * 2 + 3)
    with open_slide(path) as slide:
        assert slide.unreadable_tiles == ()
        levels = slide.pyramid()
        assert len(levels) == 2
        got = [level.compute() for level in levels]
        bad = np.zeros((2304, 2304), bool)
        bad[512:768, 768:1024] = True
        for index, step in ((0, 1), (1, 2)):
            here = bad[::step, ::step]
            assert (got[index][~here] == expected[index][~here]).all()
            assert got[index][here].min() >= 190
            assert got[index][here].mean() > 245
        assert {tuple(p) for p in np.unique(got[0][bad], axis=0)} == {
            (190, 190, 190),
            (255, 255, 255),
        }
        levels[0].compute()
        assert slide.unreadable_tiles == ((0, 2, 3),)
        told = slide.info()["unreadable_tiles"]
        assert told == [{"level": 0, "row": 2, "column": 3}]
        assert [r.message for r in caplog.records if "cannot be read" in r.message]
        warned = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert len(warned) == 1
        # The engine must not take blank pixels for tissue or glass.
        with pytest.raises(SlideReadError, match="row 2, column 3"):
            slide.read_region(0, 500, 700, 100, 100)
        with pytest.raises(SlideReadError, match="row 2, column 3"):
            slide.read_region(1, 300, 400, 10, 10)


def test_a_closed_slide_is_not_shown_as_damaged(slide):
    levels = slide.pyramid()
    slide.close()
    with pytest.raises(SlideReadError, match="closed"):
        levels[0][:10, :10].compute()
    assert slide.unreadable_tiles == ()
