"""A fusion model's training between two steps: all that has to be kept to go on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from napari_mmsubtype.errors import ComputeError
from napari_mmsubtype.training.curves import Curves
from napari_mmsubtype.training.fusion_step import FusionStep
from napari_mmsubtype.training.fusion_views import validation_loss
from napari_mmsubtype.training.optimizer import make_optimizer
from napari_mmsubtype.training.optimizer_state import (
    optimizer_tensors,
    restore_optimizer,
    under,
)
from napari_mmsubtype.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.training.bags import BagSet
    from napari_mmsubtype.training.fusion_loss import FusionLoss


class FusionRun:
    """A training that can be stopped after any step and gone on with.

    There is no state of random numbers to keep: `FusionStep` draws those of a step
    from its place in the training.

    Parameters
    ----------
    model : FusionModel
        Trained in place.
    train, validation : BagSet
        The cases.
    objective : FusionLoss
        What is made small, with the configuration.

    Attributes
    ----------
    epoch, step : int
        Where the training is: epochs finished, and steps taken in the next one.
    curves : Curves
        Of the finished epochs.
    """

    def __init__(
        self,
        model: FusionModel,
        train: BagSet,
        validation: BagSet,
        objective: FusionLoss,
    ) -> None:
        config = objective.config
        self.model, self.validation, self.objective = model, validation, objective
        self.optimizer = make_optimizer(model.parameters(), config.weight_decay)
        self.steps = FusionStep(model, train, objective, self.optimizer)
        self.average = WeightAverage(model, config.ema) if config.ema else None
        self.per_epoch = -(-len(train) // config.batch_size)
        self.rows = len(train)
        self.epoch, self.step, self.total = 0, 0, 0.0
        self.curves = Curves()
        self.best = _copied(model.state_dict())

    @property
    def done(self) -> bool:
        """Whether the last epoch is over, or no better one came for long."""
        config = self.objective.config
        waited = self.epoch - 1 - self.curves.best_epoch
        return self.epoch >= config.epochs or waited >= config.patience

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
            Of the schedule.
        """
        config, taken = self.objective.config, self.epoch * self.per_epoch
        return config.rate(taken + step, config.epochs * self.per_epoch)

    def advance(self) -> None:
        """Take the next step of the epoch.

        Raises
        ------
        ComputeError
            If the loss is no longer a number.
        """
        loss = self.steps.take(self.epoch, self.step, self.rate(self.step))
        if not math.isfinite(loss):
            msg = (
                f"the training loss became {loss} in step {self.step + 1} of epoch "
                f"{self.epoch + 1}; lower learning_rate, or look for missing or huge "
                "numbers in embeddings and tables"
            )
            raise ComputeError(msg)
        self.total += loss * len(self.steps.rows(self.epoch, self.step))
        if self.average is not None:
            self.average.update(self.model)
        self.step += 1

    def end_epoch(self) -> None:
        """Validate, and keep the weights if they are the best so far."""
        judged = self.model
        if self.average is not None:
            judged = cast("FusionModel", self.average.module)
        held_out = validation_loss(judged, self.validation, self.objective)
        # Processes must stop together, whatever the last digit of each says.
        held_out = self.steps.processes.agree(held_out, self.steps.device)
        self.curves = self.curves.extended(
            self.total / self.rows, held_out, self.rate(self.per_epoch - 1)
        )
        if self.curves.best_epoch == self.epoch:
            self.best = _copied(judged.state_dict())
        self.epoch, self.step, self.total = self.epoch + 1, 0, 0.0

    def tensors(self) -> dict[str, Tensor]:
        """Give every tensor that is needed to go on.

        Returns
        -------
        dict of str to Tensor
            Weights, moments of the optimizer, average and best weights. Of a training
            that is over, the best weights alone.
        """
        found = {f"best.{name}": values for name, values in self.best.items()}
        if self.done:
            return found
        for name, values in self.model.state_dict().items():
            found[f"model.{name}"] = values
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
        curves = self.curves
        return {
            "epoch": self.epoch,
            "step": self.step,
            "total": self.total,
            "training_losses": curves.training_losses,
            "validation_losses": curves.validation_losses,
            "learning_rates": curves.learning_rates,
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
            tuple(facts["training_losses"]),
            tuple(facts["validation_losses"]),
            tuple(facts["learning_rates"]),
        )
        device = self.steps.device
        self.best = {k: v.to(device) for k, v in under("best.", tensors).items()}
        if self.done:
            return
        self.model.load_state_dict(under("model.", tensors))
        if self.average is not None:
            self.average.load_state_dict(under("average.", tensors))
        restore_optimizer(self.optimizer, tensors)


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: values.detach().clone() for name, values in state.items()}
