from functools import partial

import numpy as np
import pytest

from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.inference.region_patches import patches_within
from napari_mmsubtype.slides.regions import Region

SHAPE = (1024, 1280)
PIXEL = PixelSize(0.5, 0.5)
SPEC = PatchSpec(128, 0.5, 128, 0.5)


def box(y0, y1, x0, x1, name=""):
    return Region([(y0, x0), (y0, x1), (y1, x1), (y1, x0)], name=name)


@pytest.fixture
def select():
    def run(regions, tissue=None, spec=SPEC):
        mask = np.ones((64, 80), bool) if tissue is None else tissue
        lay = partial(lay_grid, spec, SHAPE, PIXEL, [1.0])
        return patches_within(regions, mask, SHAPE, PIXEL, lay)

    return run


def test_large_regions_are_restricted_and_nothing_is_said(select):
    mask, grid, warnings = select([box(0, 512, 0, 640)])
    assert warnings == ()
    assert mask.sum() == 32 * 40
    assert sorted(map(tuple, grid.cell)) == [(r, c) for r in range(4) for c in range(5)]


@pytest.mark.parametrize("side", [0.01, 1, 7, 30, 80])
@pytest.mark.parametrize("at", [(300, 300), (255.9, 256.1), (20, 1270)])
def test_a_small_region_gets_the_patch_about_its_middle(select, side, at):
    y, x = at
    small = box(y - side / 2, y + side / 2, x - side / 2, x + side / 2, "Tumor")
    _, grid, (warning,) = select([small])
    assert grid.cell.tolist() == [[int(y // 128), int(x // 128)]]
    assert grid.tissue[0] == 1
    assert "'Tumor'" in warning
    assert "was taken" in warning


def test_any_tissue_at_all_is_enough_where_that_is_asked(select):
    rng = np.random.default_rng(0)
    spec = PatchSpec(100, 0.77, 50, 0.0)
    for _ in range(20):
        tissue = np.zeros((613, 787), bool)
        y, x = rng.integers(100, 400, 2)
        tissue[y : y + 90, x : x + 200] = True
        large = box(
            *np.sort(rng.uniform(0, 1024, 2)), *np.sort(rng.uniform(0, 1280, 2))
        )
        small = box(1000.2, 1000.9, 1270.1, 1270.3)
        _, grid, warnings = select([large, small], tissue, spec)
        assert (grid.tissue > 0).all()
        assert len(warnings) >= 1


def test_small_regions_join_large_ones_in_reading_order(select):
    large, small = box(512, 1024, 0, 640), box(100, 110, 1100, 1110)
    alone = select([large])[1]
    mask, grid, warnings = select([large, small])
    assert len(warnings) == 1
    assert len(grid) == len(alone) + 1
    assert {(0, 8), *map(tuple, alone.cell)} == set(map(tuple, grid.cell))
    whole = lay_grid(SPEC, SHAPE, PIXEL, [1.0], np.ones((64, 80), bool))
    order = {tuple(cell): i for i, cell in enumerate(whole.cell)}
    places = [order[tuple(cell)] for cell in grid.cell]
    assert places == sorted(places)
    assert mask.any()


def test_the_share_of_tissue_stays_that_within_the_regions(select):
    # Three quarters of each patch of the first column.
    _, grid, _ = select([box(0, 1024, 0, 96), box(500, 503, 900, 903)])
    first = grid.cell[:, 1] == 0
    assert grid.tissue[first] == pytest.approx(0.75)
    assert grid.tissue[~first] == pytest.approx([1.0])


def test_a_small_region_inside_a_patch_taken_anyway_needs_no_word(select):
    _, grid, warnings = select([box(0, 512, 0, 640), box(60, 62, 60, 62)])
    assert warnings == ()
    assert len(grid) == 20


def test_a_small_region_off_tissue_is_told_and_gets_nothing(select):
    tissue = np.ones((64, 80), bool)
    tissue[:, 40:] = False
    _, grid, (warning,) = select([box(300, 305, 1000, 1005)], tissue)
    assert len(grid) == 0
    assert "got no patch" in warning


def test_a_small_region_within_an_excluded_one_stays_out(select):
    regions = [
        box(300, 305, 300, 305),
        box(200, 420, 200, 420, "Ignore*"),
        box(512, 1024, 0, 640),
    ]
    _, grid, (warning,) = select(regions)
    assert (2, 2) not in set(map(tuple, grid.cell))
    assert "got no patch" in warning


def test_with_overlap_the_nearest_patch_is_taken(select):
    _, grid, _ = select([box(200, 202, 200, 202)], spec=PatchSpec(128, 0.5, 32, 0.5))
    (origin,) = grid.origin
    assert (np.abs(origin + 64 - 201) <= 16).all()


def test_regions_off_the_slide_are_refused(select):
    with pytest.raises(ConfigurationError, match="outside the slide"):
        select([box(5000, 5100, 0, 100)])
