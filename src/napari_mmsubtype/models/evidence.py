"""Additive attention conditioned on the omics, whose explanation is exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.models.fusion import (
    OWN,
    FusionModel,
    FusionOutput,
    register_fusion,
)
from napari_mmsubtype.models.mil import GatedAttention
from napari_mmsubtype.models.omics_encoders import vector_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping


@register_fusion("evidence")
class EvidenceFusion(FusionModel):
    """Sums the evidence of patches and of tables, nothing else.

    With the omics tokens ``o``, patch embeddings ``h_i`` and classes ``c``::

        a_i     = softmax over patches of gated attention(h_i, o)
        e_ic    = a_i q_c(o) . h_i                    evidence of a patch
        logit_c = bias_c + sum_m b_mc(o_m) + sum_i e_ic

    A modality that is missing adds nothing itself; in ``q`` and ``a`` a learned token
    stands for it. The queries ``q_c(o)`` are kept orthogonal to the average training
    embedding (`FusionModel.set_reference`), so that the average patch is evidence of 0
    for every class and ``q_c . h_i`` needs no offset: evidence stays linear in the
    encoder's feature map, pixel by pixel.

    Parameters
    ----------
    dim : int
        Length of a patch embedding.
    classes : int
        Number of classes.
    omics : mapping of str to int
        Omics modalities and the length of their vectors.
    token_dim : int, default: 64
        Length of the token of each omics modality.
    attention_dim : int, default: 64
        Width of the attention gate.
    dropout : float, default: 0.25
        Dropout of the molecular encoders and of attention, during training.
    """

    exact_cam = True
    downward = (OWN, "query_shift")

    def __init__(
        self,
        dim: int,
        classes: int,
        omics: Mapping[str, int],
        *,
        token_dim: int = 64,
        attention_dim: int = 64,
        dropout: float = 0.25,
    ) -> None:
        super().__init__(dim, classes, omics)
        self.encoders = nn.ModuleDict(
            {
                modality: vector_encoder(modality, length, token_dim, dropout=dropout)
                for modality, length in self.omics.items()
            }
        )
        self.heads = nn.ModuleDict(
            {m: nn.Linear(token_dim, classes, bias=False) for m in self.omics}
        )
        self.missing = nn.ParameterDict(
            {m: nn.Parameter(0.1 * torch.randn(token_dim)) for m in self.omics}
        )
        context_dim = token_dim * len(self.omics)
        self.attention = GatedAttention(
            dim, attention_dim, context_dim=context_dim, dropout=dropout
        )
        self.query = nn.Parameter(torch.randn(classes, dim) / dim**0.5)
        self.query_shift: nn.Linear | None = None
        if context_dim:
            self.query_shift = nn.Linear(context_dim, classes * dim, bias=False)
            nn.init.normal_(
                self.query_shift.weight, std=0.3 / (dim * context_dim) ** 0.5
            )
        self.bias = nn.Parameter(torch.zeros(classes))

    def _fuse(
        self,
        bag: Tensor,
        mask: Tensor,
        values: Mapping[Modality, Tensor],
        present: Tensor,
    ) -> FusionOutput:
        tokens = self._tokens(values)
        context = self._context(tokens, present)
        weights = self.attention(
            bag, mask, context, mean=self.embedding_mean, scale=self.embedding_scale
        )
        scores = bag @ self._queries(context, len(bag)).transpose(1, 2)
        evidence = weights.unsqueeze(2) * scores
        parts: dict[str, Tensor] = {
            "bias": self.bias.expand(len(bag), -1),
            Modality.IMAGE.value: evidence.sum(dim=1),
        }
        for column, (modality, token) in enumerate(tokens.items(), start=1):
            own: Tensor = self.heads[modality](token)
            parts[modality.value] = own.masked_fill(~present[:, column, None], 0.0)
        logits = torch.stack(list(parts.values())).sum(dim=0)
        return FusionOutput(logits, evidence, weights, parts)

    def _pixel_queries(
        self, values: Mapping[Modality, Tensor], present: Tensor
    ) -> Tensor:
        context = self._context(self._tokens(values), present)
        return self._queries(context, len(present))

    def _tokens(self, values: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        """Encode each modality, absent ones too."""
        return {m: self.encoders[m](vector) for m, vector in values.items()}

    def _context(
        self, tokens: Mapping[Modality, Tensor], present: Tensor
    ) -> Tensor | None:
        """Join the tokens, learned ones standing for absent modalities."""
        if not tokens:
            return None
        return torch.cat(
            [
                torch.where(present[:, column, None], token, self.missing[modality])
                for column, (modality, token) in enumerate(tokens.items(), start=1)
            ],
            dim=1,
        )

    def _queries(self, context: Tensor | None, patients: int) -> Tensor:
        """Give the class queries in the space of the encoder, shape (b, c, dim)."""
        queries = self.query.expand(patients, -1, -1)
        if self.query_shift is not None and context is not None:
            queries = queries + self.query_shift(context).view_as(queries)
        center = self.embedding_mean / self.embedding_scale
        along = (queries @ center) / (center @ center).clamp_min(1e-12)
        queries = queries - along.unsqueeze(2) * center
        return queries / self.embedding_scale
