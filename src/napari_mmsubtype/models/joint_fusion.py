"""Three ways to join one token per modality: side by side, gated, multiplied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_mmsubtype.models.fusion import OWN, register_fusion
from napari_mmsubtype.models.fusion_branches import TokenFusion

if TYPE_CHECKING:
    from collections.abc import Mapping


@register_fusion("feature_concat")
class ConcatFusion(TokenFusion):
    """Puts the tokens and their presence side by side, before a dense network (MMLM).

    Parameters
    ----------
    dim : int
        Length of a patch embedding.
    classes : int
        Number of classes.
    omics : mapping of str to int
        Omics modalities and the length of their vectors.
    hidden : int, default: 256
        Width of the dense network.
    dropout : float, default: 0.25
        Dropout during training.
    **options
        Of `fusion_branches.TokenFusion`: ``width``, ``pooling``, ``pooling_options``.
    """

    def __init__(
        self,
        dim: int,
        classes: int,
        omics: Mapping[str, int],
        *,
        hidden: int = 256,
        dropout: float = 0.25,
        **options: Any,
    ) -> None:
        super().__init__(dim, classes, omics, dropout=dropout, **options)
        self.head = nn.Sequential(
            nn.Linear(len(self.modalities) * (self.width + 1), hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def _join(self, tokens: Tensor, present: Tensor) -> Tensor:
        joined = torch.cat([tokens.flatten(1), present.to(tokens.dtype)], dim=1)
        logits: Tensor = self.head(joined)
        return logits


@register_fusion("gated")
class GatedFusion(TokenFusion):
    """Adds the tokens through gates that see all of them.

    With tokens ``t_m``, joined with their presence to ``t``, the sum is
    ``sum_m sigmoid(W_m t + a_m) * tanh(V_m t_m + b_m)`` [1]_, before a linear head.

    Parameters
    ----------
    dim : int
        Length of a patch embedding.
    classes : int
        Number of classes.
    omics : mapping of str to int
        Omics modalities and the length of their vectors.
    dropout : float, default: 0.25
        Dropout during training.
    **options
        Of `fusion_branches.TokenFusion`: ``width``, ``pooling``, ``pooling_options``.

    References
    ----------
    .. [1] Arevalo et al., "Gated multimodal units for information fusion", ICLR
       workshop 2017.
    """

    def __init__(
        self,
        dim: int,
        classes: int,
        omics: Mapping[str, int],
        *,
        dropout: float = 0.25,
        **options: Any,
    ) -> None:
        super().__init__(dim, classes, omics, dropout=dropout, **options)
        count = len(self.modalities)
        self.values = nn.ModuleList(
            nn.Linear(self.width, self.width) for _ in range(count)
        )
        self.gates = nn.Linear(count * (self.width + 1), count * self.width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.width, classes)

    def _join(self, tokens: Tensor, present: Tensor) -> Tensor:
        joined = torch.cat([tokens.flatten(1), present.to(tokens.dtype)], dim=1)
        gates = torch.sigmoid(self.gates(joined)).view_as(tokens)
        values = torch.stack(
            [layer(tokens[:, index]) for index, layer in enumerate(self.values)], dim=1
        )
        logits: Tensor = self.head(self.dropout((gates * values.tanh()).sum(dim=1)))
        return logits


@register_fusion("bilinear")
class BilinearFusion(TokenFusion):
    """Multiplies the tokens, in a low-rank form of their outer product.

    With tokens ``t_m`` the product is ``sum_r w_r prod_m (U_mr t_m + b_mr)`` [1]_:
    because of the offsets, which start at 1, it holds what each token says by itself
    beside every product of tokens. It is normalized before a linear head.

    Parameters
    ----------
    dim : int
        Length of a patch embedding.
    classes : int
        Number of classes.
    omics : mapping of str to int
        Omics modalities and the length of their vectors.
    rank : int, default: 8
        Number of products.
    features : int, default: 64
        Length of a product.
    dropout : float, default: 0.25
        Dropout during training.
    **options
        Of `fusion_branches.TokenFusion`: ``width``, ``pooling``, ``pooling_options``.

    Raises
    ------
    ValueError
        If the rank or the length is not positive.

    References
    ----------
    .. [1] Liu et al., "Efficient low-rank multimodal fusion with modality-specific
       factors", ACL 2018.
    """

    downward = ("head", "norm", OWN)

    def __init__(
        self,
        dim: int,
        classes: int,
        omics: Mapping[str, int],
        *,
        rank: int = 8,
        features: int = 64,
        dropout: float = 0.25,
        **options: Any,
    ) -> None:
        if rank < 1 or features < 1:
            msg = f"rank and features must be positive, found {rank} and {features}"
            raise ValueError(msg)
        super().__init__(dim, classes, omics, dropout=dropout, **options)
        count = len(self.modalities)
        scale = 0.5 / self.width**0.5
        self.factors = nn.Parameter(
            scale * torch.randn(count, rank, features, self.width)
        )
        self.offsets = nn.Parameter(torch.ones(count, rank, features))
        self.rank_weights = nn.Parameter(torch.full((rank,), 1 / rank))
        self.norm = nn.LayerNorm(features)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, classes)

    def _join(self, tokens: Tensor, present: Tensor) -> Tensor:
        factors = torch.einsum("mrfw,bmw->bmrf", self.factors, tokens) + self.offsets
        product = torch.einsum("r,brf->bf", self.rank_weights, factors.prod(dim=1))
        logits: Tensor = self.head(self.dropout(self.norm(product)))
        return logits
