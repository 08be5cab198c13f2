"""Check the sizes that a MIRAX slide tells before OpenSlide believes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import SlideOpenError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_IMAGE_PX = 16_384
"""Side of one image of the camera; real ones have a few hundred to 4096 px."""

LARGEST_DOCUMENT_BYTES = 1024**2
_NUMBER = re.compile(
    rb"^\s*(DIGITIZER_WIDTH|DIGITIZER_HEIGHT|IMAGENUMBER_X|IMAGENUMBER_Y"
    rb"|CameraImageDivisionsPerSide)\s*=\s*(\d+)",
    re.MULTILINE,
)


def check_mirax(path: Path) -> None:
    """Refuse a MIRAX slide whose images have a size that no camera makes.

    OpenSlide 4.0.1 ends the process where there is no memory for one image, or where
    an image is divided into more parts than there are.

    Parameters
    ----------
    path : Path
        The ``.mrxs`` file; other files are left alone.

    Raises
    ------
    SlideOpenError
        If Slidedat.ini is damaged.
    """
    document = path.with_suffix("") / "Slidedat.ini"
    if path.suffix.lower() != ".mrxs" or not document.is_file():
        return
    with document.open("rb") as file:
        text = file.read(LARGEST_DOCUMENT_BYTES)
    counts = []
    divisions = 1
    for name, digits in _NUMBER.findall(text):
        # A run of digits without end would take long to become a number.
        value = int(digits[:20])
        if name.startswith(b"DIGITIZER") and value > LARGEST_IMAGE_PX:
            _refuse(document, f"{name.decode()} is {value:,}", f"{LARGEST_IMAGE_PX:,}")
        elif name.startswith(b"IMAGENUMBER"):
            counts.append(value)
        elif name.startswith(b"Camera"):
            divisions = value
    if counts and divisions > min(counts):
        found = f"CameraImageDivisionsPerSide is {divisions:,}"
        _refuse(document, found, f"{min(counts):,}, the images of a side,")


def _refuse(document: Path, found: str, most: str) -> None:
    """Say that the document is damaged."""
    msg = (
        f"{str(document)!r} is damaged: {found}, at most {most} expected; copy the "
        "slide and its folder again"
    )
    raise SlideOpenError(msg)
