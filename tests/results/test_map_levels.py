import tracemalloc

import numpy as np
import zarr

from builders.grids import small_grid
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.map_levels import write_levels
from napari_mmsubtype.results.overlay import Mosaic, halve, stitch


def fine_grid():
    """A map of one pixel per pixel of the slide, with a hole and no round size."""
    mask = np.ones((187, 325), bool)
    mask[64:140, 70:210] = False
    return small_grid(size=32, stride=32, shape=(1500, 2600), mask=mask)


def test_levels_written_part_by_part_are_those_of_the_whole_canvas():
    grid = fine_grid()
    cells = np.random.default_rng(0).normal(size=(len(grid), 2, 32, 32))
    cells = cells.astype(np.float32)
    root = zarr.open_group({}, mode="w")
    write_levels(root, Mosaic(grid, (32, 32)), cells.__getitem__, 2)
    # Again, as a resumed run does.
    write_levels(root, Mosaic(grid, (32, 32)), cells.__getitem__, 2)
    whole = stitch(grid, cells)
    assert whole.shape == (2, 1504, 2624)
    levels = root[schema.EVIDENCE_MAP]
    assert sorted(levels.array_keys()) == ["0", "1"]
    np.testing.assert_array_equal(levels["0"][...], whole)
    np.testing.assert_array_equal(levels["1"][...], halve(whole))
    assert levels["0"].chunks == (1, 512, 512)


def test_the_canvas_is_never_whole_in_memory():
    mask = np.zeros((1250, 1250), bool)
    # One patch here and there, over the whole slide.
    for row in range(0, 1250, 120):
        for col in range(0, 1250, 120):
            mask[row : row + 4, col : col + 4] = True
    grid = small_grid(size=32, stride=32, shape=(10_000, 10_000), mask=mask)
    assert len(grid) == 121
    root = zarr.open_group({}, mode="w")
    mosaic = Mosaic(grid, (32, 32))
    canvas_bytes = 4 * mosaic.shape[0] * mosaic.shape[1]

    def read(index):
        return np.ones((len(index), 1, 32, 32), np.float32)

    tracemalloc.start()
    write_levels(root, mosaic, read, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert canvas_bytes > 390e6
    assert peak < 60e6
    assert root[f"{schema.EVIDENCE_MAP}/0"][...].sum() == 121 * 32 * 32
