"""Fit an encoder to labelled patches, cell by cell where the labels allow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.branch_heads import make_branch_heads, share_entropy
from napari_mmsubtype.training.hed_jitter import RUIFROK_STAINS, jitter_hed

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """

    encoder: Encoder
    head: nn.Linear
    losses: tuple[float, ...]

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
        Training patches only, square.
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
    not only their mean over a patch, say what is there. Patches are flipped, turned and
    stained anew in each step. The global random state is left as it was.
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
    pixels, wanted = torch.from_numpy(patches), torch.from_numpy(targets).float()
    if wanted.ndim == 2:
        wanted = wanted[:, :, None, None]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        head = nn.Linear(encoder.dim, wanted.shape[1])
        branches = make_branch_heads(encoder, wanted.shape[1], config)
    device = next(encoder.parameters()).device
    head.to(device)
    weights = _class_weights(wanted, config).to(device)
    trained = [encoder, head] + ([] if branches is None else [branches.to(device)])
    optimizer = _optimizer(encoder, trained, config)
    per_epoch = -(-len(pixels) // config.batch_size)
    losses: list[float] = []
    encoder.train()
    try:
        for epoch in range(config.epochs):
            generator = torch.Generator().manual_seed(_epoch_seed(config.seed, epoch))
            order = torch.randperm(len(pixels), generator=generator)
            total = 0.0
            for step, rows in enumerate(torch.split(order, config.batch_size)):
                rate = config.rate(epoch * per_epoch + step, config.epochs * per_epoch)
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["factor"]
                images, labels = augment(pixels[rows], wanted[rows], config, generator)
                inputs = _noisy(encoder.normalize(images), config, generator)
                labels = labels.to(device) * weights[:, None, None]
                if branches is None:
                    loss = _loss(head, encoder.feature_map(inputs), labels, config)
                else:
                    found = branches.features(inputs)
                    loss = _loss(head, found.map, labels, config)
                    loss = loss + branches.loss(found, labels, config)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                total += float(loss.detach()) * len(rows)
            losses.append(total / len(pixels))
            yield Progress(
                "patch training", epoch + 1, config.epochs, f"loss {losses[-1]:.3f}"
            )
    finally:
        encoder.eval()
    return PatchFit(encoder, head.eval(), tuple(losses))


def _optimizer(
    encoder: Encoder, modules: Sequence[nn.Module], config: PatchTrainingConfig
) -> torch.optim.AdamW:
    """Give the backbone a rate of its own."""
    backbone = {id(parameter): parameter for parameter in encoder.backbone()}
    others = [
        parameter
        for module in modules
        for parameter in module.parameters()
        if id(parameter) not in backbone
    ]
    groups: list[dict[str, Any]] = [
        {"params": others, "factor": 1.0},
        {"params": list(backbone.values()), "factor": config.backbone_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


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


def _loss(
    head: nn.Linear, features: Tensor, targets: Tensor, config: PatchTrainingConfig
) -> Tensor:
    """Cross-entropy of shares per labelled cell, plus the penalty on features."""
    cells = F.adaptive_avg_pool2d(features, (targets.shape[2], targets.shape[3]))
    logits = torch.einsum("kd,ndyx->nkyx", head.weight, cells)
    logits = logits + head.bias[:, None, None]
    loss = share_entropy(logits, targets, config.label_smoothing)
    if config.feature_penalty:
        loss = loss + config.feature_penalty * features.square().mean()
    return loss


def augment(
    patches: Tensor,
    targets: Tensor,
    config: PatchTrainingConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Turn, mirror and re-stain patches, and turn their cell labels with them.

    Parameters
    ----------
    patches : Tensor of uint8, shape (n, y, x, 3)
        Square patches.
    targets : Tensor of float32, shape (n, k, h, w)
        Labels of their cells.
    config : PatchTrainingConfig
        How strong the stains vary.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    patches : Tensor of uint8, shape (n, y, x, 3)
        Each in one of the 8 orientations and its own staining.
    targets : Tensor of float32, shape (n, k, h, w)
        In the same orientations.
    """
    images, cells = patches.clone(), targets.clone()
    pose = torch.randint(8, (len(patches),), generator=generator)
    for p in range(1, 8):
        rows = torch.nonzero(pose == p).flatten()
        if len(rows) == 0:
            continue
        image, cell = images[rows], cells[rows]
        if p >= 4:
            image, cell = image.flip(2), cell.flip(3)
        images[rows] = torch.rot90(image, p % 4, (1, 2))
        cells[rows] = torch.rot90(cell, p % 4, (2, 3))
    return restain(images, config, generator), cells


def restain(
    patches: Tensor, config: PatchTrainingConfig, generator: torch.Generator
) -> Tensor:
    """Vary how strongly each stain took, patch by patch.

    Parameters
    ----------
    patches : Tensor of uint8, shape (n, y, x, 3)
        Red, green and blue.
    config : PatchTrainingConfig
        ``stain_jitter`` and ``tint_jitter``, ``hed_scale`` and ``hed_shift``.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor of uint8, shape (n, y, x, 3)
        Re-stained; white stays white unless ``hed_shift`` tints it.

    Notes
    -----
    Optical density is split into hematoxylin, eosin and rest, each is scaled by its own
    factor, and each color channel by another: linear in density, hence one 3 x 3
    matrix per patch.
    """
    if config.hed_scale or config.hed_shift:
        patches = jitter_hed(
            patches, scale=config.hed_scale, shift=config.hed_shift, generator=generator
        )
    if not (config.stain_jitter or config.tint_jitter):
        return patches
    stains = F.normalize(torch.tensor(RUIFROK_STAINS), dim=1)
    spread = 2 * torch.rand((2, len(patches), 3), generator=generator) - 1
    strength = torch.diag_embed(1 + config.stain_jitter * spread[0])
    tint = torch.diag_embed(1 + config.tint_jitter * spread[1])
    mixing = torch.linalg.inv(stains) @ strength @ stains @ tint
    density = -torch.log((patches.float() + 1) / 256)
    shape = density.shape
    mixed = torch.bmm(density.reshape(shape[0], -1, 3), mixing).reshape(shape)
    return (256 * torch.exp(-mixed) - 1).round().clamp(0, 255).to(torch.uint8)


def _epoch_seed(seed: int, epoch: int) -> int:
    """Give each epoch a stream of its own, so that one can be redone alone."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
