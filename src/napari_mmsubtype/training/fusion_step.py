"""One step of a fusion model's training, in parts and by several processes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.training.bags import BagSet, Batch, collate
from napari_mmsubtype.training.processes import Processes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.training.config import FusionTrainingConfig
    from napari_mmsubtype.training.fusion_loss import FusionLoss


class FusionStep:
    """Takes the steps of a training.

    Every random number of a step comes from a stream of its own, named by seed, epoch
    and step (and case or part): a step can be redone alone, and hidden modalities and
    drawn patches do not depend on the number of parts or of processes.

    Parameters
    ----------
    model : FusionModel
        Trained in place.
    train : BagSet
        Training cases, the same in every process.
    objective : FusionLoss
        What is made small, with the configuration.
    optimizer : torch.optim.Optimizer
        Of the weights of the model.
    """

    def __init__(
        self,
        model: FusionModel,
        train: BagSet,
        objective: FusionLoss,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.model, self.train = model, train
        self.objective, self.optimizer = objective, optimizer
        self.config: FusionTrainingConfig = objective.config
        self.processes = Processes()
        self.device = model.embedding_mean.device
        self.chances = torch.tensor(
            [self.config.drop.get(m, 0.0) for m in train.modalities]
        )

    def rows(self, epoch: int, step: int) -> NDArray[np.int64]:
        """Name the cases of a step.

        Parameters
        ----------
        epoch, step : int
            Counted from 0, the step within the epoch.

        Returns
        -------
        ndarray of int64, shape (b,)
            Rows of the training cases; each comes once in an epoch.
        """
        rng = np.random.default_rng([self.config.seed, epoch])
        size = self.config.batch_size
        return rng.permutation(len(self.train))[step * size : (step + 1) * size]

    def take(self, epoch: int, step: int, rate: float) -> float:
        """Move the weights once.

        Parameters
        ----------
        epoch, step : int
            Counted from 0, the step within the epoch.
        rate : float
            Learning rate.

        Returns
        -------
        float
            Mean loss of the cases of the step, before it was taken.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        self.model.train()
        gpus = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=gpus):
            loss = self._descend(epoch, step)
        parameters = list(self.model.parameters())
        self.processes.total_gradients(parameters)
        if self.config.gradient_clip is not None:
            nn.utils.clip_grad_norm_(parameters, self.config.gradient_clip)
        self.optimizer.step()
        return loss

    def _descend(self, epoch: int, step: int) -> float:
        """Leave the gradients of a step; give its loss."""
        rows = self.rows(epoch, step)
        present = torch.from_numpy(self.train.present[rows])
        kept = drop_modalities(present, self.chances, self._generator(epoch, step))
        count = min(self.config.accumulation * self.processes.size, len(rows))
        where = np.array_split(np.arange(len(rows)), count)
        mine = range(self.processes.rank, count, self.processes.size)

        def start(part: int) -> Batch:
            batch = self._batch(rows[where[part]], epoch, step, part)
            # Dropout draws from the global generator.
            torch.manual_seed(self._seed(epoch, step, part, 1))
            return batch

        if count == 1:
            loss = self.objective(self.model, start(0), kept.to(self.device))
            torch.autograd.backward(loss)
            return float(loss.detach())
        # What compares the cases of a batch (weights of classes, risks) needs them all:
        # first every answer, then the gradients of the answers, then of the weights.
        labels, targets = self._known(rows)
        answers = torch.zeros(
            (len(rows), 1 + len(self.model.modalities), self.model.classes),
            device=self.device,
        )
        for part in mine:
            with torch.no_grad():
                answers[where[part]] = self.objective.answers(
                    self.model, start(part), kept[where[part]].to(self.device)
                )[0]
        answers = self.processes.total(answers).requires_grad_()
        joint = self.objective.joint(
            self.model, answers, labels, targets, kept.to(self.device)
        )
        (pull,) = torch.autograd.grad(joint, answers)
        extra = torch.zeros((), device=self.device)
        for part in mine:
            batch, chosen = start(part), kept[where[part]].to(self.device)
            own, output = self.objective.answers(self.model, batch, chosen)
            rest = self.objective.by_case(self.model, batch, chosen, output)
            rest = rest * (len(where[part]) / len(rows))
            torch.autograd.backward((own * pull[where[part]]).sum() + rest)
            extra += rest.detach()
        return float(joint.detach() + self.processes.total(extra))

    def _known(self, rows: NDArray[np.int64]) -> tuple[Tensor, dict[str, Tensor]]:
        """Give what is known of cases, without reading their patches."""
        labels = torch.from_numpy(self.train.labels[rows]).to(self.device)
        return labels, {
            name: torch.from_numpy(values[rows].astype(np.float32)).to(self.device)
            for name, values in self.train.targets.items()
        }

    def _batch(
        self, rows: NDArray[np.int64], epoch: int, step: int, part: int
    ) -> Batch:
        """Read cases and add noise, so that no single value is relied on."""
        config, generator = self.config, self._generator(epoch, step, part, 0)
        batch = collate(
            self.train,
            rows,
            patches=config.patches_per_bag,
            rng=lambda row: np.random.default_rng([config.seed, epoch, row, 2]),
            image=Modality.IMAGE in self.model.uses,
            device=self.device,
        )
        bag, omics = batch.bag, batch.omics
        if config.embedding_noise:
            # One draw per case as well as per patch: stains shift a slide as a whole.
            # In place, because a bag is large and the memory is its own.
            shape = bag.shape
            noise = torch.randn(shape, generator=generator)
            noise += torch.randn((shape[0], 1, shape[2]), generator=generator)
            scale = config.embedding_noise * self.model.embedding_scale
            bag.addcmul_(noise.to(bag.device), scale)
        if config.omics_noise:
            omics = {
                m: v
                + config.omics_noise
                * torch.randn(v.shape, generator=generator).to(v.device)
                for m, v in omics.items()
            }
        return replace(batch, omics=omics)

    def _seed(self, *place: int) -> int:
        """Give the stream of a place in the training."""
        words = np.random.SeedSequence([self.config.seed, *place]).generate_state(2)
        return int(words[0]) << 31 ^ int(words[1])

    def _generator(self, *place: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed(*place))


def drop_modalities(
    present: Tensor, chances: Tensor, generator: torch.Generator
) -> Tensor:
    """Hide modalities at random, leaving each case at least one.

    Parameters
    ----------
    present : Tensor of bool, shape (b, m)
        What each case has.
    chances : Tensor of float, shape (m,)
        Chance that each modality is hidden.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor of bool, shape (b, m)
        On the device of ``present``. Where all would be hidden, one present modality
        stays, each equally likely.
    """
    here = present.cpu()
    drawn = torch.rand((2, *here.shape), generator=generator)
    kept = here & (drawn[0] >= chances.cpu())
    lone = drawn[1].masked_fill(~here, -1.0).argmax(dim=1)
    rescue = F.one_hot(lone, here.shape[1]).bool() & here
    kept = torch.where(kept.any(dim=1, keepdim=True), kept, rescue)
    return kept.to(present.device)
