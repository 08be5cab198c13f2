"""Slides in other colors for the viewer: all that is slow, in whatever thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.color_words import STAIN_NAMES, profile_name
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.plugin.layers import METADATA_KEY
from napari_mmsubtype.slides.color import describe_profile
from napari_mmsubtype.slides.recolor import recolor
from napari_mmsubtype.slides.registry import open_quietly
from napari_mmsubtype.slides.stain import StainMethod, fit_pixels
from napari_mmsubtype.slides.tissue import find_tissue
from napari_mmsubtype.slides.tissue_sample import sample_tissue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_mmsubtype.plugin.layers import LayerTuple
    from napari_mmsubtype.slides.slide import Slide
    from napari_mmsubtype.slides.stain import StainNormalizer

PREVIEW_KIND = "stain preview"
ASSUMED_MPP = 0.5
"""Where tissue is sought on a slide of unknown pixel size, for a preview only."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is seen of a multiscale layer.

    Attributes
    ----------
    level : int
        The level that is shown.
    corners : tuple of int
        Top, left, bottom and right in pixels of that level; the last two are not
        included.
    """

    level: int
    corners: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class ShownSlide:
    """A slide read with its color profile or without.

    Attributes
    ----------
    data : list of dask.array.Array or dask.array.Array
        For the layer; the array alone where there is one level.
    facts : dict
        What the layer's metadata says of the slide from now on.
    problem : str
        Why the profile cannot be used, or empty.
    """

    data: Any
    facts: dict[str, Any]
    problem: str


@dataclass(frozen=True, slots=True, eq=False)
class StainPreview:
    """A fitted stain, and the slide in it.

    Attributes
    ----------
    fit : StainNormalizer
        May be the identity.
    layer : tuple or None
        An image layer in place of the slide's; None where the fit failed.
    pixels : ndarray of uint8, shape (pixel, 3)
        What was fitted to, for the next method.
    """

    fit: StainNormalizer
    layer: LayerTuple | None
    pixels: NDArray[np.uint8]


def window_of(layer: Any) -> Window:
    """Read what a layer shows just now; for the GUI thread.

    Parameters
    ----------
    layer : napari.layers.Image
        Of a slide.

    Returns
    -------
    Window
        In the level that is shown.
    """
    (top, left), (bottom, right) = np.asarray(layer.corner_pixels)[:, -2:].astype(int)
    level = int(layer.data_level) if layer.multiscale else 0
    return Window(level, (int(top), int(left), int(bottom) + 1, int(right) + 1))


def placement_of(layer: Any) -> dict[str, Any]:
    """Read where a layer lies; for the GUI thread.

    Parameters
    ----------
    layer : napari.layers.Image
        Of a slide.

    Returns
    -------
    dict
        Name and keyword arguments that put another layer in the same place.
    """
    return {
        "name": layer.name,
        "scale": tuple(layer.scale),
        "translate": tuple(layer.translate),
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine,
        "units": layer.units,
    }


def profile_job(facts: Mapping[str, Any], icc: bool, window: Window) -> Job[ShownSlide]:
    """Open a slide with its color profile or without, and read what is in view.

    Parameters
    ----------
    facts : mapping
        Metadata of the slide's layer.
    icc : bool
        Whether to apply the profile.
    window : Window
        What the layer shows.

    Yields
    ------
    Progress
        Stages ``open`` and ``read``.

    Returns
    -------
    ShownSlide
        For the layer.
    """
    yield Progress("open", message=f"opening {facts['path']}")
    slide = _open_again(facts, icc=icc)
    yield Progress("read", message="reading what is in view")
    read_ahead(slide, window)
    pyramid = slide.pyramid()
    changed = {
        **facts,
        "icc": slide.icc,
        "icc_profile": profile_name(describe_profile(slide.icc_profile)),
    }
    data = pyramid if len(pyramid) > 1 else pyramid[0]
    return ShownSlide(data, changed, slide.color_problem)


def preview_job(
    facts: Mapping[str, Any],
    method: StainMethod,
    window: Window,
    placement: Mapping[str, Any],
    pixels: NDArray[np.uint8] | None = None,
) -> Job[StainPreview]:
    """Fit the stain of a slide and show the slide in it.

    Parameters
    ----------
    facts : mapping
        Metadata of the slide's layer.
    method : str
        ``"macenko"``, ``"reinhard"`` or ``"vahadane"``.
    window : Window
        What the layer shows.
    placement : mapping
        As from `placement_of`.
    pixels : ndarray of uint8, shape (pixel, 3), or None, default: None
        What an earlier fit in the same colors used; None reads it from the slide.

    Yields
    ------
    Progress
        Stages ``open``, ``fit`` and ``read``.

    Returns
    -------
    StainPreview
        Lazy: only what is in view was brought to the other stain.
    """
    yield Progress("open", message=f"opening {facts['path']}")
    icc = facts.get("icc") == "applied"
    with _open_again(facts, icc=icc, known_size=True) as slide:
        if pixels is None:
            yield Progress("fit", message="finding tissue")
            pixels = sample_tissue(slide, find_tissue(slide))
        yield Progress("fit", message="fitting the stain")
        fit = fit_pixels(pixels, method)
        if fit.is_identity:
            return StainPreview(fit, None, pixels)
        yield Progress("read", message="reading what is in view")
        view = recolor(slide, icc=icc, stain=fit)
    read_ahead(view, window)
    pyramid = view.pyramid()
    kwargs = {
        **placement,
        "name": f"{placement['name']}: {STAIN_NAMES[method]} stain",
        "rgb": True,
        "multiscale": len(pyramid) > 1,
        "metadata": {
            METADATA_KEY: {
                "kind": PREVIEW_KIND,
                "path": facts["path"],
                "stain": fit.to_dict(),
            }
        },
    }
    data = pyramid if len(pyramid) > 1 else pyramid[0]
    return StainPreview(fit, (data, kwargs, "image"), pixels)


def read_ahead(slide: Slide, window: Window) -> None:
    """Decode what a viewer will show, so that it finds the tiles in memory.

    Parameters
    ----------
    slide : Slide
        An open slide.
    window : Window
        What is in view. The coarsest level, of which napari makes the thumbnail, is
        read as well.
    """
    coarsest = len(slide.levels) - 1
    wanted = {window.level: window.corners, coarsest: (0, 0, *_shape(slide, coarsest))}
    for level, (top, left, bottom, right) in wanted.items():
        height, width = _shape(slide, level)
        bottom, right = min(bottom, height), min(right, width)
        if top < bottom and left < right:
            slide.read_view(level, top, left, bottom - top, right - left)


def _shape(slide: Slide, level: int) -> tuple[int, int]:
    return slide.levels[level].shape


def _open_again(
    facts: Mapping[str, Any], *, icc: bool, known_size: bool = False
) -> Slide:
    """Open the slide of a layer once more, with the pixel size that holds there."""
    mpp = None
    if facts.get("mpp_source") == "user" and facts["mpp"]:
        mpp = float(np.sqrt(np.prod(facts["mpp"])))
    elif known_size and not facts.get("mpp"):
        mpp = ASSUMED_MPP
    return open_quietly(facts["path"], mpp=mpp, icc=icc)
