"""Patch sources over slides of JPEG tiles."""

import numpy as np

from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.errors import DamagedTileError
from napari_mmsubtype.slides.patch_source import PatchSource


def source_over(slide, *, size_px=96, mpp=0.5, stride_px=None):
    """Patches over the whole slide, tissue or not."""
    grid = lay_grid(
        PatchSpec(size_px, mpp, stride_px or size_px, min_tissue=0.1),
        slide.levels[0].shape,
        slide.pixel_size,
        [level.downsample for level in slide.levels],
        np.ones((8, 8), np.bool_),
        storage_tile=slide.storage_tile,
    )
    return PatchSource(slide, grid)


def read_all(source):
    """Pixels as the CPU reads them, white where it cannot, and where it can."""
    side = source.grid.spec.size_px
    pixels = np.full((len(source), side, side, 3), 255, np.uint8)
    readable = np.ones(len(source), bool)
    for index in range(len(source)):
        try:
            pixels[index] = source.read(index)
        except DamagedTileError:
            readable[index] = False
    return pixels, readable
