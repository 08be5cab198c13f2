"""Slides for File ▸ Open Sample: rendered on demand, nothing is downloaded."""

from __future__ import annotations

from napari_mmsubtype.plugin.layers import LayerTuple, slide_layers
from napari_mmsubtype.slides.registry import open_slide

SMALL_SLIDE = "synthetic:seed=7,size=4096,basal=0.5"
LARGE_SLIDE = "synthetic:seed=11,size=100000,basal=0.35"


def synthetic_slide() -> list[LayerTuple]:
    """Render a synthetic breast slide of 4,096 px.

    Returns
    -------
    list of tuple
        One multiscale image layer.
    """
    return slide_layers(open_slide(SMALL_SLIDE))


def synthetic_large_slide() -> list[LayerTuple]:
    """Render a synthetic slide of 100,000 px, chunk by chunk as it is looked at.

    Returns
    -------
    list of tuple
        One multiscale image layer.
    """
    return slide_layers(open_slide(LARGE_SLIDE))
