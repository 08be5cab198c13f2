"""PerkinElmer QPTIFF: what each page shows, told by XML in its description."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.backend import (
    BackendRefusal,
    Level,
    refuse_misfits,
    true_downsample,
)

FULL, REDUCED = "fullresolution", "reducedresolution"
FURTHER = {"thumbnail": "thumbnail", "overview": "macro", "label": "label"}
"""Kinds of pages that are no level, and the names they get."""


def sort_qptiff_pages(tif: Any) -> tuple[list[Any], dict[str, Any]]:
    """Sort the pages of a QPTIFF.

    Parameters
    ----------
    tif : TiffFile
        The open file.

    Returns
    -------
    tuple of (list of TiffPage, dict of str to TiffPage)
        The levels from large to small, and the further images by name.

    Raises
    ------
    SlideOpenError
        If the file is no brightfield image in RGB, as those of fluorescence, or its
        levels do not show the same scene.
    """
    levels: list[Any] = []
    further: dict[str, Any] = {}
    full = 0
    for page in tif.pages:
        page = page.aspage()
        kind = page_fields(page).get("ImageType", "").lower()
        if kind in (FULL, REDUCED):
            full += kind == FULL
            levels.append(page)
        else:
            further.setdefault(FURTHER.get(kind, f"page {page.index}"), page)
    samples = {page.samplesperpixel for page in levels}
    if full != 1 or samples != {3}:
        msg = (
            f"{tif.filename!r} is a QPTIFF of {full} full-resolution pages with "
            f"{sorted(samples)} samples per pixel, as fluorescence has; a single "
            "brightfield page in RGB is expected: export the slide as brightfield"
        )
        raise SlideOpenError(msg)
    levels.sort(key=lambda page: -page.imagelength * page.imagewidth)
    shapes = [(int(page.imagelength), int(page.imagewidth)) for page in levels]
    try:
        refuse_misfits([Level(s, true_downsample(shapes[0], s)) for s in shapes])
    except BackendRefusal as err:
        # Any other reader would take the pages for those of a plain TIFF.
        msg = f"{tif.filename!r} is a damaged QPTIFF: {err}; export the slide again"
        raise SlideOpenError(msg) from err
    return levels, further


def page_fields(page: Any) -> dict[str, str]:
    """Read the fields of a page's description.

    Parameters
    ----------
    page : TiffPage
        A page of a QPTIFF.

    Returns
    -------
    dict of str to str
        Text of the elements directly under the root, by name; empty where the
        description is no XML.
    """
    try:
        root = ElementTree.fromstring(page.description.encode())
    except ElementTree.ParseError:
        return {}
    return {
        element.tag: element.text.strip()
        for element in root
        if element.text and element.text.strip()
    }
