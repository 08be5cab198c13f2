"""TIFF flavors through tifffile: Aperio SVS, OME-TIFF, pyramidal and plain TIFF."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from napari_mmsubtype.slides.backend import (
    BackendRefusal,
    Level,
    refuse_misfits,
    true_downsample,
)
from napari_mmsubtype.slides.rgb import to_rgb, ycbcr_to_rgb
from napari_mmsubtype.slides.stored_compression import name_page_compression
from napari_mmsubtype.slides.tiff_layout import (
    check_directories,
    check_segments,
    lay_out,
)
from napari_mmsubtype.slides.tiff_metadata import (
    name_vendor,
    read_pixel_size,
    read_properties,
)
from napari_mmsubtype.slides.tiff_segments import (
    LARGEST_SEGMENT_BYTES,
    TiffLevelReader,
    segment_bytes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

ICC_PROFILE_TAG = 34675


class TifffileBackend:
    """A TIFF whose tiles are decoded one by one.

    Parameters
    ----------
    path : str
        Path of the file.

    Raises
    ------
    BackendRefusal
        If the file is no TIFF, or a kind that another backend reads better.
    SlideOpenError
        If the file is a TIFF that is cut short.
    """

    name = "tifffile"

    def __init__(self, path: str) -> None:
        file = Path(path)
        if file.is_dir():
            msg = "a folder, not a TIFF file"
            raise BackendRefusal(msg)
        is_ndpi = check_directories(file)
        try:
            # tifffile reads offsets of 64 bits only if told so, or by the ending.
            more = {"is_ndpi": True} if is_ndpi else {}
            self._tif = tifffile.TiffFile(file, **more)
        except tifffile.TiffFileError as err:
            msg = f"no readable TIFF: {err}"
            raise BackendRefusal(msg) from err
        self._lock = threading.Lock()
        try:
            self._open(file)
        except BaseException:
            self._tif.close()
            raise

    def _open(self, file: Path) -> None:
        """Read the structure of the file without decoding a pixel."""
        try:
            layout = lay_out(self._tif)
        except (tifffile.TiffFileError, IndexError, KeyError, TypeError) as err:
            msg = f"pages cannot be understood: {err}"
            raise BackendRefusal(msg) from err
        except BackendRefusal:
            # OpenSlide reads some of those, but would find an end that is missing only
            # when somebody looks there.
            for page in self._tif.pages:
                check_segments(file, page.aspage())
            raise
        for pages in layout.levels:
            for page in pages:
                check_segments(file, page)
        readers = [TiffLevelReader(pages, self._lock) for pages in layout.levels]
        self._readers = readers
        self._associated = layout.associated
        base = readers[0].shape
        self.levels = tuple(
            Level(reader.shape, true_downsample(base, reader.shape))
            for reader in readers
        )
        refuse_misfits(self.levels)
        self.tile_shapes = tuple(reader.tile_shape for reader in readers)
        page = layout.levels[0][0]
        self.vendor = name_vendor(self._tif)
        self.pixel_size, self.mpp_source = read_pixel_size(self._tif, page)
        self.properties = read_properties(self._tif, page)
        self.compression = name_page_compression(page)
        profile = page.tags.valueof(ICC_PROFILE_TAG)
        self.icc_profile = bytes(profile) if profile else None
        self.associated_names = tuple(self._associated)

    def read_tile(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Decode one tile.

        Parameters
        ----------
        level : int
            Index of the level.
        row, col : int
            Place of the tile.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            RGB.
        """
        return self._readers[level].read_tile(row, col)

    def stores_jpeg(self, level: int) -> bool:
        """Say whether the tiles of a level are JPEG streams of RGB or YCbCr.

        Parameters
        ----------
        level : int
            Index of the level.

        Returns
        -------
        bool
            Without looking at any tile.
        """
        return self._readers[level].stores_jpeg

    def read_jpeg(self, level: int, row: int, col: int) -> bytes | None:
        """Read one tile without decoding it.

        Parameters
        ----------
        level : int
            Index of the level.
        row, col : int
            Place of the tile.

        Returns
        -------
        bytes or None
            A complete baseline JPEG stream; None where the file stores no data.
        """
        return self._readers[level].read_jpeg(row, col)

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Decode a further image.

        Parameters
        ----------
        name : str
            One of `associated_names`.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            RGB.
        """
        page = self._associated[name]
        if max(page.nbytes, segment_bytes(page)) > LARGEST_SEGMENT_BYTES:
            height, width = page.imagelength, page.imagewidth
            msg = f"it claims to be {height:,} x {width:,} px, too large for memory"
            raise ValueError(msg)
        # One page is small; the lock also keeps other reads off the shared file.
        with self._lock:
            samples = np.asarray(page.asarray(maxworkers=1))
        if samples.ndim == 2:
            samples = samples[:, :, None]
        elif page.planarconfig == 2:
            samples = np.moveaxis(samples, 0, -1)
        if page.compression == 33003:
            samples = ycbcr_to_rgb(samples)
        colors = 3 if samples.shape[2] >= 3 else 1
        return to_rgb(samples[:, :, :colors], inverted=page.photometric == 0)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._tif.close()
