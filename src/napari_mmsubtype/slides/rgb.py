"""Turn whatever samples a file stores into 8-bit RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rec. ITU-T T.871 (JFIF): full-range BT.601, columns Cb and Cr.
CHROMA_TO_RGB = ((0.0, 1.402), (-0.344136, -0.714136), (1.772, 0.0))


def to_rgb(
    samples: NDArray[np.generic],
    *,
    alpha: bool = False,
    premultiplied: bool = False,
    inverted: bool = False,
) -> NDArray[np.uint8]:
    """Make 8-bit RGB out of grey, RGB or either with transparency.

    Parameters
    ----------
    samples : ndarray of bool, uint8 or uint16, shape (y, x, s)
        One or three color samples, then alpha if any; 16-bit values are cut to their
        upper 8 bits.
    alpha : bool, default: False
        Whether the sample after the colors is opacity. Color goes over white then.
    premultiplied : bool, default: False
        Whether the colors are already multiplied by the opacity.
    inverted : bool, default: False
        Whether grey counts from white.

    Returns
    -------
    ndarray of uint8, shape (y, x, 3)
        RGB.

    Raises
    ------
    ValueError
        If the samples are of another type or number.
    """
    values = _to_uint8(samples)
    colors = values.shape[2] - 1 if alpha else values.shape[2]
    if colors not in (1, 3):
        msg = f"{colors} color samples per pixel found; grey (1) or RGB (3) expected"
        raise ValueError(msg)
    rgb = values[:, :, :colors]
    if inverted:
        rgb = 255 - rgb
    if colors == 1:
        rgb = np.repeat(rgb, 3, axis=2)
    if not alpha:
        return np.ascontiguousarray(rgb)
    opacity = values[:, :, colors:]
    if opacity.min(initial=255) == 255:
        return np.ascontiguousarray(rgb)
    share = opacity.astype(np.float32) / 255
    front = rgb.astype(np.float32) if premultiplied else rgb * share
    return np.clip(np.rint(front + 255 * (1 - share)), 0, 255).astype(np.uint8)


def require_pixels(
    tile: NDArray[np.uint8], least: tuple[int, int]
) -> NDArray[np.uint8]:
    """Refuse a decoded tile that lacks pixels, as damaged files give.

    Parameters
    ----------
    tile : ndarray
        What a backend decoded.
    least : tuple of int
        Height and width of the part that lies on the slide.

    Returns
    -------
    ndarray of uint8, shape (y, x, 3)
        The same tile, at least as high and wide.

    Raises
    ------
    ValueError
        If it is smaller, or no RGB.
    """
    is_rgb = tile.ndim == 3 and tile.shape[2] == 3 and tile.dtype == np.uint8
    if not is_rgb or tile.shape[0] < least[0] or tile.shape[1] < least[1]:
        msg = (
            f"pixels of shape {tile.shape} and type {tile.dtype} are stored where "
            f"{least[0]} x {least[1]} px of RGB are expected"
        )
        raise ValueError(msg)
    return tile


def ycbcr_to_rgb(ycbcr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert full-range YCbCr to RGB.

    Parameters
    ----------
    ycbcr : ndarray of uint8, shape (y, x, 3)
        Luma and both chroma samples, the latter centered on 128.

    Returns
    -------
    ndarray of uint8, shape (y, x, 3)
        RGB, rounded.
    """
    values = ycbcr.astype(np.float32)
    chroma = (values[:, :, 1:] - 128) @ np.asarray(CHROMA_TO_RGB, np.float32).T
    return np.clip(np.rint(values[:, :, :1] + chroma), 0, 255).astype(np.uint8)


def _to_uint8(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Bring samples to 8 bits."""
    if samples.dtype == np.uint8:
        return samples.view(np.uint8)
    if samples.dtype == np.bool_:
        return samples.astype(np.uint8) * np.uint8(255)
    if samples.dtype == np.uint16:
        return (samples.astype(np.uint16) >> 8).astype(np.uint8)
    msg = f"samples of type {samples.dtype} found; 8 or 16 bits unsigned expected"
    raise ValueError(msg)
