"""How the tiles of a scanner's file are compressed, where OpenSlide does not tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import tifffile

from napari_mmsubtype.slides.czi_layout import read_layout
from napari_mmsubtype.slides.czi_tiles import COMPRESSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

TRANSFER_SYNTAXES = {
    "1.2.840.10008.1.2": "none",
    "1.2.840.10008.1.2.1": "none",
    "1.2.840.10008.1.2.5": "rle",
    "1.2.840.10008.1.2.4.50": "jpeg",
    "1.2.840.10008.1.2.4.51": "jpeg",
    "1.2.840.10008.1.2.4.57": "jpeg lossless",
    "1.2.840.10008.1.2.4.70": "jpeg lossless",
    "1.2.840.10008.1.2.4.80": "jpeg-ls",
    "1.2.840.10008.1.2.4.81": "jpeg-ls",
    "1.2.840.10008.1.2.4.90": "jpeg2000",
    "1.2.840.10008.1.2.4.91": "jpeg2000",
    "1.2.840.10008.1.2.4.201": "htj2k",
    "1.2.840.10008.1.2.4.202": "htj2k",
    "1.2.840.10008.1.2.4.203": "htj2k",
}
"""DICOM transfer syntaxes of images, by UID."""

MIRAX_FORMAT = "mirax.LAYER_0_LEVEL_0_SECTION.IMAGE_FORMAT"


def name_compression(path: str, properties: Mapping[str, str]) -> str:
    """Name the compression of a slide's tiles.

    Parameters
    ----------
    path : str
        Path of the file.
    properties : mapping of str to str
        What OpenSlide says about it.

    Returns
    -------
    str
        Such as ``"jpeg"`` or ``"none"``, in lower case; empty where unknown.
    """
    syntax = properties.get("dicom.TransferSyntaxUID")
    if syntax is not None:
        return TRANSFER_SYNTAXES.get(syntax, syntax)
    if MIRAX_FORMAT in properties:
        return properties[MIRAX_FORMAT].lower()
    if "hamamatsu.NoJpegColumns" in properties:
        return "jpeg"
    if properties.get("openslide.vendor") == "zeiss":
        with Path(path).open("rb") as file:
            code = read_layout(file).tiles[0].compression
        return COMPRESSIONS.get(code, str(code))
    return _of_tiff(path)


def name_page_compression(page: tifffile.TiffPage) -> str:
    """Name the compression of a page.

    Parameters
    ----------
    page : TiffPage
        A page of a TIFF.

    Returns
    -------
    str
        Its name in lower case, or its number where it has no name.
    """
    return str(getattr(page.compression, "name", page.compression)).lower()


def _of_tiff(path: str) -> str:
    """Name the compression of the largest page of a TIFF; empty for other files."""
    try:
        with tifffile.TiffFile(path) as tif:
            pages = [page.aspage() for page in tif.pages]
            largest = max(pages, key=lambda page: page.imagelength * page.imagewidth)
            return name_page_compression(largest)
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError):
        # Only a word of the description is lost; the pixels come from OpenSlide.
        return ""
