"""The published cross-attention, rebuilt to show what is wrong with it. For tests only.

In the published code the patches ask and ONE token of genes is both key and value, and
nothing is added to what attention returns. A softmax over one key is 1 whatever is
asked, so every patch receives the same value and the image has no influence on the
output: the "multimodal" model is a gene model. It trains well, because genes alone
predict well, and nothing in its accuracy gives it away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.models.fusion import FusionModel, FusionOutput

if TYPE_CHECKING:
    from collections.abc import Mapping


class PublishedCrossAttention(FusionModel):
    """Faithful to the published design, and blind to the image."""

    def __init__(
        self, dim: int, classes: int, omics: Mapping[str, int], *, width: int = 32
    ) -> None:
        super().__init__(dim, classes, {"rna": omics["rna"]})
        self.image = nn.Linear(dim, width)
        self.gene = nn.Sequential(nn.Linear(omics["rna"], width), nn.ReLU())
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.head = nn.Linear(width, classes)

    def _fuse(
        self,
        bag: torch.Tensor,
        mask: torch.Tensor,
        values: Mapping[Modality, torch.Tensor],
        present: torch.Tensor,
    ) -> FusionOutput:
        token = self.gene(values[Modality.RNA]).unsqueeze(1)
        found, _ = self.attention(self.image(bag), token, token)
        share = mask.float() / mask.sum(dim=1, keepdim=True)
        evidence = self.head(found) * share.unsqueeze(2)
        logits = evidence.sum(dim=1)
        return FusionOutput(logits, evidence, share, {"image": logits})
