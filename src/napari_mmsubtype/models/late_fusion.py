"""Each modality decides by itself; decisions are averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_mmsubtype.models.absent_answers import AbsentAnswers
from napari_mmsubtype.models.fusion import OWN, FusionOutput, register_fusion
from napari_mmsubtype.models.fusion_branches import BranchFusion
from napari_mmsubtype.models.mil import masked_softmax

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_mmsubtype.core.cases import Modality


@register_fusion("late")
class LateFusion(BranchFusion):
    """Averages the logits of the modalities that are there.

    The logits are a common bias, a learned answer for each modality that is absent, and
    the average of ``modality_logits``, by learned weights that are positive and sum to
    1 over the modalities present. No modality changes what another one says.

    Parameters
    ----------
    dim : int
        Length of a patch embedding.
    classes : int
        Number of classes.
    omics : mapping of str to int
        Omics modalities and the length of their vectors.
    **options
        Of `fusion_branches.BranchFusion`: ``width``, ``pooling``, ``pooling_options``,
        ``dropout``.
    """

    downward = ("own_heads", OWN)

    def __init__(
        self, dim: int, classes: int, omics: Mapping[str, int], **options: Any
    ) -> None:
        super().__init__(dim, classes, omics, **options)
        self.trust = nn.Parameter(torch.zeros(len(self.modalities)))
        self.bias = nn.Parameter(torch.zeros(classes))
        self.missing = AbsentAnswers(self.modalities, classes)

    def _fuse(
        self,
        bag: Tensor,
        mask: Tensor,
        values: Mapping[Modality, Tensor],
        present: Tensor,
    ) -> FusionOutput:
        branches = self._branches(bag, mask, values, present)
        shares = masked_softmax(
            self.trust.expand(len(bag), -1), branches.present
        ).unsqueeze(2)
        own = torch.stack(list(branches.logits.values()), dim=1)
        known = self.bias + self.missing(branches.present)
        logits = known + (shares * own).sum(dim=1)
        return FusionOutput(
            logits, branches.evidence, branches.weights, branches.logits
        )
