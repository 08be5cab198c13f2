"""Make an encoder faster on a CPU without changing what it computes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from napari_mmsubtype.models.encoders import Encoder

logger = logging.getLogger(__name__)

_TOLERANCE = 1e-4
"""Largest change, as a share of the norm, that rounding explains."""


@torch.no_grad()
def fold_batch_norms(encoder: Encoder) -> int:
    """Fold every batch normalization that follows a convolution into its weights.

    In evaluation mode such a layer multiplies each channel by a number and adds
    another: the convolution can do that itself, which saves a pass over the maps. Which
    layer follows which is seen by running the network once; the folded network must
    then give the same map, or everything is put back.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode, in float32; changed in place.

    Returns
    -------
    int
        How many layers were folded.
    """
    if not any(_is_norm(module) for module in encoder.modules()):
        return 0
    images = _probe(encoder)
    pairs, expected = _follow(encoder, images)
    undo = [_fold(encoder, conv, name) for conv, name in pairs]
    change = float((encoder.feature_map(images) - expected).norm() / expected.norm())
    if change <= _TOLERANCE:
        return len(pairs)
    for restore in reversed(undo):
        restore()
    logger.info(
        "encoder %s: its batch normalizations stay as they are, because folding them "
        "into its convolutions would change its map by %.1e; it runs a little slower",
        encoder.name,
        change,
    )
    return 0


def lower_weights(encoder: Encoder, kind: torch.dtype) -> None:
    """Keep the weights of convolutions and linear layers in a lower precision.

    Under autocast these layers round their weights to it anyway, in every batch anew.

    Parameters
    ----------
    encoder : Encoder
        Changed in place; to be run under autocast of the same precision.
    kind : torch.dtype
        Such as ``torch.bfloat16``.
    """
    for module in encoder.modules():
        if type(module) in {nn.Conv2d, nn.Linear}:
            module.to(kind)


def _is_norm(module: nn.Module) -> bool:
    """Tell a batch normalization with fixed statistics; subclasses may do more."""
    return (
        type(module) is nn.BatchNorm2d
        and module.running_mean is not None
        and not module.training
    )


def _probe(encoder: Encoder) -> Tensor:
    """Draw images that make every channel of the network move."""
    size = encoder.input_size
    weight = next(encoder.parameters())
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(1, 3, size, size, generator=draw).to(weight.device)
    return images.contiguous(memory_format=torch.channels_last)


def _follow(
    encoder: Encoder, images: Tensor
) -> tuple[list[tuple[nn.Conv2d, str]], Tensor]:
    """Run the network and list each convolution with the normalization it feeds."""
    makers: dict[int, nn.Conv2d] = {}
    # The tensors are held so that no later one is given the same identity.
    kept: list[Tensor] = []
    calls: dict[str, list[nn.Conv2d | None]] = {}
    uses: dict[nn.Conv2d, int] = {}

    def _made(module: nn.Module, _: object, output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            makers[id(output)] = module
            uses[module] = uses.get(module, 0) + 1
            kept.append(output)

    def _take(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def _taken(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            calls.setdefault(name, []).append(makers.get(id(inputs[0])))

        return _taken

    hooks = []
    for name, module in encoder.named_modules():
        if type(module) is nn.Conv2d:
            hooks.append(module.register_forward_hook(_made))
        elif _is_norm(module):
            hooks.append(module.register_forward_pre_hook(_take(name)))
    try:
        features = encoder.feature_map(images)
    finally:
        for hook in hooks:
            hook.remove()
    pairs = [
        (feeding[0], name)
        for name, feeding in calls.items()
        if len(feeding) == 1 and feeding[0] is not None and uses[feeding[0]] == 1
    ]
    return pairs, features


def _fold(encoder: Encoder, conv: nn.Conv2d, name: str) -> Callable[[], None]:
    """Fold one normalization; give what puts it back."""
    parent_name, _, own = name.rpartition(".")
    parent = encoder.get_submodule(parent_name)
    norm: Any = encoder.get_submodule(name)
    weight, bias = conv.weight, conv.bias
    folded = fuse_conv_bn_weights(
        weight,
        bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    conv.weight, conv.bias = folded
    setattr(parent, own, nn.Identity())

    def _restore() -> None:
        conv.weight, conv.bias = weight, bias
        setattr(parent, own, norm)

    return _restore
