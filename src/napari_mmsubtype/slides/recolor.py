"""The same slide once more, in other colors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_mmsubtype.slides.slide import Slide
    from napari_mmsubtype.slides.stain import StainNormalizer


def recolor(slide: Slide, *, icc: bool, stain: StainNormalizer | None = None) -> Slide:
    """Open a slide once more, with other colors.

    What is changed are the tiles as they are decoded, so that each is changed once and
    is kept like any other.

    Parameters
    ----------
    slide : Slide
        An open slide.
    icc : bool
        Whether to bring colors to sRGB by the ICC profile of the file.
    stain : StainNormalizer or None, default: None
        A change of stain, fitted to the slide with the same choice of ``icc``.

    Returns
    -------
    Slide
        A slide of its own; nothing is decoded.

    Raises
    ------
    TypeError
        If the slide was made from a backend in memory.
    SlideOpenError
        If the file can no longer be opened.
    """
    opener, (path, backend, mpp, _, _) = slide.__reduce__()
    return opener(path, backend, mpp, icc, stain)
