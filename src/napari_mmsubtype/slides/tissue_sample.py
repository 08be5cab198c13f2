"""Pixels of tissue from all over a slide, for what is fitted once per slide."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.errors import DamagedTileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.slides.slide import Slide
    from napari_mmsubtype.slides.tissue import TissueMask

logger = logging.getLogger(__name__)

SAMPLE_MPP = 2.0
"""Nuclei are still apart from what is between them at this many microns per pixel."""

SAMPLE_BOXES = 256
SAMPLE_PX = 32


def sample_tissue(slide: Slide, tissue: TissueMask) -> NDArray[np.uint8]:
    """Read the same small boxes of tissue each time, spread over the slide.

    Parameters
    ----------
    slide : Slide
        An open slide with known pixel size.
    tissue : TissueMask
        Its tissue.

    Returns
    -------
    ndarray of uint8, shape (pixel, 3)
        RGB of up to `SAMPLE_BOXES` boxes; empty where there is no tissue. Boxes that
        cannot be decoded are logged and left out.

    Raises
    ------
    MissingPixelSizeError
        If the pixel size of the slide is unknown.
    """
    size = slide.require_pixel_size()
    places = np.argwhere(tissue.mask)
    # Evenly through the rows of the mask: no chance, and neighbours share tiles.
    steps = np.linspace(0, len(places) - 1, min(SAMPLE_BOXES, len(places)))
    fine = [
        index
        for index, level in enumerate(slide.levels)
        if level.downsample * size.mean <= SAMPLE_MPP
    ]
    level = max(fine, default=0)
    height, width = slide.levels[level].shape
    side = min(SAMPLE_PX, height, width)
    scale = np.array([height, width]) / tissue.mask.shape
    boxes = [np.empty((0, 3), np.uint8)]
    for center in (places[np.rint(steps).astype(int)] + 0.5) * scale:
        y, x = (int(value) - side // 2 for value in center)
        corner = (min(max(y, 0), height - side), min(max(x, 0), width - side))
        try:
            box = slide.read_region(level, *corner, side, side)
        except DamagedTileError as err:
            logger.warning("left out of the stain fit: %s", err)
            continue
        boxes.append(box.reshape(-1, 3))
    return np.concatenate(boxes)
