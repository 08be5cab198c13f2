"""Decode JPEG streams on the device that runs the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_mmsubtype.models.lean_torchvision import import_torchvision

if TYPE_CHECKING:
    from collections.abc import Sequence


def decode_streams(streams: Sequence[bytes], device: torch.device) -> torch.Tensor:
    """Decode JPEG streams of one size.

    Parameters
    ----------
    streams : sequence of bytes
        At least one; of three components each.
    device : torch.device
        A CUDA device decodes with nvJPEG, the CPU with libjpeg-turbo.

    Returns
    -------
    Tensor of uint8, shape (k, y, x, 3)
        RGB, on the device.

    Raises
    ------
    ImportError
        If this torchvision decodes no images.
    RuntimeError
        If a stream cannot be decoded; it is not told which.
    """
    import_torchvision()
    from torchvision.io import ImageReadMode, decode_jpeg

    # A copy each, for a tensor may not stand on bytes, which never change.
    raw = [torch.frombuffer(bytearray(s), dtype=torch.uint8) for s in streams]
    if device.type == "cuda":
        # The decoder writes on a stream of its own, which does not wait for what the
        # current one still does with the memory that it is given
        # (https://github.com/pytorch/vision/pull/9606).
        torch.cuda.current_stream(device).synchronize()
    try:
        decoded = decode_jpeg(raw, mode=ImageReadMode.RGB, device=device)
    except RuntimeError:
        if device.type == "cuda":
            # It may still be writing to memory that is given to others next.
            torch.cuda.synchronize(device)
        raise
    return torch.stack(decoded).permute(0, 2, 3, 1)


__all__ = ["decode_streams"]
