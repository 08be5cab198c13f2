"""Fit an encoder to labelled patches, cell by cell where the labels allow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.patch_run import PatchRun
from napari_mmsubtype.training.patch_validation import PatchValidation
from napari_mmsubtype.training.run_keeper import RunKeeper
from napari_mmsubtype.training.training_identity import patch_identity

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.training.config import PatchTrainingConfig
    from napari_mmsubtype.training.stored_patches import Patches

    Labelled = tuple[Patches, NDArray[np.float32]]


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
    validation_losses : tuple of float
        Of each epoch; empty without validation patches.
    best_epoch : int
        Whose weights these are, counted from 0; the last without validation patches.
    """

    encoder: Encoder
    head: nn.Linear
    losses: tuple[float, ...]
    learning_rates: tuple[float, ...]
    validation_losses: tuple[float, ...]
    best_epoch: int

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
    patches: Patches,
    targets: NDArray[np.float32],
    config: PatchTrainingConfig,
    *,
    validation: Labelled | None = None,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 60.0,
) -> Job[PatchFit]:
    """Train an encoder, in place, to tell what patches show.

    Parameters
    ----------
    encoder : Encoder
        Trained in place, on its device.
    patches : ndarray of uint8, shape (n, y, x, 3), or StoredPatches
        Training patches only, square; in memory or on disk.
    targets : ndarray of float32, shape (n, k) or (n, k, h, w)
        Share of each of k classes in each patch, or in each cell of the encoder's
        feature map; shares that sum to 0 mark cells without a label.
    config : PatchTrainingConfig
        How to train.
    validation : tuple of (patches, targets), optional
        Patches of other patients, and their labels, which choose the epoch whose
        weights are kept. The training ends when ``patience`` epochs brought no better
        one. Without them it has all its epochs, and the last weights are kept.
    checkpoint : Path, optional
        File in which the training is kept, and from which it goes on if it is there,
        to the same weights bit by bit.
    checkpoint_seconds : float, default: 60.0
        Time between two checkpoints, also within an epoch.

    Yields
    ------
    Progress
        Stage ``patch training``, one per epoch, with the losses in the message and the
        `Curves` so far as the partial result.

    Returns
    -------
    PatchFit
        Encoder and classifier in evaluation mode.

    Raises
    ------
    ValueError
        If the targets do not fit the patches.
    ConfigurationError
        If the encoder cannot be trained, or the checkpoint is of another training.
    ComputeError
        If the loss is no longer a number.

    Notes
    -----
    The classifier is linear and is applied to each cell, so that features of a cell,
    not only their mean over a patch, say what is there. Patches are turned, changed and
    stained anew in each step. Batch normalization sees the parts of a batch one by one
    (``accumulation``); all else is as for the whole. The global random state is left as
    it was. Processes of `processes.joined_processes` share the patches of each step.
    """
    _check(encoder, patches, targets)
    judge = None
    if validation is not None:
        _check(encoder, *validation)
        judge = PatchValidation(validation[0], _by_cell(validation[1]))
    identity = {}
    if checkpoint is not None:
        identity = patch_identity(encoder, patches, targets, config, validation)
    run = PatchRun(encoder, patches, _by_cell(targets), config, judge)
    keeper = RunKeeper(run, checkpoint, checkpoint_seconds, identity)
    learned = [parameter.requires_grad for parameter in encoder.parameters()]
    try:
        if keeper.resume():
            yield _progress(run, f"going on after epoch {run.epoch}, step {run.step}")
        while not run.done:
            while not run.epoch_is_complete:
                run.advance()
                keeper.keep()
            run.end_epoch()
            keeper.keep(now=run.done)
            try:
                yield _progress(run, run.curves.last_line())
            except GeneratorExit:
                keeper.keep(now=True)
                raise
        run.finish()
    finally:
        for parameter, flag in zip(encoder.parameters(), learned, strict=True):
            parameter.requires_grad_(flag)
        encoder.eval()
    curves = run.curves
    return PatchFit(
        encoder,
        run.head.eval(),
        curves.training_losses,
        curves.learning_rates,
        curves.validation_losses,
        run.epoch - 1 if judge is None else curves.best_epoch,
    )


def _by_cell(targets: NDArray[np.float32]) -> Tensor:
    """Give labels of patches as those of their only cell."""
    wanted = torch.from_numpy(targets).float()
    return wanted if wanted.ndim == 4 else wanted[:, :, None, None]


def _check(encoder: Encoder, patches: Patches, targets: NDArray[np.float32]) -> None:
    if len(patches) == 0 or len(patches) != len(targets) or targets.ndim not in (2, 4):
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


def _progress(run: PatchRun, message: str) -> Progress:
    """Say how many epochs are over."""
    epochs = run.config.epochs
    return Progress("patch training", run.epoch, epochs, message, run.curves)
