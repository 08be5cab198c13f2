"""An encoder's training between two steps: all that has to be kept to go on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_mmsubtype.errors import ComputeError
from napari_mmsubtype.training.branch_heads import make_branch_heads
from napari_mmsubtype.training.class_losses import share_entropy
from napari_mmsubtype.training.curves import Curves
from napari_mmsubtype.training.layer_rates import (
    frozen_parameters,
    parameter_groups,
    set_trained,
)
from napari_mmsubtype.training.optimizer import make_optimizer
from napari_mmsubtype.training.optimizer_state import (
    optimizer_tensors,
    restore_optimizer,
    under,
)
from napari_mmsubtype.training.patch_augmentation import augment
from napari_mmsubtype.training.patch_validation import PatchValidation, cell_logits
from napari_mmsubtype.training.precision import autocast
from napari_mmsubtype.training.processes import Processes
from napari_mmsubtype.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.training.config import PatchTrainingConfig
    from napari_mmsubtype.training.stored_patches import Patches


class PatchRun:
    """A training that can be stopped after any step and gone on with.

    Every random number of a step comes from a stream of its own, named by seed, epoch
    and step, so that there is no random state to keep.

    Parameters
    ----------
    encoder : Encoder
        Trained in place, on its device.
    patches : ndarray of uint8, shape (n, y, x, 3), or StoredPatches
        In memory or on disk.
    targets : Tensor of float32, shape (n, k, h, w)
        Shares of classes in each cell.
    config : PatchTrainingConfig
        How to train.
    validation : PatchValidation, optional
        Chooses the best epoch, and ends the training when no better one comes.

    Attributes
    ----------
    epoch, step : int
        Where the training is: epochs finished, and steps taken in the next one.
    curves : Curves
        Of the finished epochs; without validation its losses are empty.
    head : torch.nn.Linear
        The classifier.
    """

    def __init__(
        self,
        encoder: Encoder,
        patches: Patches,
        targets: Tensor,
        config: PatchTrainingConfig,
        validation: PatchValidation | None = None,
    ) -> None:
        self.encoder, self.config = encoder, config
        self.validation = validation
        self.patches, self.targets = patches, targets
        self.processes = Processes()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.head = nn.Linear(encoder.dim, targets.shape[1])
            self.branches = make_branch_heads(encoder, targets.shape[1], config)
        self.device = next(encoder.parameters()).device
        self.weights = class_balance(targets, config).to(self.device)
        # A module list, so that names in a checkpoint tell one from another.
        self.trained = nn.ModuleList([encoder, self.head.to(self.device)])
        if self.branches is not None:
            self.trained.append(self.branches.to(self.device))
        self.optimizer = make_optimizer(
            parameter_groups(encoder, self.trained, config), config.weight_decay
        )
        self.average = WeightAverage(self.trained, config.ema) if config.ema else None
        self.per_epoch = -(-len(patches) // config.batch_size)
        self.epoch, self.step, self.total = 0, 0, 0.0
        self.curves = Curves()
        self.best: dict[str, Tensor] = {}

    @property
    def done(self) -> bool:
        """Whether the last epoch is over, or no better one came for long."""
        waited = 0
        if self.validation is not None:
            waited = self.epoch - 1 - self.curves.best_epoch
        return self.epoch >= self.config.epochs or waited >= self.config.patience

    @property
    def epoch_is_complete(self) -> bool:
        """Whether every step of the epoch is taken, and `end_epoch` is due."""
        return self.step == self.per_epoch

    def rate(self, step: int) -> float:
        """Give the learning rate of a step of this epoch.

        Parameters
        ----------
        step : int
            Within the epoch.

        Returns
        -------
        float
            Of the schedule, for what is not of the backbone.
        """
        taken = self.epoch * self.per_epoch
        return self.config.rate(taken + step, self.config.epochs * self.per_epoch)

    def advance(self) -> None:
        """Take the next step of the epoch.

        Raises
        ------
        ComputeError
            If the loss is no longer a number.
        """
        config, rate = self.config, self.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        frozen = frozen_parameters(self.encoder, config, epoch=self.epoch)
        set_trained(self.encoder, frozen)
        order = torch.randperm(
            len(self.patches), generator=self._generator(self.epoch, self.per_epoch)
        )
        rows = order[self.step * config.batch_size :][: config.batch_size]
        self.optimizer.zero_grad()
        gpus = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=gpus):
            loss = self._descend(rows)
        if not math.isfinite(loss):
            msg = (
                f"the training loss became {loss} in step {self.step + 1} of epoch "
                f"{self.epoch + 1}; lower learning_rate, or set precision to float32"
            )
            raise ComputeError(msg)
        parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        self.processes.total_gradients(parameters)
        if config.gradient_clip is not None:
            nn.utils.clip_grad_norm_(parameters, config.gradient_clip)
        self.optimizer.step()
        self.processes.average_buffers(self.trained)
        if self.average is not None:
            self.average.update(self.trained)
        self.total += loss * len(rows)
        self.step += 1

    def end_epoch(self) -> None:
        """Note losses and learning rate; keep the weights if they are the best."""
        loss, rate = self.total / len(self.patches), self.rate(self.per_epoch - 1)
        held_out = None
        if self.validation is not None:
            judged = self._judged()
            held_out = self.validation.loss(
                judged, self.weights, self.config, self.processes
            )
            self.trained.train()
            # Processes must stop together, whatever the last digit of each says.
            held_out = self.processes.agree(held_out, self.device)
        self.curves = self.curves.extended(loss, held_out, rate)
        if held_out is not None and self.curves.best_epoch == self.epoch:
            state = self._judged().state_dict()
            self.best = {name: v.detach().clone() for name, v in state.items()}
        self.epoch, self.step, self.total = self.epoch + 1, 0, 0.0

    def finish(self) -> None:
        """Take the best weights, or else the averaged ones, where there are any."""
        if self.best:
            self.trained.load_state_dict(self.best)
        elif self.average is not None:
            self.trained.load_state_dict(self.average.module.state_dict())

    def _judged(self) -> nn.Module:
        """Give what would be kept if the training ended now."""
        return self.trained if self.average is None else self.average.module

    def _descend(self, rows: Tensor) -> float:
        """Leave the gradients of a step; give its loss."""
        config, place = self.config, (self.epoch, self.step)
        pixels = torch.from_numpy(np.ascontiguousarray(self.patches[rows.numpy()]))
        pixels, targets = augment(
            pixels, self.targets[rows], config, self._generator(*place)
        )
        targets = targets.to(self.device) * self.weights[:, None, None]
        labelled = targets.sum().clamp(min=1e-6)
        count = min(config.accumulation * self.processes.size, len(rows))
        where = np.array_split(np.arange(len(rows)), count)
        total = torch.zeros((), device=self.device)
        for part in range(self.processes.rank, count, self.processes.size):
            chosen = torch.from_numpy(where[part])
            images, labels = self.encoder.normalize(pixels[chosen]), targets[chosen]
            if config.feature_noise:
                noise = torch.randn(
                    images.shape, generator=self._generator(*place, part)
                )
                images = images + config.feature_noise * noise.to(self.device)
            # Dropout draws from the global generator.
            torch.manual_seed(self._seed(*place, part, 1))
            loss = self._loss(
                images,
                labels,
                labels_share=labels.sum() / labelled,
                rows_share=len(chosen) / len(rows),
            )
            torch.autograd.backward(loss)
            total += loss.detach()
        return float(self.processes.total(total))

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
        loss = labels_share * cell_entropy(self.head, features, labels, config)
        if config.feature_penalty:
            penalty = config.feature_penalty * features.square().mean()
            loss = loss + rows_share * penalty
        if self.branches is not None and found is not None:
            loss = loss + self.branches.loss(
                found, labels, config, labels_share=labels_share, rows_share=rows_share
            )
        return loss

    def tensors(self) -> dict[str, Tensor]:
        """Give every tensor that is needed to go on.

        Returns
        -------
        dict of str to Tensor
            Weights, average, moments of the optimizer and best weights. Of a training
            that is over, the best weights alone, where there are any.
        """
        found = {f"best.{name}": values for name, values in self.best.items()}
        if self.best and self.done:
            return found
        found |= {f"model.{n}": v for n, v in self.trained.state_dict().items()}
        if self.average is not None:
            for name, values in self.average.state_dict().items():
                found[f"average.{name}"] = values
        return found | optimizer_tensors(self.optimizer)

    def facts(self) -> dict[str, Any]:
        """Give the place in the training and its curves.

        Returns
        -------
        dict
            Of plain JSON types; `restore` takes it.
        """
        return {
            "epoch": self.epoch,
            "step": self.step,
            "total": self.total,
            "losses": self.curves.training_losses,
            "validation_losses": self.curves.validation_losses,
            "learning_rates": self.curves.learning_rates,
        }

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go back to where a training was.

        Parameters
        ----------
        tensors : mapping of str to Tensor
            As `tensors` gave them.
        facts : mapping of str to object
            As `facts` gave them.
        """
        self.epoch, self.step = int(facts["epoch"]), int(facts["step"])
        self.total = float(facts["total"])
        self.curves = Curves(
            tuple(facts["losses"]),
            tuple(facts["validation_losses"]),
            tuple(facts["learning_rates"]),
        )
        best = under("best.", tensors)
        self.best = {name: v.to(self.device) for name, v in best.items()}
        if self.best and self.done:
            return
        self.trained.load_state_dict(under("model.", tensors))
        if self.average is not None:
            self.average.load_state_dict(under("average.", tensors))
        restore_optimizer(self.optimizer, tensors)

    def _seed(self, *place: int) -> int:
        """Give the stream of a place in the training."""
        words = np.random.SeedSequence([self.config.seed, *place]).generate_state(2)
        return int(words[0]) << 31 ^ int(words[1])

    def _generator(self, *place: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed(*place))


def class_balance(targets: Tensor, config: PatchTrainingConfig) -> Tensor:
    """Weigh classes.

    Parameters
    ----------
    targets : Tensor of float32, shape (n, k, h, w)
        Shares of classes.
    config : PatchTrainingConfig
        Whether all classes count the same.

    Returns
    -------
    Tensor of float32, shape (k,)
        1 on average over what is labelled; 0 for classes that do not occur.
    """
    shares = targets.sum(dim=(0, 2, 3))
    if not config.class_weights:
        return torch.ones_like(shares)
    seen = shares > 0
    balanced = shares.sum() / (seen.sum() * shares.clamp(min=1e-6))
    return torch.where(seen, balanced, 0.0)


def cell_entropy(
    head: nn.Linear, features: Tensor, targets: Tensor, config: PatchTrainingConfig
) -> Tensor:
    """Compare a linear classifier of each cell with its label.

    Parameters
    ----------
    head : torch.nn.Linear
        From features to classes.
    features : Tensor of float32, shape (n, d, y, x)
        Map of the encoder.
    targets : Tensor of float32, shape (n, k, h, w)
        Shares of classes, times their weights.
    config : PatchTrainingConfig
        Label smoothing and focus.

    Returns
    -------
    Tensor of float32, shape ()
        Mean cross-entropy over the labelled cells.
    """
    return share_entropy(
        cell_logits(head, features, targets),
        targets,
        config.label_smoothing,
        gamma=config.focal_gamma,
    )
