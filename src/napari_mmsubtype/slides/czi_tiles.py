"""Decode the tiles of a Zeiss CZI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.jpeg_stream import require_whole
from napari_mmsubtype.slides.rgb import to_rgb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_mmsubtype.slides.czi_layout import CziTile

RAW, JPEG, JPEG_XR, ZSTD0, ZSTD1 = 0, 1, 4, 5, 6
COMPRESSIONS = {
    RAW: "none",
    JPEG: "jpeg",
    JPEG_XR: "jpegxr",
    ZSTD0: "zstd",
    ZSTD1: "zstd",
}
"""Encodings that can be read, by their code."""

SAMPLES = {0: ("<u1", 1), 1: ("<u2", 1), 3: ("<u1", 3), 4: ("<u2", 3), 9: ("<u1", 4)}
"""Type and number of the samples of a pixel, by the code of the sample type."""


def refuse_unsupported(tiles: Iterable[CziTile]) -> None:
    """Refuse tiles that cannot become RGB.

    Parameters
    ----------
    tiles : iterable of CziTile
        The tiles of a slide.

    Raises
    ------
    BackendRefusal
        If the samples or the encoding of one are of an unknown kind.
    """
    for tile in tiles:
        if tile.kind not in SAMPLES:
            msg = (
                f"samples of CZI type {tile.kind}; grey or BGR of 8 or 16 bits expected"
            )
            raise BackendRefusal(msg)
        if tile.compression not in COMPRESSIONS:
            known = ", ".join(sorted(set(COMPRESSIONS.values())))
            msg = f"tiles of CZI compression {tile.compression}; {known} expected"
            raise BackendRefusal(msg)


def decode_tile(data: bytes, tile: CziTile, bits: int | None) -> NDArray[np.uint8]:
    """Decode one tile.

    Parameters
    ----------
    data : bytes
        The tile as stored.
    tile : CziTile
        Its size and encoding.
    bits : int or None
        How many bits of 16-bit samples the camera fills, all where None.

    Returns
    -------
    ndarray of uint8, shape (y, x, 3)
        RGB.

    Raises
    ------
    ValueError
        If the tile has another size or other samples than its directory entry says, or
        is damaged.
    """
    dtype, count = SAMPLES[tile.kind]
    shape = (*tile.shape, count)
    # These hold a picture that knows its order of colors; the others hold blue first.
    picture = tile.compression in (JPEG, JPEG_XR)
    samples = (_picture if picture else _unpack)(data, tile, dtype, shape)
    if count >= 3 and not picture:
        order = [2, 1, 0, 3][:count]
        samples = samples[:, :, order]
    if samples.dtype == np.uint16 and bits is not None and 8 <= bits < 16:
        samples = np.minimum(samples, 2**bits - 1) << (16 - bits)
    return to_rgb(samples, alpha=count == 4)


def _picture(
    data: bytes, tile: CziTile, dtype: str, shape: tuple[int, int, int]
) -> NDArray[Any]:
    """Decode a tile that is a picture of its own, of no other size than expected."""
    if tile.compression == JPEG:
        require_whole(data)
    # Given where to put it, the decoder makes no room for a size that damage made up.
    size = shape if shape[2] > 1 else shape[:2]
    room = np.empty(size, np.dtype(dtype).newbyteorder("="))
    decode: Callable[..., NDArray[Any]] = (
        imagecodecs.jpeg8_decode
        if tile.compression == JPEG
        else imagecodecs.jpegxr_decode
    )
    try:
        return decode(data, out=room).reshape(shape)
    except ValueError as err:
        msg = f"the tile is no picture of {shape[0]} x {shape[1]} px ({err})"
        raise ValueError(msg) from err


def _unpack(
    data: bytes, tile: CziTile, dtype: str, shape: tuple[int, int, int]
) -> NDArray[Any]:
    """Unpack a tile that is a run of samples."""
    length = int(np.prod(shape)) * np.dtype(dtype).itemsize
    halves = False
    if tile.compression == ZSTD1:
        # A header of 1 byte, or of 3: its size, a code, and whether bytes are apart.
        head = data[0] if data else 0
        if head not in (1, 3):
            msg = f"a header of {head} bytes before the tile; 1 or 3 are expected"
            raise ValueError(msg)
        halves = head == 3 and bool(data[2] & 1)
        data = data[head:]
    if tile.compression in (ZSTD0, ZSTD1):
        data = bytes(imagecodecs.zstd_decode(data, out=length))
    if len(data) != length:
        msg = f"the tile holds {len(data)} bytes where {length} are expected"
        raise ValueError(msg)
    values = np.frombuffer(data, np.uint8)
    if halves:
        values = np.ascontiguousarray(values.reshape(2, -1).T)
    native = np.dtype(dtype).newbyteorder("=")
    return values.view(dtype).reshape(shape).astype(native, copy=False)
