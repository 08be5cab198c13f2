"""Weights in the names of Hugging Face's DINOv2, renamed to those of timm."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_mmsubtype.models.vit import fit_positions

_CLASS = "embeddings.cls_token"
_POSITIONS = "embeddings.position_embeddings"
_UNUSED = frozenset({"embeddings.mask_token"})
_RENAMED = (
    ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
    ("embeddings.register_tokens", "reg_token"),
    (_CLASS, "cls_token"),
    ("encoder.layer.", "blocks."),
    (".attention.output.dense.", ".attn.proj."),
    (".layer_scale1.lambda1", ".ls1.gamma"),
    (".layer_scale2.lambda1", ".ls2.gamma"),
    (".mlp.weights_in.", ".mlp.fc1."),
    (".mlp.weights_out.", ".mlp.fc2."),
    ("layernorm.", "norm."),
)
_QUERY = ".attention.attention.query."


def from_dinov2(
    state: dict[str, Tensor], *, side: int, class_has_position: bool
) -> dict[str, Tensor]:
    """Rename, and refit, the tensors of a DINOv2 for timm's vision transformer.

    Parameters
    ----------
    state : dict of str to Tensor
        In the names of Hugging Face; those of timm are given back unchanged.
    side : int
        Cells per row of the network's position embeddings, to which those of the file
        are resampled.
    class_has_position : bool
        Whether the network keeps a position of the class token; if not, that of the
        file is added to the token.

    Returns
    -------
    dict of str to Tensor
        In the names of timm.
    """
    if not {_CLASS, _POSITIONS} <= set(state):
        return state
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if name in _UNUSED or name == _POSITIONS:
            continue
        if _QUERY in name:
            parts = [name.replace("query", part) for part in ("query", "key", "value")]
            joined = name.replace(_QUERY, ".attn.qkv.")
            # A file without one of them is told so by the check of names.
            if all(part in state for part in parts):
                value = torch.cat([state[part] for part in parts])
            found[_renamed(joined)] = value
        elif ".attention.attention." not in name:
            found[_renamed(name)] = value
    positions = fit_positions(state[_POSITIONS], side, side)
    if class_has_position:
        found["pos_embed"] = positions
    else:
        found["cls_token"] = state[_CLASS] + positions[:, :1]
        found["pos_embed"] = positions[:, 1:]
    return found


def _renamed(name: str) -> str:
    """Give the name of timm."""
    for theirs, ours in _RENAMED:
        name = name.replace(theirs, ours)
    return name
