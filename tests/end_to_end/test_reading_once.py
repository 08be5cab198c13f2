"""The engine's reader decodes every stored tile it needs, once, and no other."""

from collections import Counter

import numpy as np
import pytest

from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.inference.stream import read_batches
from napari_mmsubtype.slides.backend import Level
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.slide import Slide


class CountingBackend:
    """A slide of one level whose tiles all look the same, and are counted."""

    name = vendor = compression = "counting"
    mpp_source = MppSource.VENDOR
    pixel_size = PixelSize.square(0.5)
    icc_profile = None
    associated_names = ()

    def __init__(self, shape, tile):
        self.properties = {}
        self.levels = (Level(shape, 1.0),)
        self.tile_shapes = ((tile, tile),)
        self.reads = Counter()
        self._pixels = np.zeros((tile, tile, 3), np.uint8)

    def read_tile(self, level, row, col):
        self.reads[row, col] += 1
        return self._pixels

    def close(self):
        pass


def tiles_under(grid, tile):
    """Name every tile that some patch touches, by plain arithmetic."""
    height, width = grid.read_shape
    found = set()
    for y, x in grid.origin:
        rows = range(y // tile, (y + height - 1) // tile + 1)
        cols = range(x // tile, (x + width - 1) // tile + 1)
        found.update((row, col) for row in rows for col in cols)
    return found


@pytest.mark.parametrize(
    ("shape", "tile", "mpp", "stride"),
    [
        # As wide as slides are: two rows of blocks of tiles exceed the memory.
        pytest.param((4480, 89_600), 256, 0.5, 224, id="wide"),
        pytest.param((4096, 4096), 240, 0.5, 112, id="overlapping"),
        pytest.param((4096, 4096), 1024, 0.6, 224, id="large tiles, resized"),
    ],
)
def test_each_tile_is_decoded_once_and_none_without_tissue(shape, tile, mpp, stride):
    backend = CountingBackend(shape, tile)
    mask = np.ones((shape[0] // 64, shape[1] // 64), bool)
    mask[:, mask.shape[1] // 2 :: 3] = False
    mask[:20, :20] = False
    with Slide(backend, path="counted") as slide:
        grid = lay_grid(
            PatchSpec(224, mpp, stride),
            shape,
            slide.require_pixel_size(),
            [1.0],
            mask,
            storage_tile=slide.storage_tile,
            edge="inside",
        )
        batches = [range(i, min(i + 64, len(grid))) for i in range(0, len(grid), 64)]
        source = PatchSource(slide, grid)
        seen = sum(len(b.pixels) for b in read_batches(source, batches, 224, workers=4))
    assert seen == len(grid)
    assert set(backend.reads) == tiles_under(grid, tile)
    assert set(backend.reads.values()) == {1}
    assert (0, 0) not in backend.reads
