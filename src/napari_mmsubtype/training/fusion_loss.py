"""What the training of a fusion model makes small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_mmsubtype.training.class_losses import class_entropy
from napari_mmsubtype.training.precision import autocast

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
        answers, output = self.answers(model, batch, kept)
        joint = self.joint(model, answers, batch.labels, batch.targets, kept)
        return joint + self.by_case(model, batch, kept, output)

    def answers(
        self, model: FusionModel, batch: Batch, kept: Tensor
    ) -> tuple[Tensor, FusionOutput]:
        """Ask the model, in the precision of the training.

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
        answers : Tensor of float32, shape (b, 1 + m, c)
            Logits, then those of each modality in the order of the model.
        output : FusionOutput
            All that the model said.
        """
        with autocast(self.config.precision, batch.bag.device):
            output = forward(model, batch, kept)
        parts = [output.logits, *(output.modality_logits[m] for m in model.modalities)]
        return torch.stack([part.float() for part in parts], dim=1), output

    def joint(
        self,
        model: FusionModel,
        answers: Tensor,
        labels: Tensor,
        targets: Mapping[str, Tensor],
        kept: Tensor,
    ) -> Tensor:
        """Give the part of the loss that needs all cases of a batch together.

        Parameters
        ----------
        model : FusionModel
            That gave the answers.
        answers : Tensor of float32, shape (b, 1 + m, c)
            As `answers`.
        labels : Tensor of int64, shape (b,)
            Classes; `UNKNOWN` where not known.
        targets : mapping of str to Tensor of float, shape (b, ...)
            Of the other heads, by name; NaN where not known.
        kept : Tensor of bool, shape (b, m)
            Modalities that are not hidden.

        Returns
        -------
        Tensor of float32, shape ()
            Loss with modalities hidden, and of each alone.
        """
        loss = self.of_answers(answers[:, 0], labels, targets)
        alone = [
            self.of_answers(
                answers[rows, column],
                labels[rows],
                {name: values[rows] for name, values in targets.items()},
            )
            for column, (m, rows) in enumerate(
                zip(model.modalities, kept.T, strict=True), start=1
            )
            if self.config.alone_weight and m in model.uses and bool(rows.any())
        ]
        if alone:
            loss = loss + self.config.alone_weight * torch.stack(alone).mean()
        return loss

    def by_case(
        self, model: FusionModel, batch: Batch, kept: Tensor, output: FusionOutput
    ) -> Tensor:
        """Give the part of the loss that is a mean over cases.

        Parameters
        ----------
        model : FusionModel
            In training mode.
        batch : Batch
            The cases.
        kept : Tensor of bool, shape (b, m)
            Modalities that are not hidden.
        output : FusionOutput
            As `answers`.

        Returns
        -------
        Tensor of float32, shape ()
            Disagreement with what all modalities say, and unsteadiness.
        """
        config, device = self.config, batch.bag.device
        loss = output.logits.float().sum() * 0
        if config.consistency:
            with torch.no_grad(), autocast(config.precision, device):
                whole = forward(model, batch).logits
            hidden = output.logits[:, : self.classes].float().log_softmax(dim=1)
            loss = loss + config.consistency * F.kl_div(
                hidden,
                whole[:, : self.classes].float().softmax(dim=1),
                reduction="batchmean",
            )
        if config.steadiness:
            image_only = torch.zeros_like(kept)
            image_only[:, 0] = kept[:, 0]
            with autocast(config.precision, device):
                bare = forward(model, batch, image_only).evidence
            change = unsteadiness(output.evidence.float(), bare.float(), batch.mask)
            loss = loss + config.steadiness * change
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
            Whether labels are smoothed, and the loss is focused, as in training.

        Returns
        -------
        Tensor of float, shape ()
            0 where nothing is known.
        """
        known = labels != UNKNOWN
        loss = logits.sum() * 0
        if bool(known.any()):
            loss = class_entropy(
                logits[known, : self.classes],
                labels[known],
                self.class_weights.to(logits),
                smoothing=self.config.label_smoothing if smooth else 0.0,
                gamma=self.config.focal_gamma if smooth else 0.0,
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


def unsteadiness(evidence: Tensor, bare: Tensor, mask: Tensor) -> Tensor:
    """Measure how much the tables change what the patches say.

    Parameters
    ----------
    evidence, bare : Tensor of float32, shape (b, n, c)
        Evidence of patches with tables and without.
    mask : Tensor of bool, shape (b, n)
        True where there is a patch.

    Returns
    -------
    Tensor of float32, shape ()
        Mean over cases, in logits squared.
    """
    # Evidence of one patch shrinks with their number: compare the bag as if each patch
    # were all of it.
    patches = mask.sum(dim=1).clamp(min=1)
    return ((evidence - bare).square().sum(dim=(1, 2)) * patches).mean()
