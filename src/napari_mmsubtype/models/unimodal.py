"""Baseline models: they look at one modality and leave the others alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.absent_answers import AbsentAnswers
from napari_mmsubtype.models.evidence import EvidenceFusion
from napari_mmsubtype.models.fusion import (
    OWN,
    FusionModel,
    FusionOutput,
    register_fusion,
)
from napari_mmsubtype.models.omics_encoders import vector_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping


@register_fusion("image_only")
class ImageOnly(EvidenceFusion):
    """The `evidence` model without tables: its map is exact.

    Tables may be given, so that it stands in wherever a multimodal model does; they are
    not looked at. A patient without a slide gets a learned answer.

    Parameters
    ----------
    dim : int
        Length of a patch embedding.
    classes : int
        Number of classes.
    omics : mapping of str to int
        Omics modalities and the length of their vectors.
    **options
        Of `evidence.EvidenceFusion`.
    """

    def __init__(
        self, dim: int, classes: int, omics: Mapping[str, int], **options: Any
    ) -> None:
        super().__init__(dim, classes, {}, **options)
        self._name_modalities(omics)
        self.uses = (Modality.IMAGE,)
        self.missing_image = AbsentAnswers(self.uses, classes)

    def _fuse(
        self,
        bag: Tensor,
        mask: Tensor,
        values: Mapping[Modality, Tensor],
        present: Tensor,
    ) -> FusionOutput:
        output = super()._fuse(bag, mask, {}, present)
        stand_in = self.missing_image(mask.any(dim=1, keepdim=True))
        output.logits = output.logits + stand_in
        output.modality_logits["bias"] = output.modality_logits["bias"] + stand_in
        for modality in values:
            output.modality_logits[modality.value] = torch.zeros_like(output.logits)
        return output

    def _pixel_queries(
        self, values: Mapping[Modality, Tensor], present: Tensor
    ) -> Tensor:
        return super()._pixel_queries({}, present)


class TableOnly(FusionModel):
    """A bias and a linear head on the encoded table; patches are evidence of nothing.

    The image and other tables may be given, so that it stands in wherever a multimodal
    model does; they are not looked at. A patient without the table gets a learned
    answer.

    Parameters
    ----------
    dim : int
        Length of a patch embedding.
    classes : int
        Number of classes.
    omics : mapping of str to int
        Omics modalities and the length of their vectors.
    modality : Modality
        The table that is looked at.
    token_dim : int, default: 64
        Length of the encoded table.
    dropout : float, default: 0.25
        Dropout of the encoder during training.

    Raises
    ------
    ConfigurationError
        If the modality is not among ``omics``.
    """

    # With no patch saying anything, every map adds up.
    exact_cam = True
    image_apart = True
    downward = ("head", OWN)

    def __init__(
        self,
        dim: int,
        classes: int,
        omics: Mapping[str, int],
        *,
        modality: Modality,
        token_dim: int = 64,
        dropout: float = 0.25,
    ) -> None:
        super().__init__(dim, classes, omics)
        if modality not in self.omics:
            msg = (
                f"{modality}_only looks at {modality}, found omics {list(self.omics)}; "
                "give the length of its vectors, or choose another fusion model"
            )
            raise ConfigurationError(msg)
        self.uses = (modality,)
        self.encoder = vector_encoder(
            modality, self.omics[modality], token_dim, dropout=dropout
        )
        self.head = nn.Linear(token_dim, classes, bias=False)
        self.bias = nn.Parameter(torch.zeros(classes))
        self.missing = AbsentAnswers(self.uses, classes)

    def _fuse(
        self,
        bag: Tensor,
        mask: Tensor,
        values: Mapping[Modality, Tensor],
        present: Tensor,
    ) -> FusionOutput:
        (modality,) = self.uses
        here = present[:, self.modalities.index(modality), None]
        own = self.head(self.encoder(values[modality])).masked_fill(~here, 0.0)
        parts = {m.value: torch.zeros_like(own) for m in self.modalities}
        parts[modality.value] = own
        parts["bias"] = self.bias + self.missing(here)
        return FusionOutput(
            own + parts["bias"],
            own.new_zeros(*mask.shape, self.classes),
            own.new_zeros(mask.shape),
            parts,
        )

    def _pixel_queries(
        self, values: Mapping[Modality, Tensor], present: Tensor
    ) -> Tensor:
        return self.bias.new_zeros(len(present), self.classes, self.dim)


for _modality in OMICS:
    register_fusion(f"{_modality}_only")(partial(TableOnly, modality=_modality))
