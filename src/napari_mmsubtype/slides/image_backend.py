"""Plain images through Pillow: PNG, JPEG and WebP as slides of one level."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from napari_mmsubtype.core.units import MppSource
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.backend import BackendRefusal, Level, NoFurtherImages
from napari_mmsubtype.slides.pixel_size import measured
from napari_mmsubtype.slides.rgb import to_rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
LARGEST_PX = 150_000_000
"""These formats only decode as a whole; more pixels than this fill the memory."""

TILE_PX = 1024
MICRONS_PER_INCH = 25400.0


class ImageBackend(NoFurtherImages):
    """A plain image, decoded as a whole when first looked at.

    Parameters
    ----------
    path : str
        Path of the file.

    Raises
    ------
    BackendRefusal
        If the file is no such image.
    SlideOpenError
        If the image is cut short or too large to decode as a whole.
    """

    name = "image"

    def __init__(self, path: str) -> None:
        if Path(path).is_dir():
            msg = "a folder, not an image file"
            raise BackendRefusal(msg)
        if Path(path).suffix.lower() == ".mrxs":
            # A MIRAX slide that OpenSlide refuses must not pass for its own preview.
            msg = "an .mrxs file holds only a preview of the slide beside it"
            raise BackendRefusal(msg)
        _refuse_cut_short(Path(path))
        self._path = path
        image = _open(path)
        self._image: Image.Image | None = image
        self._is_closed = False
        self._lock = threading.Lock()
        self._pixels: NDArray[np.uint8] | None = None
        shape = (image.height, image.width)
        self.levels = (Level(shape, 1.0),)
        self.tile_shapes = ((min(TILE_PX, shape[0]), min(TILE_PX, shape[1])),)
        self.vendor = f"generic-{str(image.format).lower()}"
        self.compression = str(image.format).lower()
        self.properties = {"image.mode": image.mode}
        profile = image.info.get("icc_profile")
        self.icc_profile = bytes(profile) if profile else None
        dpi = image.info.get("dpi")
        self.pixel_size = None
        if dpi and all(dpi):
            x, y = (MICRONS_PER_INCH / float(value) for value in dpi)
            self.pixel_size = measured(y, x)
        found = self.pixel_size is not None
        self.mpp_source = MppSource.RESOLUTION_TAG if found else MppSource.NONE

    def read_tile(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Cut one tile out of the decoded image.

        Parameters
        ----------
        level : int
            Always 0.
        row, col : int
            Place of the tile.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            RGB.
        """
        tile_h, tile_w = self.tile_shapes[level]
        y, x = row * tile_h, col * tile_w
        return self._decoded()[y : y + tile_h, x : x + tile_w]

    def close(self) -> None:
        """Let go of the image; a second call does nothing."""
        with self._lock:
            self._is_closed = True
            image, self._image, self._pixels = self._image, None, None
        if image is not None:
            image.close()

    def _decoded(self) -> NDArray[np.uint8]:
        """Decode the image once."""
        with self._lock:
            if self._is_closed:
                msg = "the file is closed"
                raise ValueError(msg)
            if self._pixels is None:
                image, self._image = self._image or _open(self._path), None
                # A decoder that was stopped midway does not begin anew.
                with image:
                    self._pixels = _to_array(image)
            return self._pixels


def _open(path: str) -> Image.Image:
    """Open an image without decoding it."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images; the limit below has its own words.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError as err:
        msg = f"no {', '.join(FORMATS)} image"
        raise BackendRefusal(msg) from err
    except Image.DecompressionBombError as err:
        raise SlideOpenError(_too_large(path, str(err))) from err
    except (OSError, SyntaxError, ValueError) as err:
        msg = f"image header cannot be read: {err}"
        raise BackendRefusal(msg) from err
    if image.width * image.height > LARGEST_PX:
        image.close()
        found = f"{image.height:,} x {image.width:,} px"
        raise SlideOpenError(_too_large(path, found))
    return image


def _refuse_cut_short(path: Path) -> None:
    """Refuse a file without the mark that ends its format."""
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
        file.seek(max(size - 4096, 0))
        tail = file.read()
    if head.startswith(b"\x89PNG"):
        kind, is_whole = "PNG", b"IEND" in tail
    elif head.startswith(b"\xff\xd8\xff"):
        kind, is_whole = "JPEG", b"\xff\xd9" in tail
    elif head[:4] + head[8:] == b"RIFFWEBP":
        kind, is_whole = "WebP", int.from_bytes(head[4:8], "little") + 8 <= size
    elif head[:2] + head[6:10] == b"BM\0\0\0\0":
        kind, is_whole = "BMP", int.from_bytes(head[2:6], "little") <= size
    else:
        return
    if not is_whole:
        msg = (
            f"{str(path)!r} is truncated: the {kind} image has no end within its "
            f"{size:,} bytes; copy or download it again"
        )
        raise SlideOpenError(msg)


def _to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Decode an image to RGB over white."""
    if image.mode in ("1", "L", "RGB"):
        samples = np.asarray(image)
    elif image.mode.startswith("I;16"):
        samples = np.asarray(image).astype(np.uint16)
    elif image.has_transparency_data:
        return to_rgb(np.asarray(image.convert("RGBA")), alpha=True)
    else:
        samples = np.asarray(image.convert("RGB"))
    return to_rgb(samples[:, :, None] if samples.ndim == 2 else samples)


def _too_large(path: str, found: str) -> str:
    """Say that an image is too large to be decoded as a whole."""
    return (
        f"{path!r} is too large for a plain image: {found} found, at most "
        f"{LARGEST_PX:,} px expected, because this format only decodes as a whole; "
        "convert it to a tiled pyramidal TIFF, for example with "
        "vips tiffsave --tile --pyramid"
    )
