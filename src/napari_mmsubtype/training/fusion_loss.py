"""What the training of a fusion model makes small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_mmsubtype.models.fusion import FusionModel, FusionOutput
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.training.bags import Batch
    from napari_mmsubtype.training.config import FusionTrainingConfig

UNKNOWN = -1
"""Label of a case whose class is not known; it still teaches the other heads."""


class FusionLoss:
    """Loss of a batch, over all heads.

    Parameters
    ----------
    class_weights : Tensor of float32, shape (c,)
        Of the classes in the cross-entropy.
    config : FusionTrainingConfig
        Weights of the parts.
    heads : Heads, optional
        The questions that the logits answer; None where all logits are classes.
    """

    def __init__(
        self,
        class_weights: Tensor,
        config: FusionTrainingConfig,
        heads: Heads | None = None,
    ) -> None:
        self.class_weights = class_weights
        self.config = config
        self.heads = heads
        self.classes = len(class_weights)

    def __call__(self, model: FusionModel, batch: Batch, kept: Tensor) -> Tensor:
        """Add the loss with modalities hidden, of each alone, and of their agreement.

        Parameters
        ----------
        model : FusionModel
            In training mode.
        batch : Batch
            The cases.
        kept : Tensor of bool, shape (b, m)
            Modalities that are not hidden.

        Returns
        -------
        Tensor of float32, shape ()
            To be made small.
        """
        config = self.config
        output = forward(model, batch, kept)
        loss = self.of_answers(output.logits, batch.labels, batch.targets)
        if config.alone_weight:
            alone = [
                self.of_answers(
                    output.modality_logits[m][rows],
                    batch.labels[rows],
                    {name: values[rows] for name, values in batch.targets.items()},
                )
                for m, rows in zip(model.modalities, kept.T, strict=True)
                if m in model.uses and bool(rows.any())
            ]
            if alone:
                loss = loss + config.alone_weight * torch.stack(alone).mean()
        if config.consistency:
            with torch.no_grad():
                whole = forward(model, batch).logits[:, : self.classes].softmax(dim=1)
            hidden = output.logits[:, : self.classes].log_softmax(dim=1)
            loss = loss + config.consistency * F.kl_div(
                hidden, whole, reduction="batchmean"
            )
        if config.steadiness:
            loss = loss + config.steadiness * _unsteadiness(model, batch, kept, output)
        return loss

    def of_answers(
        self,
        logits: Tensor,
        labels: Tensor,
        targets: Mapping[str, Tensor],
        *,
        smooth: bool = True,
    ) -> Tensor:
        """Add the losses of all heads.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of all heads.
        labels : Tensor of int64, shape (b,)
            Classes; `UNKNOWN` where not known.
        targets : mapping of str to Tensor of float, shape (b, ...)
            Of the other heads, by name; NaN where not known.
        smooth : bool, default: True
            Whether labels are smoothed as in training.

        Returns
        -------
        Tensor of float, shape ()
            0 where nothing is known.
        """
        known = labels != UNKNOWN
        loss = logits.sum() * 0
        if bool(known.any()):
            loss = F.cross_entropy(
                logits[known, : self.classes],
                labels[known],
                self.class_weights.to(logits),
                label_smoothing=self.config.label_smoothing if smooth else 0.0,
            )
        if self.heads is not None:
            for name, part in self.heads.losses(logits, targets).items():
                loss = loss + self.config.head_weights.get(name, 1.0) * part
        return loss


def forward(
    model: FusionModel, batch: Batch, present: Tensor | None = None
) -> FusionOutput:
    """Run a model on a batch.

    Parameters
    ----------
    model : FusionModel
        On the device of the batch.
    batch : Batch
        The cases.
    present : Tensor of bool, shape (b, m), optional
        Modalities to use; by default what each case has.

    Returns
    -------
    FusionOutput
        Of every case.
    """
    output: FusionOutput = model(
        batch.bag,
        batch.mask,
        batch.omics,
        batch.present if present is None else present,
    )
    return output


def _unsteadiness(
    model: FusionModel, batch: Batch, kept: Tensor, output: FusionOutput
) -> Tensor:
    """Measure how much the tables change what the patches say, in logits squared."""
    image_only = torch.zeros_like(kept)
    image_only[:, 0] = kept[:, 0]
    bare = forward(model, batch, image_only).evidence
    # Evidence of one patch shrinks with their number: compare the bag as if each patch
    # were all of it.
    patches = batch.mask.sum(dim=1).clamp(min=1)
    change = (output.evidence - bare).square().sum(dim=(1, 2)) * patches
    return change.mean()
