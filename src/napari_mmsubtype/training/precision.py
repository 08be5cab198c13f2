"""The number format of a forward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.graphics_card import has_bfloat16

if TYPE_CHECKING:
    from napari_mmsubtype.training.config import Precision


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Compute a forward pass in a number format.

    Parameters
    ----------
    precision : {"float32", "bfloat16", "auto"}
        As in `TrainingConfig`.
    device : torch.device
        Where it is computed.

    Returns
    -------
    torch.autocast
        A context for forward passes; losses belong outside of it, in float32.

    Raises
    ------
    ConfigurationError
        If a GPU has no bfloat16.
    """
    gpu = device.type == "cuda"
    offered = device.type == "cpu" or (gpu and has_bfloat16(device))
    if precision == "bfloat16" and not offered:
        msg = (
            f"precision bfloat16 is not offered by {device}; set precision to float32, "
            "or to auto, which takes bfloat16 where there is hardware for it"
        )
        raise ConfigurationError(msg)
    half = precision == "bfloat16" or (precision == "auto" and gpu and offered)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half)
