"""Keep the weights of a network in the order that products want, step by step."""

from __future__ import annotations

import copy
import itertools
import logging
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from napari_mmsubtype.inference.derived_encoder import DerivedEncoder
from napari_mmsubtype.inference.fused_graph import FusedConv, can_fuse, is_plain

if TYPE_CHECKING:
    from torch import Tensor

    from napari_mmsubtype.models.encoders import Encoder

logger = logging.getLogger(__name__)

_OPERATION = "_linear_pointwise"
"""Private to PyTorch: another version may name it, or what it takes, differently."""
_PACKING = "_reorder_linear_weight"
_KINDS = (torch.bfloat16, torch.float16)
"""Precisions in which every product would bring its weights into order anew."""
_MOST_BYTES = 2**30
"""Of weights that are kept twice, as they are and in order."""


class PackedEncoder(DerivedEncoder):
    """An encoder whose course is as before, with weights in order.

    It shares all other weights with the encoder it was made from.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode, on the CPU, as prepared for its precision.
    packed : Encoder
        The same with other steps.

    Attributes
    ----------
    steps : int
        How many steps keep their weights in order.
    """

    def __init__(self, encoder: Encoder, packed: Encoder) -> None:
        super().__init__(encoder, packed)
        self.steps = sum(_is_packed(module) for module in packed.modules())

    def _features(self, images: Tensor) -> Tensor:
        return cast("Encoder", self.body).feature_map(images)


class PackedLinear(nn.Module):
    """A linear layer that keeps its weights in order, which the first input decides.

    Parameters
    ----------
    linear : torch.nn.Linear
        Its weights must not change once this has run.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self._packed: Tensor | None = None

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply rows by the weights.

        Parameters
        ----------
        rows : Tensor, shape (..., c)
            What is multiplied.

        Returns
        -------
        Tensor, shape (..., d)
            In the precision of the weights.
        """
        weight, bias = self.linear.weight, self.linear.bias
        rows = rows.to(weight.dtype)
        if self._packed is None:
            pack: Any = getattr(torch.ops.mkldnn, _PACKING)
            self._packed = pack(weight.detach(), rows.numel() // rows.shape[-1])
        step: Any = getattr(torch.ops.mkldnn, _OPERATION)
        found: Tensor = step.default(rows, self._packed, bias, "none", [], "")
        return found


def can_pack() -> bool:
    """Tell whether this build of PyTorch has the operations.

    Returns
    -------
    bool
        False without oneDNN, or where a version calls them by other names.
    """
    return (
        can_fuse()
        and hasattr(torch.ops.mkldnn, _OPERATION)
        and hasattr(torch.ops.mkldnn, _PACKING)
    )


def pack_encoder(encoder: Encoder) -> PackedEncoder | None:
    """Keep the weights of an encoder in order, whatever it does between its steps.

    For networks whose course cannot be followed, such as vision transformers; others
    gain more by `fused_graph.fuse_encoder`, which does this, too.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode, on the CPU, as prepared for a precision below float32; left
        as it is.

    Returns
    -------
    PackedEncoder or None
        To be compared with the encoder before it is used. None where there is nothing
        to gain: in float32, of less than two steps, or of more than a gigabyte.
    """
    if not can_pack():
        return None
    found = {
        name: module
        for name, module in encoder.named_modules()
        if _is_lowered(module) and "." in name
    }
    size = sum(module.weight.nbytes for module in found.values())
    if len(found) < 2 or size > _MOST_BYTES:
        return None
    # A copy of the modules alone: the tensors stand for themselves.
    tensors = itertools.chain(encoder.parameters(), encoder.buffers())
    made = copy.deepcopy(encoder, {id(tensor): tensor for tensor in tensors})
    for name in found:
        parent, _, own = name.rpartition(".")
        module = made.get_submodule(name)
        step = (
            PackedLinear(module)
            if isinstance(module, nn.Linear)
            else FusedConv(cast("nn.Conv2d", module), clips=False)
        )
        setattr(made.get_submodule(parent), own, step)
    return PackedEncoder(encoder, made)


def _is_lowered(module: nn.Module) -> bool:
    """Tell a layer whose weights are in a lower precision; subclasses may do more."""
    if type(module) is nn.Conv2d:
        return module.weight.dtype in _KINDS and is_plain(module)
    return type(module) is nn.Linear and module.weight.dtype in _KINDS


def _is_packed(module: nn.Module) -> bool:
    return isinstance(module, PackedLinear | FusedConv)


__all__ = ["PackedEncoder", "PackedLinear", "can_pack", "pack_encoder"]
