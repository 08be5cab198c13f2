"""Bidirectional cross-attention between patches and groups of omics features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.models.fusion import FusionModel, FusionOutput, register_fusion
from napari_mmsubtype.models.mil import GatedAttention
from napari_mmsubtype.models.omics_encoders import ClinicalMLP, Groups, GroupTokens
from napari_mmsubtype.models.patch_projection import patch_projection, project_patches

if TYPE_CHECKING:
    from collections.abc import Mapping


class Attention(nn.Module):
    """Multi-head attention of one set of tokens over another.

    Parameters
    ----------
    width : int
        Length of a token; a multiple of ``heads``.
    heads : int
        Number of heads.
    dropout : float
        Dropout on the attention weights during training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor, valid: Tensor) -> Tensor:
        """Attend.

        Parameters
        ----------
        queries : Tensor of float, shape (b, q, width)
            Tokens that look.
        keys : Tensor of float, shape (b, k, width)
            Tokens that are looked at.
        valid : Tensor of bool, shape (b, k)
            Which keys exist; at least one in each row.

        Returns
        -------
        Tensor of float, shape (b, q, width)
            What each query found.
        """
        key, value = self.key_value(keys).chunk(2, dim=2)
        found = F.scaled_dot_product_attention(
            self._split(self.query(queries)),
            self._split(key),
            self._split(value),
            attn_mask=valid[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        out: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return out

    def _split(self, tokens: Tensor) -> Tensor:
        """Divide tokens among the heads, shape (b, heads, n, width / heads)."""
        b, n, width = tokens.shape
        return tokens.view(b, n, self.heads, width // self.heads).transpose(1, 2)


class Exchange(nn.Module):
    """One block: omics look at patches, patches look at omics, both keep themselves.

    Normalization comes first and every step is added to what was there, so neither side
    can lose its own content.

    Parameters
    ----------
    width : int
        Length of a token.
    heads : int
        Number of attention heads.
    dropout : float
        Dropout during training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm_patches = nn.LayerNorm(width)
        self.norm_omics = nn.LayerNorm(width)
        self.to_omics = Attention(width, heads, dropout)
        self.to_patches = Attention(width, heads, dropout)
        self.refine_patches = _feed_forward(width, dropout)
        self.refine_omics = _feed_forward(width, dropout)

    def forward(
        self, patches: Tensor, valid: Tensor, omics: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Exchange information once in both directions.

        Parameters
        ----------
        patches : Tensor of float, shape (b, n, width)
            Patch tokens.
        valid : Tensor of bool, shape (b, n)
            Which patch tokens exist; at least one in each row.
        omics : Tensor of float, shape (b, k, width)
            Omics tokens, all of which exist.

        Returns
        -------
        patches : Tensor of float, shape (b, n, width)
            Patch tokens that have seen the omics.
        omics : Tensor of float, shape (b, k, width)
            Omics tokens that have seen the patches.
        """
        seen_patches, seen_omics = self.norm_patches(patches), self.norm_omics(omics)
        everything = torch.ones(omics.shape[:2], dtype=torch.bool, device=omics.device)
        omics = omics + self.to_omics(seen_omics, seen_patches, valid)
        patches = patches + self.to_patches(seen_patches, seen_omics, everything)
        return (
            patches + self.refine_patches(patches),
            omics + self.refine_omics(omics),
        )


@register_fusion("cross_attention")
class CrossAttentionFusion(FusionModel):
    """Patches and omics groups attend to each other over many tokens on both sides.

    Unlike attention over a single omics token, whose softmax is constantly 1, every
    modality reaches the logits. A missing modality is replaced by learned tokens.

    Evidence of a patch is its attention weight times its own class logits, linear in
    its token after the exchange; it sums to the auxiliary *image* logits, not to the
    fused ones, and it is not linear in the encoder's feature map (``exact_cam`` is
    False). ``modality_logits`` are those of the auxiliary heads; they do not add up to
    ``logits``.

    Parameters
    ----------
    dim : int
        Length of a patch embedding.
    classes : int
        Number of classes.
    omics : mapping of str to int
        Omics modalities and the length of their vectors.
    width : int, default: 128
        Length of a token, a multiple of ``heads``.
    heads : int, default: 4
        Number of attention heads.
    blocks : int, default: 2
        Number of exchanges.
    groups : int, or mapping of str to what `GroupTokens` takes, default: 16
        Groups of features of each molecular modality: a number of learned groups, or
        by modality the feature indices of each group, with learned groups for the rest
        or without; see `feature_groups.group_options`.
    dropout : float, default: 0.1
        Dropout during training.

    Raises
    ------
    ValueError
        If the width is not a multiple of the heads, or a group is impossible.
    """

    downward = ("head",)

    def __init__(
        self,
        dim: int,
        classes: int,
        omics: Mapping[str, int],
        *,
        width: int = 128,
        heads: int = 4,
        blocks: int = 2,
        groups: int | Mapping[str, Groups] = 16,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(dim, classes, omics)
        if width % heads:
            msg = f"width must be a multiple of heads, found {width} and {heads}"
            raise ValueError(msg)
        self.project = patch_projection(dim, width, dropout)
        self.encoders = nn.ModuleDict()
        self.missing = nn.ParameterDict()
        for modality, length in self.omics.items():
            if modality is Modality.CLINICAL:
                self.encoders[modality], tokens = ClinicalMLP(length, width), 1
            else:
                chosen = groups if isinstance(groups, int) else groups.get(modality, 16)
                encoder = GroupTokens(length, width, groups=chosen)
                self.encoders[modality], tokens = encoder, encoder.tokens
            self.missing[modality] = nn.Parameter(_small(tokens, width))
        # Stand-ins, so that neither side of an exchange is ever empty.
        self.missing_image = nn.Parameter(_small(width))
        self.patient = nn.Parameter(_small(width))
        self.blocks = nn.ModuleList(
            Exchange(width, heads, dropout) for _ in range(blocks)
        )
        self.norm_patches = nn.LayerNorm(width)
        self.norm_omics = nn.LayerNorm(width)
        self.pool_patches = GatedAttention(width, width // 2)
        self.pool_omics = GatedAttention(width, width // 2)
        self.head = nn.Sequential(
            nn.Linear(3 * width, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, classes),
        )
        self.aux_heads = nn.ModuleDict(
            {m: nn.Linear(width, classes, bias=False) for m in self.modalities}
        )

    def _fuse(
        self,
        bag: Tensor,
        mask: Tensor,
        values: Mapping[Modality, Tensor],
        present: Tensor,
    ) -> FusionOutput:
        patients = len(bag)
        patches = project_patches(
            self.project, bag, self.embedding_mean, self.embedding_scale
        )
        stand_in = self.missing_image.expand(patients, 1, -1)
        patches = torch.cat([stand_in, patches], dim=1)
        valid = torch.cat([~mask.any(dim=1, keepdim=True), mask], dim=1)
        omics, spans = self._omics_tokens(values, present)
        for block in self.blocks:
            patches, omics = block(patches, valid, omics)
        patches, omics = self.norm_patches(patches), self.norm_omics(omics)
        attention = self.pool_patches(patches, valid)
        of_image = (attention.unsqueeze(1) @ patches).squeeze(1)
        everything = torch.ones(omics.shape[:2], dtype=torch.bool, device=omics.device)
        omics_attention = self.pool_omics(omics, everything)
        of_omics = (omics_attention.unsqueeze(1) @ omics).squeeze(1)
        logits = self.head(torch.cat([of_image, of_omics, of_image * of_omics], dim=1))
        # Without the stand-in, whose weight is 0 wherever there is an image.
        weights = attention[:, 1:]
        own: Tensor = self.aux_heads[Modality.IMAGE](patches[:, 1:])
        evidence = (weights.unsqueeze(2) * own).masked_fill(~mask.unsqueeze(2), 0.0)
        parts = {Modality.IMAGE.value: evidence.sum(dim=1)}
        for column, (modality, span) in enumerate(spans.items(), start=1):
            answer: Tensor = self.aux_heads[modality](omics[:, span].mean(dim=1))
            parts[modality.value] = answer.masked_fill(~present[:, column, None], 0.0)
        return FusionOutput(logits, evidence, weights, parts)

    def _omics_tokens(
        self, values: Mapping[Modality, Tensor], present: Tensor
    ) -> tuple[Tensor, dict[Modality, slice]]:
        """Give all omics tokens, and where those of each modality lie among them."""
        parts = [self.patient.expand(len(present), 1, -1)]
        spans: dict[Modality, slice] = {}
        start = 1
        for column, (modality, vector) in enumerate(values.items(), start=1):
            own: Tensor = self.encoders[modality](vector)
            own = own.unsqueeze(1) if own.ndim == 2 else own
            here = present[:, column, None, None]
            parts.append(torch.where(here, own, self.missing[modality]))
            spans[modality] = slice(start, start + own.shape[1])
            start += own.shape[1]
        return torch.cat(parts, dim=1), spans


def _feed_forward(width: int, dropout: float) -> nn.Sequential:
    """Normalize, widen twofold and come back."""
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, 2 * width),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(2 * width, width),
    )


def _small(*shape: int) -> Tensor:
    """Draw the start of a learned token."""
    return 0.02 * torch.randn(*shape)
