import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from builders.slides import (
    break_tile,
    draw_scene,
    write_deepzoom,
    write_ome_zarr,
    write_pyramid_tiff,
)
from napari_mmsubtype.errors import SlideReadError
from napari_mmsubtype.slides import overview_cache as module
from napari_mmsubtype.slides.backend import Level
from napari_mmsubtype.slides.cache_folder import FOLDER_VARIABLE, LIMIT_VARIABLE
from napari_mmsubtype.slides.overview_cache import OverviewCache
from napari_mmsubtype.slides.registry import open_slide

LEVELS = (Level((4096, 4096), 1.0), Level((1024, 1024), 4.0))
PLACE = (1, 0, 1)


@pytest.fixture
def top(monkeypatch, tmp_path):
    """A cache of its own, in which files count as old the moment they are written."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(module, "SETTLED_NS", -(10**12))
    module._store.reset()
    yield tmp_path / "cache" / "overviews"
    module._store.reset()


@pytest.fixture
def slide_file(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"pixels")
    return path


@pytest.fixture(scope="module")
def giant(tmp_path_factory):
    """A slide of one level that is large enough to get a computed one."""
    path = tmp_path_factory.mktemp("giant") / "g.tif"
    write_pyramid_tiff(
        path, np.tile(draw_scene(), (3, 3, 1)), levels=1, compression="deflate"
    )
    return path


def noise(height=512, width=512, seed=0):
    shape = (height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def refuse():
    pytest.fail("the tile should have come from disk")


def get(path, tile, compute=None, *, levels=LEVELS, is_srgb=False, backend="tifffile"):
    cache = OverviewCache(str(path), backend, levels, is_srgb=is_srgb)
    return cache.get(PLACE, tile.shape[:2], compute or (lambda: tile))


def tiles_of(top):
    return sorted(top.rglob("*.tile"))


@pytest.mark.parametrize("shape", [(512, 512), (1, 1), (27, 241)])
def test_a_tile_comes_back_as_it_was(top, slide_file, shape):
    tile = noise(*shape)
    assert (get(slide_file, tile) == tile).all()
    found = get(slide_file, tile, refuse)
    assert found.dtype == np.uint8
    assert (found == tile).all()


def test_the_second_opening_of_a_slide_decodes_nothing(top, giant, monkeypatch):
    with open_slide(giant) as slide:
        shape = slide.levels[1].shape
        first = slide.read_region(1, 0, 0, *shape)
    assert len(tiles_of(top)) == -(-shape[0] // 512) * -(-shape[1] // 512)
    with open_slide(giant) as slide:
        monkeypatch.setattr(slide._backend, "read_tile", lambda *_: refuse())
        assert (slide.read_region(1, 0, 0, *shape) == first).all()


def test_a_slide_whose_levels_suffice_leaves_nothing(top, tmp_path):
    write_pyramid_tiff(tmp_path / "p.tif", draw_scene())
    with open_slide(tmp_path / "p.tif") as slide:
        slide.read_region(2, 0, 0, 100, 100)
    assert not top.exists()


def test_every_part_of_the_key_counts(top, slide_file, tmp_path):
    tile = noise()
    other = (*LEVELS[:1], Level((1023, 1024), 4.0))
    get(slide_file, tile)
    get(slide_file, tile, is_srgb=True)
    get(slide_file, tile, backend="openslide")
    get(slide_file, tile, levels=other)
    copy = tmp_path / "b.tif"
    copy.write_bytes(slide_file.read_bytes())
    get(copy, tile)
    os.utime(slide_file, (1, 1))
    get(slide_file, tile)
    slide_file.write_bytes(b"longer pixels")
    os.utime(slide_file, (1, 1))
    get(slide_file, tile)
    assert len(tiles_of(top)) == 7


def test_a_link_to_a_slide_shares_its_tiles(top, slide_file, tmp_path):
    link = tmp_path / "link.tif"
    try:
        link.symlink_to(slide_file)
    except OSError as err:
        pytest.skip(f"no symbolic links here: {err}")
    tile = noise()
    get(slide_file, tile)
    assert (get(link, tile, refuse) == tile).all()


def test_what_changed_after_opening_is_not_kept(top, slide_file, monkeypatch):
    monkeypatch.setattr(module, "SETTLED_NS", 0)
    cache = OverviewCache(str(slide_file), "tifffile", LEVELS, is_srgb=False)
    slide_file.write_bytes(b"new pixels")
    os.utime(slide_file, (1, 1))
    cache.get(PLACE, (512, 512), noise)
    assert tiles_of(top) == []


def test_a_slide_that_is_no_file_is_not_kept(top, tmp_path):
    for path in ("http://localhost/a.zarr", "synthetic:seed=1", tmp_path / "gone"):
        assert (get(path, noise()) == noise()).all()
    assert not top.exists()


def test_all_files_of_a_folder_count(top, tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", draw_scene(64, 64), levels=1)
    write_deepzoom(tmp_path / "d.dzi", draw_scene(64, 64))
    for name in ("one.dcm", "two.dcm"):
        (tmp_path / name).write_bytes(b"DICM")
    tile = noise()
    for path, part in (
        (tmp_path / "a.zarr", next((tmp_path / "a.zarr" / "0").glob("0*"))),
        (tmp_path / "d.dzi", tmp_path / "d_files" / "6" / "0_0.png"),
        (tmp_path / "one.dcm", tmp_path / "two.dcm"),
    ):
        get(path, tile)
        get(path, tile, refuse)
        os.utime(part, (1, 1))
        fresh = noise(seed=1)
        assert (get(path, fresh) == fresh).all(), path


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"x" + data[1:],
        lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        lambda data: data[:20] + bytes([data[20] ^ 255]) + data[21:],
    ],
)
def test_a_damaged_tile_is_computed_again_and_replaced(top, slide_file, damage, caplog):
    tile = noise()
    get(slide_file, tile)
    (file,) = tiles_of(top)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with caplog.at_level(logging.WARNING):
        assert (get(slide_file, tile) == tile).all()
    assert "computed again" in caplog.text
    assert file.read_bytes() == whole


def test_a_tile_over_an_unreadable_one_is_never_kept(top, giant, tmp_path):
    path = tmp_path / "broken.tif"
    path.write_bytes(giant.read_bytes())
    break_tile(path, 0, 0)
    with open_slide(path) as slide:
        with pytest.raises(SlideReadError):
            slide.read_region(1, 0, 0, 10, 10)
        slide.read_region(1, 600, 600, 10, 10)
    assert [file.name for file in tiles_of(top)] == ["1_1_1.tile"]


def test_zero_turns_it_off(top, slide_file, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    get(slide_file, noise())
    assert not top.exists()


def test_a_folder_that_cannot_be_written_costs_the_cache_only(
    top, slide_file, monkeypatch
):
    monkeypatch.setattr(module, "cache_folder", lambda: None)
    assert (get(slide_file, noise()) == noise()).all()
    monkeypatch.setattr(module, "cache_folder", lambda: slide_file)
    assert (get(slide_file, noise()) == noise()).all()


def test_a_disk_that_fills_up_costs_the_cache_only(
    top, slide_file, monkeypatch, caplog
):
    write = module.Path.write_bytes

    def fail(path, data):
        if path.suffix == ".draft":
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(module.Path, "write_bytes", fail)
    with caplog.at_level(logging.WARNING):
        assert (get(slide_file, noise()) == noise()).all()
    assert "No space left" in caplog.text


def test_slides_used_longest_ago_make_room(top, tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "3")  # noise packs to 0.75 MiB a tile
    kept = {}
    for index in range(3):
        path = tmp_path / f"{index}.tif"
        path.write_bytes(b"1")
        get(path, noise())
        (kept[index],) = set(top.iterdir()) - set(kept.values())
        os.utime(kept[index], (index, index))
    get(tmp_path / "0.tif", noise(), refuse)  # now 1 is the oldest
    path = tmp_path / "3.tif"
    path.write_bytes(b"1")
    get(path, noise())
    assert {folder.name for folder in kept.values() if folder.exists()} == {
        kept[0].name,
        kept[2].name,
    }
    assert sum(file.stat().st_size for file in tiles_of(top)) <= 3 * 1024**2


def test_a_slide_larger_than_the_limit_is_kept_in_part(
    top, slide_file, monkeypatch, caplog
):
    monkeypatch.setenv(LIMIT_VARIABLE, "2")
    cache = OverviewCache(str(slide_file), "tifffile", LEVELS, is_srgb=False)
    with caplog.at_level(logging.WARNING):
        for col in range(6):
            cache.get((1, 0, col), (512, 512), noise)
    assert len(tiles_of(top)) == 2
    assert caplog.text.count("is full (2 MiB)") == 1


def test_threads_share_a_slide(top, slide_file):
    tiles = [noise(seed=seed) for seed in range(4)]
    cache = OverviewCache(str(slide_file), "tifffile", LEVELS, is_srgb=False)

    def read(index):
        tile = tiles[index % 4]
        return cache.get((1, 0, index % 4), (512, 512), lambda: tile)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read, range(64)))
    assert all((tile == tiles[i % 4]).all() for i, tile in enumerate(found))
    assert len(tiles_of(top)) == 4
    assert list(top.rglob("*.draft")) == []


def test_processes_share_a_slide(top, giant):
    script = (
        "import sys, zlib\n"
        "from napari_mmsubtype.slides import overview_cache\n"
        "overview_cache.SETTLED_NS = -10**12\n"
        "from napari_mmsubtype.slides.registry import open_slide\n"
        "with open_slide(sys.argv[1]) as s:\n"
        "    print(zlib.crc32(s.read_region(1, 0, 0, *s.levels[1].shape)))\n"
    )
    command = [sys.executable, "-c", script, str(giant)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    said = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(said) == 1
    assert list(top.rglob("*.draft")) == []
