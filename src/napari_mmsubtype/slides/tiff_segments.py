"""Decode the tiles and strips of one level of a TIFF, and nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.jpeg_stream import complete_stream, require_whole
from napari_mmsubtype.slides.rgb import to_rgb, ycbcr_to_rgb

if TYPE_CHECKING:
    import threading

    from numpy.typing import NDArray

UNCOMPRESSED, APERIO_YCBCR, APERIO_RGB = 1, 33003, 33005
BASELINE_JPEG = 7
JPEG = frozenset({6, BASELINE_JPEG, 34892, 33007})
"""Compressions whose decoder already gives RGB."""

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
BAND_ROWS = 256
BAND_BYTES = 8 * 1024**2
LARGEST_SEGMENT_BYTES = 512 * 1024**2
"""More is not decoded at once; decoding and turning to RGB take several times that."""


class TiffLevelReader:
    """Read one level tile by tile.

    Strips are grouped into bands of about 256 rows. An uncompressed image stored as one
    large strip is cut into bands too, so that only the rows asked for are read.

    Parameters
    ----------
    pages : tuple of TiffPage
        One page, or one per color channel.
    lock : Lock
        Held only around the raw read; shared by all levels of the file.

    Raises
    ------
    BackendRefusal
        If the samples or the compression cannot be turned into RGB.
    """

    def __init__(self, pages: tuple[Any, ...], lock: threading.Lock) -> None:
        self._pages = pages
        self._key = key = pages[0]
        self._lock = lock
        self._file = key.parent.filehandle
        self.shape = (int(key.imagelength), int(key.imagewidth))
        self._planes = key.samplesperpixel if key.planarconfig == 2 else 1
        _refuse_unsupported(key, len(pages))
        self._colors = key.samplesperpixel - len(key.extrasamples)
        self._alpha = bool(key.extrasamples) and int(key.extrasamples[0]) in (1, 2)
        # Made here because tifffile fills its own cache of decoders without a lock.
        self._decoders = [page.decode for page in pages]
        self._raw_rows = _is_one_raw_block(key, len(pages))
        self.tile_shape = self._choose_tile()
        _refuse_huge_segment(key, raw=self._raw_rows)
        if key.compression == APERIO_YCBCR:
            places = zip(key.dataoffsets, key.databytecounts, strict=True)
            first = next((n for n, place in enumerate(places) if all(place)), None)
            if first is not None:
                _refuse_subsampled_jpeg2000(self._read_raw(key, first))

    def read_tile(self, row: int, col: int) -> NDArray[np.uint8]:
        """Decode one tile or band.

        Parameters
        ----------
        row, col : int
            Place of the tile in units of `tile_shape`.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            RGB; white where the file stores no data.
        """
        if self._raw_rows:
            return self._to_rgb(self._read_rows(row))
        if self._key.is_tiled:
            across = -(-self.shape[1] // self.tile_shape[1])
            return self._read_segment(row * across + col)
        # A band that is cut to the image may end within a strip.
        per_band = -(-self.tile_shape[0] // self._strip_rows)
        last = -(-self.shape[0] // self._strip_rows)
        strips = range(row * per_band, min((row + 1) * per_band, last))
        return np.concatenate([self._read_segment(index) for index in strips])

    @property
    def stores_jpeg(self) -> bool:
        """Whether the tiles are JPEG streams of three 8-bit colors each."""
        key = self._key
        return bool(
            key.is_tiled
            and len(self._pages) == 1
            and key.compression == BASELINE_JPEG
            and key.photometric in (RGB, YCBCR)
            and key.planarconfig == 1
            and key.samplesperpixel == 3
            and not key.extrasamples
            and key.dtype == np.uint8
        )

    def read_jpeg(self, row: int, col: int) -> bytes | None:
        """Read one tile without decoding it, where `stores_jpeg` is true.

        Parameters
        ----------
        row, col : int
            Place of the tile in units of `tile_shape`.

        Returns
        -------
        bytes or None
            A complete baseline JPEG stream; None where the file stores no data.

        Raises
        ------
        ValueError
            If the stream is of another kind or size, or damaged.
        """
        key = self._key
        across = -(-self.shape[1] // self.tile_shape[1])
        data = self._read_raw(key, row * across + col)
        if data is None:
            return None
        # As tifffile decides it, so that both ways of decoding give the same colors.
        is_rgb = True if key.photometric == RGB and not key.is_jfif else None
        return complete_stream(data, key.jpegtables, self.tile_shape, is_rgb=is_rgb)

    @property
    def _strip_rows(self) -> int:
        """Rows of a strip."""
        return int(min(self._key.rowsperstrip, self.shape[0]))

    def _choose_tile(self) -> tuple[int, int]:
        """Give the stored tile, or a band of whole strips or rows."""
        if self._key.is_tiled:
            return int(self._key.tilelength), int(self._key.tilewidth)
        rows = max(1, min(BAND_ROWS, BAND_BYTES // (self.shape[1] * 3)))
        if not self._raw_rows:
            rows = self._strip_rows * max(1, rows // self._strip_rows)
        return min(rows, self.shape[0]), self.shape[1]

    def _read_segment(self, index: int) -> NDArray[np.uint8]:
        """Decode a tile or strip, joining the planes of separate colors."""
        parts = []
        per_plane = len(self._key.dataoffsets) // self._planes
        for page, decode in zip(self._pages, self._decoders, strict=True):
            for plane in range(self._planes):
                number = plane * per_plane + index
                data = self._read_raw(page, number)
                if data is None:
                    shape = decode(None, number)[2]
                    return np.full((*shape[1:3], 3), 255, np.uint8)
                tables = page.jpegtables
                if self._key.compression in JPEG:
                    require_whole(data, tables)
                segment = decode(
                    data,
                    number,
                    jpegtables=tables,
                    jpegheader=page.jpegheader,
                )[0]
                parts.append(segment[0])
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        return self._to_rgb(joined)

    def _read_raw(self, page: Any, index: int) -> bytes | None:
        """Read the encoded bytes of a segment, None where it is empty."""
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        if not offset and not count:
            return None
        if not offset or not count:
            msg = (
                f"{count} bytes at byte {offset} of the file are told; a tile without "
                "data has 0 of both"
            )
            raise ValueError(msg)
        with self._lock:
            self._file.seek(offset)
            data: bytes = self._file.read(count)
        if len(data) != count:
            msg = f"the file ends {count - len(data)} bytes too early"
            raise ValueError(msg)
        return data

    def _read_rows(self, band: int) -> NDArray[Any]:
        """Read a band of rows out of one large uncompressed block."""
        key = self._key
        dtype = key.dtype.newbyteorder(key.parent.byteorder)
        row_bytes = self.shape[1] * key.samplesperpixel * dtype.itemsize
        first = band * self.tile_shape[0]
        rows = min(self.tile_shape[0], self.shape[0] - first)
        with self._lock:
            self._file.seek(key.dataoffsets[0] + first * row_bytes)
            data = self._file.read(rows * row_bytes)
        values = np.frombuffer(data, dtype)
        return values.reshape(rows, self.shape[1], key.samplesperpixel)

    def _to_rgb(self, samples: NDArray[Any]) -> NDArray[np.uint8]:
        """Turn decoded samples into RGB by what the page says they mean."""
        key = self._key
        if key.photometric == PALETTE:
            colors = (np.asarray(key.colormap) >> 8).astype(np.uint8)
            picked: NDArray[np.uint8] = np.moveaxis(colors[:, samples[:, :, 0]], 0, -1)
            return picked
        if len(self._pages) == 1:
            samples = samples[:, :, : self._colors + self._alpha]
        if not samples.dtype.isnative:
            samples = samples.astype(samples.dtype.newbyteorder("="))
        if self._is_ycbcr:
            samples = ycbcr_to_rgb(samples)
        return to_rgb(
            samples,
            alpha=self._alpha and len(self._pages) == 1,
            premultiplied=bool(key.extrasamples) and int(key.extrasamples[0]) == 1,
            inverted=key.photometric == MIN_IS_WHITE,
        )

    @property
    def _is_ycbcr(self) -> bool:
        """Whether decoded samples still are luma and chroma."""
        compression = self._key.compression
        if compression in (APERIO_YCBCR, APERIO_RGB):
            return bool(compression == APERIO_YCBCR)
        return bool(self._key.photometric == YCBCR and compression not in JPEG)


def segment_bytes(page: Any) -> int:
    """Give the memory that a decoded tile or strip takes.

    Parameters
    ----------
    page : TiffPage
        A page.

    Returns
    -------
    int
        Bytes. A tile is decoded whole even where it is larger than the image, a strip
        only as far as the image goes.
    """
    if page.is_tiled:
        shape = (page.tilelength, page.tilewidth)
    else:
        shape = (min(page.rowsperstrip, page.imagelength), page.imagewidth)
    return int(math.prod(shape) * page.samplesperpixel * page.dtype.itemsize)


def _refuse_unsupported(page: Any, pages: int) -> None:
    """Refuse samples or a compression that cannot become RGB."""
    reason = None
    if page.dtype is None or page.dtype.name not in ("bool", "uint8", "uint16"):
        reason = f"samples are {page.dtype} ({page.bitspersample} bits); 8 or 16 bits"
    elif page.photometric not in (MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR):
        reason = f"colors are {page.photometric!r}; RGB, YCbCr, palette or grey"
    elif page.imagedepth != 1:
        reason = f"the page is {page.imagedepth} planes deep; a single plane"
    elif pages == 1 and page.samplesperpixel - len(page.extrasamples) not in (1, 3):
        reason = f"{page.samplesperpixel} samples per pixel; grey or RGB"
    elif page.photometric == YCBCR and page.dtype.name != "uint8":
        reason = f"YCbCr in {page.dtype}; 8 bits"
    if reason is not None:
        msg = f"{reason} expected"
        raise BackendRefusal(msg)
    if page.compression == UNCOMPRESSED:
        return
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except (KeyError, ValueError) as err:
        msg = f"no decoder for compression {page.compression!r}: {err}"
        raise BackendRefusal(msg) from err


def _is_one_raw_block(page: Any, pages: int) -> bool:
    """Say whether rows can be read straight out of one large block."""
    if page.is_tiled or pages > 1 or page.planarconfig == 2 or not page.is_final:
        return False
    if len(page.dataoffsets) != 1 or not (
        page.dataoffsets[0] and page.databytecounts[0]
    ):
        return False
    size = page.imagelength * page.imagewidth * page.samplesperpixel
    return bool(size * page.dtype.itemsize > BAND_BYTES)


def _refuse_huge_segment(page: Any, *, raw: bool) -> None:
    """Refuse an image whose smallest readable piece would not fit in memory."""
    if raw:
        return
    limit = segment_bytes(page)
    if limit > LARGEST_SEGMENT_BYTES:
        msg = (
            f"the image is stored in one compressed piece of {limit / 1e9:.1f} GB; "
            "convert it to a tiled TIFF, for example with vips tiffsave --tile "
            "--pyramid"
        )
        raise BackendRefusal(msg)


def _refuse_subsampled_jpeg2000(data: bytes | None) -> None:
    """Leave JPEG 2000 with reduced chroma to a decoder that knows the Aperio layout."""
    if data is None:
        return
    start = data.find(b"\xff\x4f\xff\x51")
    parts = data[start + 40 : start + 42] if start >= 0 else b""
    if len(parts) < 2:
        return
    number = int.from_bytes(parts, "big")
    steps = [data[start + 43 + 3 * i : start + 45 + 3 * i] for i in range(number)]
    if any(step != b"\x01\x01" for step in steps):
        msg = "JPEG 2000 with reduced chroma resolution"
        raise BackendRefusal(msg)
