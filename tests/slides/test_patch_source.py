import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from builders.slides import break_tile, draw_scene, write_pyramid_tiff, write_svs
from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import SlideReadError
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene()


def grid_over(slide, *, size_px=64, mpp=0.5):
    return lay_grid(
        PatchSpec(size_px, mpp, size_px, min_tissue=0.1),
        slide.levels[0].shape,
        slide.pixel_size,
        [level.downsample for level in slide.levels],
        np.ones((8, 8), np.bool_),
        storage_tile=slide.storage_tile,
    )


@pytest.fixture
def slide(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE, mpp=0.5, compression="deflate")
    with open_slide(tmp_path / "a.tif") as opened:
        yield opened


def test_patches_at_the_slides_own_size_are_its_pixels(slide):
    grid = grid_over(slide)
    source = PatchSource(slide, grid)
    assert len(source) == len(grid) == 12 * 16
    for index in (0, 17, len(grid) - 1):
        y, x = grid.origin[index]
        assert (source.read(index) == IMAGE[y : y + 64, x : x + 64]).all()


def test_a_coarser_level_is_read_where_one_fits(slide):
    grid = grid_over(slide, mpp=1.0)
    assert grid.level == 1
    y, x = grid.origin[20] // 2
    expected = slide.read_region(1, y, x, 64, 64)
    assert (PatchSource(slide, grid).read(20) == expected).all()


def test_between_levels_pixels_are_area_means(slide):
    grid = grid_over(slide, mpp=0.75)
    assert grid.level == 0
    assert grid.read_shape == (96, 96)
    y, x = grid.origin[5]
    box = IMAGE[y : y + 96, x : x + 96].astype(float)
    patch = PatchSource(slide, grid).read(5)
    assert patch.shape == (64, 64, 3)
    assert patch.mean() == pytest.approx(box.mean(), abs=0.3)
    # Two new pixels cover exactly three old ones.
    pairs = patch.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    blocks = box.reshape(32, 3, 32, 3, 3).mean(axis=(1, 3))
    assert np.abs(pairs - blocks).max() <= 0.51


def test_a_patch_over_the_border_is_white_outside(slide):
    grid = grid_over(slide, size_px=100)
    outside = grid.origin[:, 0] + 100 > 768
    index = int(np.flatnonzero(outside)[0])
    inside = 768 - int(grid.origin[index, 0])
    patch = PatchSource(slide, grid).read(index)
    assert (patch[inside:] == 255).all()
    assert not (patch[:inside] == 255).all()


def test_threads_read_the_same_patches(slide):
    grid = grid_over(slide, mpp=0.75)
    alone = [PatchSource(slide, grid).read(i) for i in range(len(grid))]
    with open_slide(slide.path) as fresh, ThreadPoolExecutor(4) as pool:
        source = PatchSource(fresh, grid)
        together = list(pool.map(source.read, range(len(grid))))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_reading_in_order_decodes_each_tile_once(slide, monkeypatch):
    reads = []
    real = slide._backend.read_tile
    monkeypatch.setattr(
        slide._backend, "read_tile", lambda *at: reads.append(at) or real(*at)
    )
    source = PatchSource(slide, grid_over(slide, size_px=100))
    for index in range(len(source)):
        source.read(index)
    assert len(reads) == len(set(reads)) == 48


def test_a_damaged_tile_loses_only_its_patches(tmp_path):
    write_svs(tmp_path / "b.svs", IMAGE)
    break_tile(tmp_path / "b.svs", 0, 0)
    with open_slide(tmp_path / "b.svs") as slide:
        assert slide.pixel_size == PixelSize.square(0.5)
        grid = grid_over(slide, size_px=128)
        source = PatchSource(slide, grid)
        failed = []
        for index in range(len(source)):
            try:
                source.read(index)
            except SlideReadError:
                failed.append(tuple(grid.cell[index]))
    assert failed == [(0, 0)]


def test_a_source_survives_pickling(slide):
    source = PatchSource(slide, grid_over(slide))
    copy = pickle.loads(pickle.dumps(source))
    assert (copy.read(7) == source.read(7)).all()
    copy._slide.close()
