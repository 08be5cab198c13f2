import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.grids import small_grid
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.results.overlay import (
    Mosaic,
    cell_size,
    halve,
    level_shapes,
    stitch,
)


def random_cells(grid, rng, classes=2, cells=(4, 4)):
    return rng.normal(size=(len(grid), classes, *cells)).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([64, 48, 32, 24]), st.integers(0, 5))
def test_sum_mode_keeps_the_total_at_every_overlap(stride, seed):
    grid = small_grid(stride=stride)
    cells = random_cells(grid, np.random.default_rng(seed))
    canvas = stitch(grid, cells)
    np.testing.assert_allclose(
        canvas.sum(axis=(1, 2)), cells.sum(axis=(0, 2, 3)), rtol=1e-4, atol=1e-3
    )


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([64, 48, 32]), st.floats(-5, 5))
def test_mean_mode_gives_back_a_constant(stride, value):
    grid = small_grid(stride=stride)
    canvas = stitch(grid, np.full((len(grid), 1, 4, 4), value, np.float32), mode="mean")
    np.testing.assert_allclose(canvas, value, atol=1e-5)


def test_constant_evidence_without_overlap_stays_constant():
    grid = small_grid()
    canvas = stitch(grid, np.full((len(grid), 1, 4, 4), 3.0, np.float32))
    np.testing.assert_array_equal(canvas, 3.0)


def test_cells_land_where_their_patch_lies():
    grid = small_grid(shape=(128, 192))
    values = np.arange(len(grid), dtype=np.float32)
    cells = np.broadcast_to(values[:, None, None, None], (len(grid), 1, 2, 2))
    canvas = stitch(grid, cells)[0]
    for index, (row, col) in enumerate(grid.cell):
        assert (canvas[2 * row : 2 * row + 2, 2 * col : 2 * col + 2] == index).all()


def test_no_seams_a_smooth_field_is_as_steep_across_borders_as_inside():
    grid = small_grid(shape=(512, 512), size=64)
    y, x = np.mgrid[0:8, 0:8]
    cells = np.empty((len(grid), 1, 8, 8), np.float32)
    for index, (row, col) in enumerate(grid.cell):
        cells[index, 0] = np.sin((row * 8 + y) / 9) + np.cos((col * 8 + x) / 7)
    steps = np.abs(np.diff(stitch(grid, cells)[0], axis=1))
    at_border = np.arange(steps.shape[1]) % 8 == 7
    ratio = steps[:, at_border].mean() / steps[:, ~at_border].mean()
    assert ratio == pytest.approx(1, abs=0.1)


def test_where_no_patch_lies_the_map_is_zero():
    mask = np.zeros((32, 40), bool)
    mask[:8, :8] = True
    grid = small_grid(mask=mask)
    canvas = stitch(grid, np.ones((len(grid), 1, 4, 4), np.float32))
    assert canvas.sum() == 16
    assert (canvas[0, :4, :4] == 1).all()


def test_map_pixels_divide_cells_and_stride():
    assert cell_size(PatchSpec(224, 0.5, 112), (7, 7)) == (16, 16)
    assert cell_size(PatchSpec(128, 0.5, 128), (8, 8)) == (16, 16)
    assert cell_size(PatchSpec(224, 0.5, 224), (13, 13)) == (16, 16)


def test_cells_that_do_not_divide_the_patch_keep_totals_and_constants():
    grid = small_grid(size=64)
    cells = random_cells(grid, np.random.default_rng(0), cells=(3, 5))
    np.testing.assert_allclose(
        stitch(grid, cells).sum(axis=(1, 2)), cells.sum(axis=(0, 2, 3)), rtol=1e-4
    )
    constant = stitch(grid, np.full_like(cells, 2.5), mode="mean")
    np.testing.assert_allclose(constant, 2.5, rtol=1e-5)


def naive_sum(grid, cells, unit):
    """Add every cell to the pixels it covers, one by one."""
    patch, stride = grid.spec.size_px // unit, grid.spec.stride_px // unit
    rows, cols = ((n - 1) * stride + patch for n in grid.shape)
    canvas = np.zeros((cells.shape[1], rows, cols))
    repeat = patch // cells.shape[2]
    for (row, col), values in zip(grid.cell * stride, cells, strict=True):
        for y, x in np.ndindex(patch, patch):
            share = values[:, y // repeat, x // repeat] / repeat**2
            canvas[:, row + y, col + x] += share
    return canvas


def test_the_canvas_is_what_adding_cell_by_cell_gives():
    grid = small_grid(stride=64)
    cells = random_cells(grid, np.random.default_rng(3))
    np.testing.assert_allclose(
        stitch(grid, cells), naive_sum(grid, cells, 16), rtol=1e-5, atol=1e-6
    )


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([64, 48, 24]),
    st.sampled_from(["sum", "mean"]),
    st.sampled_from([(4, 4), (3, 5)]),
    st.lists(st.integers(0, 100), min_size=4, max_size=4),
)
def test_any_part_of_the_canvas_is_cut_out_of_the_whole(stride, mode, shape, corners):
    grid = small_grid(stride=stride)
    cells = random_cells(grid, np.random.default_rng(1), cells=shape)
    whole = stitch(grid, cells, mode=mode)
    mosaic = Mosaic(grid, shape, mode=mode)
    assert mosaic.shape == whole.shape[1:]
    top, bottom = sorted(min(value, mosaic.shape[0]) for value in corners[:2])
    left, right = sorted(min(value, mosaic.shape[1]) for value in corners[2:])
    asked = []

    def read(index):
        asked.append(index)
        return cells[index]

    part = mosaic.draw(top, left, bottom, right, read, 2)
    np.testing.assert_array_equal(part, whole[:, top:bottom, left:right])
    # Nothing was read that lies elsewhere.
    for index in asked:
        np.testing.assert_array_equal(
            index, mosaic.patches_in(top, left, bottom, right)
        )
        assert (np.diff(index) > 0).all()


def test_a_canvas_is_averaged_until_it_fits_a_screen():
    assert level_shapes((100, 4100)) == [(100, 4100), (50, 2050), (25, 1025)]
    assert level_shapes((7, 2049)) == [(7, 2049), (4, 1025)]


def test_halving_averages_two_by_two_and_pads_odd_edges_with_zero():
    canvas = np.random.default_rng(0).normal(size=(2, 5, 7)).astype(np.float32)
    half = halve(canvas)
    assert half.shape == (2, 3, 4)
    np.testing.assert_allclose(
        half[:, 1, 2], canvas[:, 2:4, 4:6].mean(axis=(1, 2)), rtol=1e-5
    )
    np.testing.assert_allclose(half[:, 2, 3], canvas[:, 4, 6] / 4, rtol=1e-6)
    np.testing.assert_allclose(4 * half.sum(), canvas.sum(), rtol=1e-5)


def test_refuses_an_unknown_mode():
    grid = small_grid()
    with pytest.raises(ValueError, match="'max'"):
        stitch(grid, np.ones((len(grid), 1, 4, 4), np.float32), mode="max")


def seam_metric(canvas, period):
    """Slope where a patch begins or ends, over the slope elsewhere."""
    steps = np.abs(np.diff(canvas, axis=1))[period:-period, period:-period]
    at_border = np.arange(period, period + steps.shape[1]) % period == period - 1
    return steps[:, at_border].mean() / steps[:, ~at_border].mean()


def laid_without_blending(grid, cells, side):
    canvas = np.zeros([(n - 1) * side // 2 + side for n in grid.shape])
    for (row, col), block in zip(grid.cell * side // 2, cells[:, 0], strict=True):
        canvas[row : row + side, col : col + side] += block
    return canvas


def test_overlapping_patches_that_disagree_leave_no_seams():
    grid = small_grid(shape=(640, 640), size=64, stride=32)
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:16, 0:16]
    cells = np.empty((len(grid), 1, 16, 16), np.float32)
    for index, (row, col) in enumerate(grid.cell):
        field = np.sin((row * 8 + y) / 9) + np.cos((col * 8 + x) / 7)
        cells[index, 0] = field + rng.normal(0, 0.5)
    assert seam_metric(laid_without_blending(grid, cells, 16), 8) > 2
    for mode in ("sum", "mean"):
        assert seam_metric(stitch(grid, cells, mode=mode)[0], 8) == pytest.approx(
            1, abs=0.2
        )


def test_equal_evidence_at_half_overlap_is_level_where_patches_surround_it():
    grid = small_grid(shape=(512, 512), size=64, stride=32)
    canvas = stitch(grid, np.full((len(grid), 1, 8, 8), 2.0, np.float32))[0]
    inside = canvas[16:-16, 16:-16]
    # Four patches lie over each pixel: their values add up there.
    np.testing.assert_allclose(inside, 8.0, rtol=2e-3)
    assert canvas.sum(dtype=np.float64) == pytest.approx(len(grid) * 128, rel=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([48, 32, 24]), st.integers(0, 9))
def test_patches_left_out_count_for_nothing_and_the_rest_adds_up(stride, seed):
    rng = np.random.default_rng(seed)
    grid = small_grid(stride=stride)
    cells = random_cells(grid, rng)
    used = rng.random(len(grid)) < 0.7
    canvas = stitch(grid, cells, used=used)
    np.testing.assert_allclose(
        canvas.sum(axis=(1, 2)), cells[used].sum(axis=(0, 2, 3)), rtol=1e-4, atol=1e-3
    )
    level = stitch(grid, np.ones_like(cells), used=used, mode="mean")
    assert set(np.unique(level.round(5)).tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("stride", [64, 32, 24])
def test_patches_placed_one_by_one_make_the_same_map(stride):
    rng = np.random.default_rng(stride)
    grid = small_grid(stride=stride)
    cells = random_cells(grid, rng)
    used = rng.random(len(grid)) < 0.8
    mosaic = Mosaic(grid, (4, 4), used=used)
    canvas = np.zeros((2, *mosaic.shape), np.float32)
    order = rng.permutation(np.flatnonzero(used))
    for part in np.array_split(order, 3):
        mosaic.place(canvas, part, cells[part])
    np.testing.assert_allclose(canvas, stitch(grid, cells, used=used), atol=1e-5)


@pytest.mark.parametrize("stride", [64, 32, 24])
@pytest.mark.parametrize("join", [2, 3, 7])
def test_joined_pixels_are_the_sums_of_squares(stride, join):
    rng = np.random.default_rng(stride)
    grid = small_grid(stride=stride)
    cells = random_cells(grid, rng)
    mosaic = Mosaic(grid, (4, 4))
    canvas = np.zeros((2, *mosaic.joined_shape(join)), np.float32)
    order = rng.permutation(len(grid))
    mosaic.place(canvas, order, cells[order], join=join)
    whole = stitch(grid, cells)
    expected = [
        [
            [
                plane[y : y + join, x : x + join].sum()
                for x in range(0, plane.shape[1], join)
            ]
            for y in range(0, plane.shape[0], join)
        ]
        for plane in whole
    ]
    np.testing.assert_allclose(canvas, expected, atol=1e-5)
