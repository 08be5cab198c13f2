import asyncio
import threading

import numpy as np
import pytest
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from builders.slides import draw_scene, write_pyramid_tiff
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.slide_store import SlideStore

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
    monkeypatch.setattr(slide, "read_region", lambda *_: pytest.fail("decoded"))
    slide.pyramid()


def test_blocking_reads_leave_the_event_loop_free(slide, monkeypatch):
    threads = set()
    real = slide.read_region

    def read(*box):
        threads.add(threading.get_ident())
        return real(*box)

    monkeypatch.setattr(slide, "read_region", read)

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
