"""Weights of a vision transformer in the names of timm, renamed to torchvision's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_RENAMED = (
    (re.compile(r"^cls_token$"), "class_token"),
    (re.compile(r"^pos_embed$"), "encoder.pos_embedding"),
    (re.compile(r"^patch_embed\.proj\."), "conv_proj."),
    (re.compile(r"^norm\."), "encoder.ln."),
    (re.compile(r"^blocks\.(\d+)\."), r"encoder.layers.encoder_layer_\1."),
    (re.compile(r"\.norm([12])\."), r".ln_\1."),
    (re.compile(r"\.attn\.qkv\."), ".self_attention.in_proj_"),
    (re.compile(r"\.attn\.proj\."), ".self_attention.out_proj."),
    (re.compile(r"\.mlp\.fc1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.fc2\."), ".mlp.3."),
)
_CLASSIFIER = "head."


def from_timm_vit(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of a timm vision transformer the names of torchvision's.

    Parameters
    ----------
    state : dict of str to Tensor
        In the names of timm; those of torchvision are given back unchanged.

    Returns
    -------
    dict of str to Tensor
        Without timm's classifier.
    """
    if not {"cls_token", "patch_embed.proj.weight"} <= set(state):
        return state
    found = {}
    for name, value in state.items():
        if name.startswith(_CLASSIFIER):
            continue
        for pattern, ours in _RENAMED:
            name = pattern.sub(ours, name)
        found[name] = value
    return found
