"""Shrink images by exact area averaging."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse


def shrink(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Average blocks of ``factor`` x ``factor`` pixels.

    Parameters
    ----------
    image : ndarray of uint8, shape (y, x, 3)
        Image in RGB.
    factor : int
        Side of a block; a block cut by the border averages the pixels it has.

    Returns
    -------
    ndarray of uint8, shape (ceil(y / factor), ceil(x / factor), 3)
        Rounded means.
    """
    if factor == 1:
        return image
    return np.asarray(Image.fromarray(image).reduce(factor))


def resize_area(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize an image, each new pixel being the mean of the area that it covers.

    Along an axis that grows, linear interpolation takes the place of averaging.

    Parameters
    ----------
    image : ndarray of uint8, shape (y, x, 3)
        Image in RGB.
    height, width : int
        New size in pixels.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Rounded means; the image itself where the size does not change.
    """
    rows, cols = image.shape[:2]
    if (rows, cols) == (height, width):
        return image
    if rows == cols and height == width and rows % height == 0:
        return shrink(image, rows // height)
    values = image.astype(np.float32)
    if rows != height:
        values = area_weights(rows, height) @ values.reshape(rows, -1)
        values = values.reshape(height, cols, 3)
    if cols != width:
        values = np.ascontiguousarray(values.transpose(1, 0, 2))
        values = area_weights(cols, width) @ values.reshape(cols, -1)
        values = values.reshape(width, height, 3).transpose(1, 0, 2)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@lru_cache(maxsize=64)
def area_weights(old: int, new: int) -> sparse.csr_matrix:
    """Give the share of every old pixel in every new one.

    Parameters
    ----------
    old, new : int
        Pixels along an axis, before and after resizing.

    Returns
    -------
    csr_matrix of float32, shape (new, old)
        Rows sum to 1. Shared: not to be changed.
    """
    # Imported here: opening a slide needs no resizing and does not wait for scipy.
    from scipy import sparse

    if new > old:
        center = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
        low = np.floor(center).astype(np.int64)
        high = np.minimum(low + 1, old - 1)
        part = center - low
        row = np.concatenate([np.arange(new)] * 2)
        share = np.concatenate([1 - part, part])
        col = np.concatenate([low, high])
        return sparse.csr_matrix((share.astype(np.float32), (row, col)), (new, old))
    edge = np.arange(new + 1) * (old / new)
    edge[-1] = old
    first = np.floor(edge[:-1]).astype(np.int64)
    span = int(np.ceil(old / new)) + 1
    col = first[:, None] + np.arange(span)
    share = np.minimum(col + 1, edge[1:, None]) - np.maximum(col, edge[:-1, None])
    share = np.clip(share, 0, None)
    share /= share.sum(axis=1, keepdims=True)
    row = np.broadcast_to(np.arange(new)[:, None], col.shape)
    used = (share > 0) & (col < old)
    entries = (share[used].astype(np.float32), (row[used], col[used]))
    return sparse.csr_matrix(entries, (new, old))
