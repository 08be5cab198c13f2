"""Sizes that a damaged file claims, checked before a native library asks for memory.

OpenSlide ends the whole process where it gets no memory, so what it must not be asked
for has to be known before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tifffile

from napari_mmsubtype.errors import SlideOpenError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LARGEST_PIECE_PX = 128 * 1024**2
"""More is not decoded at once: four bytes for each of these are 512 MiB."""


def check_tiff_tiles(path: Path) -> None:
    """Refuse a TIFF whose tiles claim more pixels or bytes than can be.

    Parameters
    ----------
    path : Path
        Any file; one that is no TIFF passes.

    Raises
    ------
    SlideOpenError
        If a page has such tiles.
    """
    try:
        tif = tifffile.TiffFile(path)
    except tifffile.TiffFileError:
        return
    size = path.stat().st_size
    with tif:
        for page in tif.pages:
            whole = page.aspage()
            if not whole.is_tiled:
                continue
            height, width = whole.tilelength, whole.tilewidth
            stored = max(whole.databytecounts, default=0)
            if height * width > LARGEST_PIECE_PX:
                claim = f"tiles of {height:,} x {width:,} px, too large for memory"
            elif stored > size:
                claim = f"a tile of {stored:,} bytes in a file of {size:,}"
            else:
                continue
            msg = (
                f"{str(path)!r} is damaged: page {whole.index} claims {claim}; fetch "
                "or export the file again"
            )
            raise SlideOpenError(msg)


def check_associated(name: str, properties: Mapping[str, str]) -> None:
    """Refuse a further image that claims to be too large for memory.

    Parameters
    ----------
    name : str
        Label, macro or the like.
    properties : mapping of str to str
        What OpenSlide says about the slide.

    Raises
    ------
    ValueError
        If it claims such a size.
    """
    height, width = (
        int(properties.get(f"openslide.associated.{name}.{side}", 0))
        for side in ("height", "width")
    )
    if height * width > LARGEST_PIECE_PX:
        msg = f"it claims to be {height:,} x {width:,} px, too large for memory"
        raise ValueError(msg)
