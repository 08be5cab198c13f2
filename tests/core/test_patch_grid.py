import math
import tracemalloc
from dataclasses import replace

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


@pytest.mark.parametrize(
    "wrong", [{"mpp": math.inf}, {"mpp": math.nan}, {"min_tissue": 1.5}, {"size_px": 0}]
)
def test_refuses_patches_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=r"must be (positive|0 to 1)"):
        replace(PatchSpec(64, 0.5, 64), **wrong)


@pytest.mark.parametrize("name", ["step", "extent"])
@pytest.mark.parametrize("wrong", [0.0, math.inf, math.nan])
def test_refuses_a_grid_that_cannot_be(name, wrong):
    with pytest.raises(ValueError, match="step, extent and downsample must be pos"):
        replace(grid_of((256, 256), PatchSpec(64, 0.5, 64)), **{name: (1.0, wrong)})


def test_a_million_patches_take_no_python_loop():
    grid = grid_of((64_000, 64_000), PatchSpec(64, 0.5, 64))
    assert len(grid) == 1_000_000


def test_the_grid_is_the_same_however_many_positions_are_looked_at_together(
    monkeypatch,
):
    mask = np.random.default_rng(5).random((60, 41)) < 0.5
    spec = PatchSpec(50, 0.5, 37, min_tissue=0.45)

    def lay():
        return grid_of((700, 500), spec, mask, storage_tile=(128, 96))

    whole = lay()
    assert 20 < len(whole) < whole.positions
    for count in (1, 7, 64):
        monkeypatch.setattr("napari_mmsubtype.core.patch_grid._AT_ONCE", count)
        again = lay()
        for name in ("origin", "cell", "tissue"):
            expected = getattr(whole, name)
            np.testing.assert_array_equal(getattr(again, name), expected)
            assert getattr(again, name).dtype == expected.dtype


def test_a_mostly_empty_slide_costs_little_more_than_its_mask():
    mask = np.zeros((3200, 3200), bool)
    mask[100:110, 100:110] = True
    spec = PatchSpec(128, 0.5, 128, min_tissue=1e-6)
    tracemalloc.start()
    grid = lay_grid(spec, (100_000, 100_000), HALF, [1.0], mask)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert grid.positions == 782**2
    assert grid.tissue.sum() * 128**2 == pytest.approx(100 * 31.25**2, rel=1e-4)
    # The integral image takes 41 MB, and as much again while it is summed up.
    assert peak < 110e6


@st.composite
def slides_and_specs(draw):
    """A small slide of oblong pixels, and patches that are no whole pixels of it."""
    pixel = PixelSize(draw(st.floats(0.2, 0.8)), draw(st.floats(0.2, 0.8)))
    size = draw(st.integers(4, 24))
    mpp = draw(st.floats(0.3, 1.5))
    least = [int(size * mpp / side) + 1 for side in (pixel.y, pixel.x)]
    shape = tuple(draw(st.integers(low, low + 90)) for low in least)
    seed, share = draw(st.integers(0, 99)), draw(st.floats(0.0, 1.0))
    mask = np.random.default_rng(seed).random(shape) < share
    return pixel, PatchSpec(size, mpp, size, min_tissue=0.0), shape, mask


@settings(max_examples=150)
@given(slides_and_specs(), st.sampled_from(["cover", "inside"]))
def test_each_tissue_pixel_lies_in_exactly_one_patch(drawn, edge):
    pixel, spec, shape, mask = drawn
    grid = grid_of(shape, spec, mask, mpp=pixel, edge=edge)
    count = np.zeros(shape, int)
    corners = np.rint(grid.cell * grid.step).astype(int)
    ends = np.rint((grid.cell + 1) * grid.extent).astype(int)
    assert (grid.origin == corners).all()
    for (top, left), (bottom, right) in zip(corners, ends, strict=True):
        count[top:bottom, left:right] += 1
    reached = [
        side if edge == "cover" else round(number * extent)
        for side, number, extent in zip(shape, grid.shape, grid.extent, strict=True)
    ]
    inside = np.s_[: reached[0], : reached[1]]
    assert (count[inside][mask[inside]] == 1).all()
    assert count.max(initial=0) <= 1
    if edge == "inside":
        assert count.sum() == count[inside].sum()
        # What is left out is less than a patch wide.
        gaps = np.subtract(shape, reached)
        assert (gaps < np.add(grid.extent, 1)).all()


@settings(max_examples=100)
@given(slides_and_specs(), st.floats(1.01, 3.9))
def test_what_is_read_of_a_level_is_the_patch_to_within_a_pixel(drawn, downsample):
    pixel, spec, shape, mask = drawn
    grid = grid_of(shape, spec, mask, mpp=pixel, downsamples=(1.0, downsample))
    start = np.rint(grid.origin / grid.downsample)
    stop = start + grid.read_shape
    tolerance = 0.5 * grid.downsample + 0.5 + 1e-9
    low, high = grid.cell * grid.step, (grid.cell + 1) * grid.extent
    assert np.abs(start * grid.downsample - low).max(initial=0) <= tolerance
    more = 0.5 * grid.downsample
    assert np.abs(stop * grid.downsample - high).max(initial=0) <= tolerance + more
