"""Shrink patches on a device as `slides.area_resize` does on the CPU."""

from __future__ import annotations

from functools import lru_cache

import torch

from napari_mmsubtype.slides.area_resize import area_weights


def resize_area_on_device(
    images: torch.Tensor, height: int, width: int
) -> torch.Tensor:
    """Resize images, each new pixel being the mean of the area that it covers.

    Parameters
    ----------
    images : Tensor of uint8, shape (n, y, x, 3)
        RGB, on any device.
    height, width : int
        New size in pixels.

    Returns
    -------
    Tensor of uint8, shape (n, height, width, 3)
        On the same device. The pixels of `area_resize.resize_area`: exactly where
        squares shrink by a whole factor, else up to one level where a mean lies
        halfway between two.
    """
    rows, cols = images.shape[1:3]
    if (rows, cols) == (height, width):
        return images
    if rows == cols and height == width and rows % height == 0:
        return _shrink(images, rows // height)
    values = images.permute(0, 3, 1, 2).float()
    if rows != height:
        values = _weigh(values.transpose(2, 3), height).transpose(2, 3)
    if cols != width:
        values = _weigh(values, width)
    return values.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _shrink(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Average blocks in whole numbers, with the rounding of ``Image.reduce``."""
    count, side = images.shape[:2]
    new = side // factor
    blocks = images.reshape(count, new, factor, new, factor, 3)
    sums = blocks.sum(dim=(2, 4), dtype=torch.int64)
    area = factor * factor
    # Pillow divides by a product with 24 bits behind the point, cut off.
    return ((sums + area // 2) * (2**24 // area) >> 24).to(torch.uint8)


def _weigh(values: torch.Tensor, new: int) -> torch.Tensor:
    """Resize the last axis."""
    index, share = _nearest(values.shape[-1], new, values.device)
    # Pixel by pixel and not as a product of matrices, which a GPU may round to ten
    # bits.
    total = values[..., index[0]] * share[0]
    for column, part in zip(index[1:], share[1:], strict=True):
        total += values[..., column] * part
    return total


@lru_cache(maxsize=16)
def _nearest(
    old: int, new: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give which old pixels a new one takes, and their shares, both (most, new)."""
    weights = area_weights(old, new)
    most = int((weights.indptr[1:] - weights.indptr[:-1]).max())
    index = torch.zeros(most, new, dtype=torch.int64)
    share = torch.zeros(most, new)
    for row in range(new):
        part = slice(weights.indptr[row], weights.indptr[row + 1])
        count = part.stop - part.start
        index[:count, row] = torch.as_tensor(weights.indices[part]).long()
        share[:count, row] = torch.as_tensor(weights.data[part])
    return index.to(device), share.to(device)


__all__ = ["resize_area_on_device"]
