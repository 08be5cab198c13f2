"""Small patch grids."""

import numpy as np

from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.core.units import PixelSize


def small_grid(*, size=64, stride=64, shape=(256, 320), mask=None):
    """Lay a grid at 0.5 um/px over a slide that is all tissue unless told."""
    mask = np.ones((shape[0] // 8, shape[1] // 8), bool) if mask is None else mask
    spec = PatchSpec(size, 0.5, stride, min_tissue=0.5)
    return lay_grid(spec, shape, PixelSize.square(0.5), [1.0], mask)
