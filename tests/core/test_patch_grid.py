import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import SlideTooSmallError

HALF = PixelSize.square(0.5)


def grid_of(shape, spec, mask=None, mpp=HALF, downsamples=(1.0,), **more):
    mask = np.ones((shape[0] // 8, shape[1] // 8), bool) if mask is None else mask
    return lay_grid(spec, shape, mpp, downsamples, mask, **more)


@settings(max_examples=60)
@given(
    st.integers(64, 400),
    st.integers(64, 400),
    st.sampled_from([32, 48, 64]),
    st.sampled_from([0.25, 0.4, 0.5]),
)
def test_patches_without_overlap_cover_every_pixel_once(height, width, size, mpp):
    spec = PatchSpec(size, mpp, size, min_tissue=0.0)
    pixel = PixelSize.square(0.25)
    side = size * mpp / 0.25
    if side > min(height, width):
        return
    grid = grid_of((height, width), spec, mpp=pixel)
    rows, cols = grid.shape
    assert len(grid) == rows * cols == grid.positions
    assert (rows - 1) * side < height <= rows * side + 1e-6
    assert (cols - 1) * side < width <= cols * side + 1e-6
    assert len(np.unique(grid.cell, axis=0)) == len(grid)
    assert np.abs(grid.origin - grid.cell * side).max() <= 0.5


@settings(max_examples=60)
@given(
    st.integers(64, 400),
    st.integers(64, 400),
    st.sampled_from([32, 48, 64]),
    st.sampled_from([0.25, 0.4, 0.5]),
)
def test_patches_inside_are_all_that_lie_wholly_on_the_slide(h, w, size, mpp):
    spec = PatchSpec(size, mpp, size, min_tissue=0.0)
    pixel = PixelSize.square(0.25)
    side = size * mpp / 0.25
    if side > min(h, w):
        return
    inside = grid_of((h, w), spec, mpp=pixel, edge="inside")
    cover = grid_of((h, w), spec, mpp=pixel)
    assert inside.shape == (int(h / side + 1e-6), int(w / side + 1e-6))
    assert len(inside) == inside.positions
    whole = ((cover.cell + 1) * side <= np.array([h, w]) + 1e-3).all(axis=1)
    assert set(map(tuple, inside.cell)) == set(map(tuple, cover.cell[whole]))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(70, 300), st.integers(70, 300))
def test_every_tissue_pixel_lies_in_exactly_one_patch(seed, height, width):
    rng = np.random.default_rng(seed)
    mask = rng.random((-(-height // 8), -(-width // 8))) < 0.2
    spec = PatchSpec(32, 0.5, 32, min_tissue=0.0)
    grid = grid_of((height, width), spec, mask)
    times = np.zeros((height + 64, width + 64), int)
    for y, x in grid.origin:
        times[y : y + 32, x : x + 32] += 1
    times = times[:height, :width]
    rows = np.arange(height) * mask.shape[0] // height
    cols = np.arange(width) * mask.shape[1] // width
    assert (times[mask[np.ix_(rows, cols)]] == 1).all()
    assert times.max(initial=0) <= 1


def test_an_unknown_edge_is_refused():
    with pytest.raises(ValueError, match="cover, inside"):
        grid_of((256, 256), PatchSpec(64, 0.5, 64), edge="wrap")


def test_tissue_fraction_is_the_exact_area_mean():
    mask = np.zeros((16, 16), bool)
    mask[:, :5] = True  # 5 of 16 columns: 80 of 256 px
    grid = grid_of((256, 256), PatchSpec(64, 0.5, 64, min_tissue=0.01), mask)
    assert {
        tuple(c): f for c, f in zip(grid.cell.tolist(), grid.tissue, strict=True)
    } == (
        pytest.approx({(r, c): f for r in range(4) for c, f in ((0, 1.0), (1, 0.25))})
    )


def test_tissue_fraction_agrees_with_counting_pixels():
    rng = np.random.default_rng(3)
    mask = rng.random((50, 70)) < 0.5
    shape = (400, 560)
    grid = grid_of(shape, PatchSpec(48, 0.5, 32, min_tissue=0.05), mask)
    full = mask.repeat(8, axis=0).repeat(8, axis=1)
    for origin, fraction in zip(grid.origin, grid.tissue, strict=True):
        y, x = origin
        counted = full[y : y + 48, x : x + 48].sum() / 48**2
        assert fraction == pytest.approx(counted, abs=1e-6)


def test_beyond_the_slide_counts_as_no_tissue():
    grid = grid_of((96, 96), PatchSpec(64, 0.5, 64, min_tissue=0.01))
    assert sorted(grid.tissue.tolist()) == pytest.approx([0.25, 0.5, 0.5, 1.0])


def test_reading_order_finishes_one_storage_tile_before_the_next():
    grid = grid_of((512, 512), PatchSpec(64, 0.5, 64), storage_tile=(256, 256))
    tile = (grid.origin // 256) @ np.array([2, 1])
    assert (np.diff(tile) >= 0).all()


@pytest.mark.parametrize(
    ("mpp", "level"), [(0.25, 0), (0.5, 0), (0.96, 1), (1.0, 1), (1.9, 1), (2.0, 2)]
)
def test_reads_the_coarsest_level_that_is_fine_enough(mpp, level):
    grid = grid_of((4000, 4000), PatchSpec(64, mpp, 64), downsamples=(1.0, 2.0, 4.0))
    assert grid.level == level
    assert grid.read_shape[0] == round(64 * mpp / 0.5 / (1, 2, 4)[level])


def test_anisotropic_pixels_give_oblong_patches_in_pixels():
    grid = grid_of((512, 512), PatchSpec(64, 0.5, 64), mpp=PixelSize(0.25, 0.5))
    assert grid.extent == (128, 64)


def test_refuses_a_slide_smaller_than_one_patch():
    with pytest.raises(SlideTooSmallError, match="40 x 512 px"):
        grid_of((40, 512), PatchSpec(64, 0.5, 64))


def test_refuses_a_stride_that_skips_tissue():
    with pytest.raises(ValueError, match="skip tissue"):
        PatchSpec(64, 0.5, 65)


def test_a_million_patches_take_no_python_loop():
    grid = grid_of((64_000, 64_000), PatchSpec(64, 0.5, 64))
    assert len(grid) == 1_000_000
