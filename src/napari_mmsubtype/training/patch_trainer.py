"""Fit an encoder to labelled patches, cell by cell where the labels allow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.branch_heads import BranchHeads, make_branch_heads
from napari_mmsubtype.training.class_losses import share_entropy
from napari_mmsubtype.training.layer_rates import (
    frozen_parameters,
    parameter_groups,
    set_trained,
)
from napari_mmsubtype.training.patch_augmentation import augment
from napari_mmsubtype.training.precision import autocast
from napari_mmsubtype.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.training.config import PatchTrainingConfig


@dataclass(frozen=True, slots=True, eq=False)
class PatchFit:
    """A trained encoder with its classifier.

    Attributes
    ----------
    encoder : Encoder
        In evaluation mode.
    head : torch.nn.Linear
        From embedding to class logits.
    losses : tuple of float
        Mean training loss of each epoch.
    learning_rates : tuple of float
        At the end of each epoch, of what is not of the backbone.
    """

    encoder: Encoder
    head: nn.Linear
    losses: tuple[float, ...]
    learning_rates: tuple[float, ...]

    @torch.inference_mode()
    def probabilities(
        self, patches: NDArray[np.uint8], *, batch_size: int = 64
    ) -> NDArray[np.float32]:
        """Classify patches.

        Parameters
        ----------
        patches : ndarray of uint8, shape (n, y, x, 3)
            Red, green and blue.
        batch_size : int, default: 64
            Patches per forward pass.

        Returns
        -------
        ndarray of float32, shape (n, k)
            Rows sum to 1.
        """
        parts = [
            self.head(self.encoder(self.encoder.normalize(part))).softmax(dim=1)
            for part in torch.split(torch.from_numpy(patches), batch_size)
        ]
        return torch.cat(parts).cpu().numpy()


def fit_patch_encoder(
    encoder: Encoder,
    patches: NDArray[np.uint8],
    targets: NDArray[np.float32],
    config: PatchTrainingConfig,
) -> Job[PatchFit]:
    """Train an encoder, in place, to tell what patches show.

    Parameters
    ----------
    encoder : Encoder
        Trained in place, on its device.
    patches : ndarray of uint8, shape (n, y, x, 3)
        Training patches only, square; in memory or mapped from disk.
    targets : ndarray of float32, shape (n, k) or (n, k, h, w)
        Share of each of k classes in each patch, or in each cell of the encoder's
        feature map; shares that sum to 0 mark cells without a label.
    config : PatchTrainingConfig
        How to train.

    Yields
    ------
    Progress
        Stage ``patch training``, one per epoch, with the loss in the message.

    Returns
    -------
    PatchFit
        Encoder and classifier in evaluation mode.

    Raises
    ------
    ValueError
        If the targets do not fit the patches.
    ConfigurationError
        If the encoder cannot be trained.

    Notes
    -----
    The classifier is linear and is applied to each cell, so that features of a cell,
    not only their mean over a patch, say what is there. Patches are turned, changed and
    stained anew in each step. Batch normalization sees the parts of a batch one by one
    (``accumulation``); all else is as for the whole. The global random state is left as
    it was.
    """
    if len(patches) != len(targets) or targets.ndim not in (2, 4):
        msg = (
            "expected targets of shape (n, k) or (n, k, h, w) for each patch, found "
            f"{targets.shape} for {len(patches)} patches"
        )
        raise ValueError(msg)
    if not encoder.backbone():
        msg = (
            f"encoder {encoder.name!r} has no weights that can be trained; leave it as "
            "it is (patch_training: null), or choose another"
        )
        raise ConfigurationError(msg)
    wanted = torch.from_numpy(targets).float()
    if wanted.ndim == 2:
        wanted = wanted[:, :, None, None]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        head = nn.Linear(encoder.dim, wanted.shape[1])
        branches = make_branch_heads(encoder, wanted.shape[1], config)
    training = _Training(encoder, head, branches, patches, wanted, config)
    learned = [parameter.requires_grad for parameter in encoder.parameters()]
    losses: list[float] = []
    rates: list[float] = []
    try:
        for epoch in range(config.epochs):
            loss, rate = training.run_epoch(epoch)
            losses.append(loss)
            rates.append(rate)
            yield Progress(
                "patch training", epoch + 1, config.epochs, f"loss {loss:.3f}"
            )
        training.finish()
    finally:
        for parameter, flag in zip(encoder.parameters(), learned, strict=True):
            parameter.requires_grad_(flag)
        encoder.eval()
    return PatchFit(encoder, head.eval(), tuple(losses), tuple(rates))


class _Training:
    """Networks, optimizer and data of one training."""

    def __init__(
        self,
        encoder: Encoder,
        head: nn.Linear,
        branches: BranchHeads | None,
        patches: NDArray[np.uint8],
        targets: Tensor,
        config: PatchTrainingConfig,
    ) -> None:
        self.encoder, self.head, self.branches = encoder, head, branches
        self.patches, self.targets, self.config = patches, targets, config
        self.device = next(encoder.parameters()).device
        self.weights = _class_weights(targets, config).to(self.device)
        trained = [encoder, head.to(self.device)]
        if branches is not None:
            trained.append(branches.to(self.device))
        self.optimizer = torch.optim.AdamW(
            parameter_groups(encoder, trained, config),
            weight_decay=config.weight_decay,
        )
        self.kept = nn.ModuleList([encoder, head])
        self.average = WeightAverage(self.kept, config.ema) if config.ema else None

    def run_epoch(self, epoch: int) -> tuple[float, float]:
        """Take every patch once; give the mean loss and the last learning rate."""
        config, rows = self.config, len(self.patches)
        steps = -(-rows // config.batch_size)
        seed = _epoch_seed(config.seed, epoch)
        generator = torch.Generator().manual_seed(seed)
        set_trained(self.encoder, frozen_parameters(self.encoder, config, epoch=epoch))
        total, rate = 0.0, 0.0
        gpus = [self.device] if self.device.type == "cuda" else []
        # Dropout draws from the global generator: a stream of its own for each epoch.
        with torch.random.fork_rng(devices=gpus):
            torch.manual_seed(seed)
            order = torch.randperm(rows, generator=generator)
            for step, chosen in enumerate(torch.split(order, config.batch_size)):
                rate = config.rate(epoch * steps + step, config.epochs * steps)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate * group["factor"]
                total += self._step(chosen, generator) * len(chosen)
        return total / rows, rate

    def _step(self, rows: Tensor, generator: torch.Generator) -> float:
        """Move the weights once; give the loss."""
        config = self.config
        pixels = torch.from_numpy(np.ascontiguousarray(self.patches[rows.numpy()]))
        pixels, targets = augment(pixels, self.targets[rows], config, generator)
        targets = targets.to(self.device) * self.weights[:, None, None]
        labelled = targets.sum().clamp(min=1e-6)
        size = -(-len(rows) // config.accumulation)
        total = 0.0
        self.optimizer.zero_grad()
        for images, labels in zip(
            torch.split(pixels, size), torch.split(targets, size), strict=True
        ):
            inputs = _noisy(self.encoder.normalize(images), config, generator)
            loss = self._loss(
                inputs,
                labels,
                labels_share=labels.sum() / labelled,
                rows_share=len(images) / len(pixels),
            )
            torch.autograd.backward(loss)
            total += float(loss.detach())
        if config.gradient_clip is not None:
            parameters = (p for g in self.optimizer.param_groups for p in g["params"])
            nn.utils.clip_grad_norm_(parameters, config.gradient_clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.kept)
        return total

    def _loss(
        self, inputs: Tensor, labels: Tensor, *, labels_share: Tensor, rows_share: float
    ) -> Tensor:
        """Give the share that a part of a batch has in its loss."""
        config = self.config
        with autocast(config.precision, self.device):
            if self.branches is None:
                features, found = self.encoder.feature_map(inputs), None
            else:
                found = self.branches.features(inputs)
                features = found.map
        features = features.float()
        loss = labels_share * _entropy(self.head, features, labels, config)
        if config.feature_penalty:
            penalty = config.feature_penalty * features.square().mean()
            loss = loss + rows_share * penalty
        if self.branches is not None and found is not None:
            loss = loss + self.branches.loss(
                found, labels, config, labels_share=labels_share, rows_share=rows_share
            )
        return loss

    def finish(self) -> None:
        """Take the averaged weights, where there are any."""
        if self.average is not None:
            self.kept.load_state_dict(self.average.module.state_dict())


def _class_weights(targets: Tensor, config: PatchTrainingConfig) -> Tensor:
    """Weigh classes so that all count the same, on average 1, shape (k,)."""
    shares = targets.sum(dim=(0, 2, 3))
    if not config.class_weights:
        return torch.ones_like(shares)
    seen = shares > 0
    balanced = shares.sum() / (seen.sum() * shares.clamp(min=1e-6))
    return torch.where(seen, balanced, 0.0)


def _noisy(
    inputs: Tensor, config: PatchTrainingConfig, generator: torch.Generator
) -> Tensor:
    """Add noise to normalized images."""
    if not config.feature_noise:
        return inputs
    noise = torch.randn(inputs.shape, generator=generator)
    return inputs + config.feature_noise * noise.to(inputs.device)


def _entropy(
    head: nn.Linear, features: Tensor, targets: Tensor, config: PatchTrainingConfig
) -> Tensor:
    """Cross-entropy of shares per labelled cell."""
    cells = F.adaptive_avg_pool2d(features, (targets.shape[2], targets.shape[3]))
    logits = torch.einsum("kd,ndyx->nkyx", head.weight, cells)
    logits = logits + head.bias[:, None, None]
    return share_entropy(
        logits, targets, config.label_smoothing, gamma=config.focal_gamma
    )


def _epoch_seed(seed: int, epoch: int) -> int:
    """Give each epoch a stream of its own, so that one can be redone alone."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
