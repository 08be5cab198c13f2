"""Attention rollout: through which parts of a patch a vision transformer looks."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_mmsubtype.models.encoders import Encoder


def attention_rollout(attentions: Sequence[Tensor], prefix: int) -> Tensor:
    """Follow attention from the embedding through all blocks back to the patch.

    Parameters
    ----------
    attentions : sequence of Tensor of float, shape (n, t, t)
        Of each block, first to last, the mean over its heads; rows sum to 1.
    prefix : int
        Tokens before those of the patch: class token and registers.

    Returns
    -------
    Tensor of float32, shape (n, t - prefix)
        How much each token of the patch counts for the mean of the last tokens. Sums to
        1 less what ends in the tokens before.

    Notes
    -----
    Each block hands on half of what its attention gathers and half of what was there:
    ``R = A_L ... A_1`` with ``A = (attention + identity) / 2``. Of ``R`` the mean of
    the rows of the patch's own tokens is taken, not that of the class token: embeddings
    here are the mean of the former, and the class token has no part in them.

    References
    ----------
    .. [1] Abnar and Zuidema, "Quantifying attention flow in transformers", ACL 2020.
    """
    flow: Tensor | None = None
    for attention in attentions:
        own = torch.eye(attention.shape[1], device=attention.device)
        step = (attention.float() + own) / 2
        step = step / step.sum(dim=2, keepdim=True)
        flow = step if flow is None else step @ flow
    if flow is None:
        msg = "a rollout needs the attention of one block at least, found none"
        raise ValueError(msg)
    return flow[:, prefix:, prefix:].mean(dim=1)


def has_rollout(encoder: Encoder) -> bool:
    """Say whether the attention of an encoder can be rolled out.

    Parameters
    ----------
    encoder : Encoder
        Any.

    Returns
    -------
    bool
        True for vision transformers of torchvision's or timm's kind.
    """
    try:
        _attending(encoder)
    except ConfigurationError:
        return False
    return True


class AttentionTap:
    """Listens to the attention of a vision transformer between ``with`` and its end.

    Each thread hears of the images that it ran itself.

    Parameters
    ----------
    encoder : Encoder
        Of torchvision's or timm's kind, or a network that holds one.

    Attributes
    ----------
    cells : int
        Rows, and columns, of the patch's tokens.

    Raises
    ------
    ConfigurationError
        If the encoder has no attention among all tokens of a patch.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._blocks, self._prefix, token_px = _attending(encoder)
        self.cells = encoder.input_size // token_px
        self._threads = threading.local()
        self._undo: list[Any] = []

    def __enter__(self) -> Self:
        for block in self._blocks:
            if isinstance(block, nn.MultiheadAttention):
                self._undo += [
                    block.register_forward_pre_hook(_ask, with_kwargs=True).remove,
                    block.register_forward_hook(self._take_second).remove,
                ]
            else:
                self._undo += [
                    _Unfused(block).restore,
                    block.attn_drop.register_forward_hook(self._take_input).remove,
                ]
        first = self._blocks[0]
        self._undo.append(first.register_forward_pre_hook(self._forget).remove)
        return self

    def __exit__(self, *_: object) -> None:
        for undo in self._undo:
            undo()
        self._undo.clear()
        self._threads = threading.local()

    @property
    def _seen(self) -> list[Tensor]:
        """What this thread heard of the images that it ran last."""
        seen: list[Tensor] = self._threads.__dict__.setdefault("seen", [])
        return seen

    def maps(self) -> Tensor:
        """Draw the images that went through the encoder last, in this thread.

        Returns
        -------
        Tensor of float32, shape (n, 1, cells, cells)
            Their attention rollout.

        Raises
        ------
        ConfigurationError
            If the attention seen is not one among all tokens of a patch.
        """
        whole = self._prefix + self.cells**2
        shapes = {tuple(seen.shape[1:]) for seen in self._seen}
        if shapes != {(whole, whole)}:
            raise ConfigurationError(_REFUSAL)
        from napari_mmsubtype.models.vit import token_grid

        rolled = attention_rollout(self._seen, self._prefix)
        return token_grid(rolled[:, :, None], self.cells, self.cells)

    def _forget(self, *_: object) -> None:
        self._seen.clear()

    def _take_second(self, _block: Any, _inputs: Any, outputs: Any) -> None:
        self._seen.append(outputs[1].detach())

    def _take_input(self, _block: Any, inputs: Any, _outputs: Any) -> None:
        self._seen.append(inputs[0].detach().mean(dim=1))


class _Unfused:
    """Has a block of timm compute its attention openly for a while."""

    def __init__(self, block: Any) -> None:
        self._block, self._before = block, block.fused_attn
        block.fused_attn = False

    def restore(self) -> None:
        self._block.fused_attn = self._before


_REFUSAL = (
    "attention rollout is for vision transformers, whose tokens all attend to each "
    "other; the encoder of this model is none: do without it"
)


def _ask(_block: Any, inputs: Any, named: dict[str, Any]) -> Any:
    """Have torch's attention tell its weights, averaged over heads."""
    return inputs, {**named, "need_weights": True, "average_attn_weights": True}


def _attending(encoder: Encoder) -> tuple[list[Any], int, int]:
    """Find the attention of each block, the tokens before, and the side of a token."""
    for module in encoder.modules():
        if _is_of_torchvision(module):
            from napari_mmsubtype.models.vit import TOKEN_PX

            trunk: Any = module.encoder
            return [block.self_attention for block in trunk.layers], 1, TOKEN_PX
    network: Any = encoder.body
    found = [m for m in network.modules() if hasattr(m, "fused_attn") and _drops(m)]
    embed = getattr(network, "patch_embed", None)
    side = getattr(embed, "patch_size", None)
    if not found or side is None or not hasattr(network, "num_prefix_tokens"):
        raise ConfigurationError(_REFUSAL)
    return found, int(network.num_prefix_tokens), int(side[0])


def _is_of_torchvision(module: nn.Module) -> bool:
    """Tell torchvision's transformers, without loading torchvision."""
    known = sys.modules.get("torchvision.models")
    return known is not None and isinstance(module, known.VisionTransformer)


def _drops(module: Any) -> bool:
    return isinstance(getattr(module, "attn_drop", None), nn.Module)
