"""One token per modality: what the fusion families over such tokens share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.models.fusion import FusionModel, FusionOutput
from napari_mmsubtype.models.mil_pooling import Pooled, create_pooling
from napari_mmsubtype.models.omics_encoders import vector_encoder
from napari_mmsubtype.models.patch_projection import patch_projection, project_patches

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Branches:
    """What each modality of a batch says by itself.

    Attributes
    ----------
    tokens : dict of Modality to Tensor of float, shape (b, width)
        One per modality, of no meaning where it is absent.
    present : Tensor of bool, shape (b, m)
        Which modalities are there; an image without a patch is not.
    evidence : Tensor of float, shape (b, n, c)
        Of each patch, summing to the image's logits.
    weights : Tensor of float, shape (b, n)
        Of each patch.
    logits : dict of str to Tensor of float, shape (b, c)
        Of each modality's own head, 0 where it is absent.
    """

    tokens: dict[Modality, Tensor]
    present: Tensor
    evidence: Tensor
    weights: Tensor
    logits: dict[str, Tensor]


class BranchFusion(FusionModel):
    """Gives each modality one token and a head of its own.

    Evidence of a patch is its contribution to the pooled image, seen by the image's own
    head; it sums to the image's own logits, not to the fused ones.

    Parameters
    ----------
    dim : int
        Length of a patch embedding.
    classes : int
        Number of classes.
    omics : mapping of str to int
        Omics modalities and the length of their vectors.
    width : int, default: 128
        Length of a token.
    pooling : str, default: "gated"
        How patches become one token: one of `mil_pooling.list_poolings`.
    pooling_options : mapping, optional
        What the pooling takes besides.
    dropout : float, default: 0.25
        Dropout during training.
    """

    image_apart = True

    def __init__(
        self,
        dim: int,
        classes: int,
        omics: Mapping[str, int],
        *,
        width: int = 128,
        pooling: str = "gated",
        pooling_options: Mapping[str, Any] | None = None,
        dropout: float = 0.25,
    ) -> None:
        super().__init__(dim, classes, omics)
        self.project = patch_projection(dim, width, dropout)
        self.pool = create_pooling(pooling, width, **(pooling_options or {}))
        self.encoders = nn.ModuleDict(
            {
                modality: vector_encoder(modality, length, width, dropout=dropout)
                for modality, length in self.omics.items()
            }
        )
        self.own_heads = nn.ModuleDict(
            {m: nn.Linear(width, classes, bias=False) for m in self.modalities}
        )

    def _branches(
        self,
        bag: Tensor,
        mask: Tensor,
        values: Mapping[Modality, Tensor],
        present: Tensor,
    ) -> Branches:
        """Encode each modality and hear its own head."""
        present = torch.cat([mask.any(dim=1, keepdim=True), present[:, 1:]], dim=1)
        pooled, evidence = self._image(bag, mask)
        tokens: dict[Modality, Tensor] = {Modality.IMAGE: pooled.vector}
        logits = {Modality.IMAGE.value: evidence.sum(dim=1)}
        for column, (modality, vector) in enumerate(values.items(), start=1):
            tokens[modality] = self.encoders[modality](vector)
            own: Tensor = self.own_heads[modality](tokens[modality])
            logits[modality.value] = own.masked_fill(~present[:, column, None], 0.0)
        return Branches(tokens, present, evidence, pooled.weights, logits)

    def _image(self, bag: Tensor, mask: Tensor) -> tuple[Pooled, Tensor]:
        """Pool each bag and hear the image's own head of each patch."""
        count = len(bag)
        if not self.training and count > 1 and bag.stride(0) == 0:
            # One slide for all patients; they may differ in whether they have it.
            there = mask.any(dim=1, keepdim=True)
            once = mask.any(dim=0, keepdim=True)
            if torch.equal(mask, once & there):
                one, evidence = self._image(bag[:1], once)
                return Pooled(
                    one.vector * there,
                    one.weights * there,
                    one.contributions * there.unsqueeze(2),
                ), evidence * there.unsqueeze(2)
        patches = project_patches(
            self.project, bag, self.embedding_mean, self.embedding_scale
        )
        pooled = self.pool(patches, mask)
        evidence = self.own_heads[Modality.IMAGE](pooled.contributions)
        return pooled, evidence


class TokenFusion(BranchFusion):
    """Joins one normalized token per modality, learned ones standing for absent ones.

    Subclasses implement ``_join``. ``modality_logits`` are those of the heads of each
    modality; they do not add up to ``logits``.

    Parameters
    ----------
    dim : int
        Length of a patch embedding.
    classes : int
        Number of classes.
    omics : mapping of str to int
        Omics modalities and the length of their vectors.
    width : int, default: 128
        Length of a token.
    pooling : str, default: "gated"
        How patches become one token: one of `mil_pooling.list_poolings`.
    pooling_options : mapping, optional
        What the pooling takes besides.
    dropout : float, default: 0.25
        Dropout during training.
    """

    def __init__(
        self,
        dim: int,
        classes: int,
        omics: Mapping[str, int],
        *,
        width: int = 128,
        pooling: str = "gated",
        pooling_options: Mapping[str, Any] | None = None,
        dropout: float = 0.25,
    ) -> None:
        super().__init__(
            dim,
            classes,
            omics,
            width=width,
            pooling=pooling,
            pooling_options=pooling_options,
            dropout=dropout,
        )
        self.width = width
        self.norms = nn.ModuleDict({m: nn.LayerNorm(width) for m in self.modalities})
        self.missing = nn.ParameterDict(
            {m: nn.Parameter(0.1 * torch.randn(width)) for m in self.modalities}
        )

    def _fuse(
        self,
        bag: Tensor,
        mask: Tensor,
        values: Mapping[Modality, Tensor],
        present: Tensor,
    ) -> FusionOutput:
        branches = self._branches(bag, mask, values, present)
        tokens = [
            torch.where(here.unsqueeze(1), self.norms[m](token), self.missing[m])
            for (m, token), here in zip(
                branches.tokens.items(), branches.present.T, strict=True
            )
        ]
        logits = self._join(torch.stack(tokens, dim=1), branches.present)
        return FusionOutput(
            logits, branches.evidence, branches.weights, branches.logits
        )

    def _join(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Turn tokens (b, m, width) and their presence (b, m) into logits (b, c)."""
        raise NotImplementedError
