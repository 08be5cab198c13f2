"""Fit a fusion model to bags and omics, hiding modalities so that none is needed."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.training.bag_statistics import embedding_statistics
from napari_mmsubtype.training.curves import Curves
from napari_mmsubtype.training.fusion_loss import FusionLoss
from napari_mmsubtype.training.fusion_step import FusionStep
from napari_mmsubtype.training.fusion_views import predict_views, validation_loss
from napari_mmsubtype.training.head_targets import check_targets, class_weights
from napari_mmsubtype.training.weight_average import WeightAverage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.training.bags import BagSet
    from napari_mmsubtype.training.config import FusionTrainingConfig


@dataclass(frozen=True, slots=True, eq=False)
class FusionFit:
    """A trained fusion model.

    Attributes
    ----------
    model : FusionModel
        With the weights of the best epoch, in evaluation mode.
    training_losses, validation_losses : tuple of float
        Of each epoch.
    best_epoch : int
        Counted from 0.
    learning_rates : tuple of float
        At the end of each epoch.
    """

    model: FusionModel
    training_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]
    best_epoch: int
    learning_rates: tuple[float, ...]


def fit_fusion(
    model: FusionModel,
    train: BagSet,
    validation: BagSet,
    config: FusionTrainingConfig,
    heads: Heads | None = None,
) -> Job[FusionFit]:
    """Train a fusion model, in place, on what is known of whole cases.

    Parameters
    ----------
    model : FusionModel
        Trained in place, on its device.
    train : BagSet
        Training cases; embedding statistics and class weights are theirs alone.
    validation : BagSet
        Cases of other patients, which choose the best epoch.
    config : FusionTrainingConfig
        How to train.
    heads : Heads, optional
        The questions that the logits answer, for which the cases hold targets; None
        where all logits are classes.

    Yields
    ------
    Progress
        Stage ``fusion training``, one per epoch, with both losses in the message and
        the `Curves` so far as the partial result.

    Returns
    -------
    FusionFit
        The model of the epoch with the lowest validation loss: half that of the whole
        cases, half the mean one of each modality alone.

    Raises
    ------
    ValueError
        If training and validation share a patient or differ in modalities from the
        model.
    ConfigurationError
        If targets and heads do not fit, or a risk is asked of batches of one case.

    Notes
    -----
    The global random state is left as it was.
    """
    _check(model, train, validation)
    if heads is not None:
        check_targets(heads, model, train, validation, config)
    device = model.embedding_mean.device
    model.set_reference(*embedding_statistics(train))
    classes = model.classes if heads is None else heads.classes.size
    weights = class_weights(train, classes, balance=config.class_weights)
    objective = FusionLoss(weights.to(device), config, heads)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=config.weight_decay)
    steps = FusionStep(model, train, objective, optimizer)
    average = WeightAverage(model, config.ema) if config.ema else None
    judged = model if average is None else cast("FusionModel", average.module)
    curves = Curves()
    best = copy.deepcopy(model.state_dict())
    per_epoch = -(-len(train) // config.batch_size)
    for epoch in range(config.epochs):
        total, rate = 0.0, 0.0
        for step in range(per_epoch):
            rate = config.rate(epoch * per_epoch + step, config.epochs * per_epoch)
            total += steps.take(epoch, step, rate) * len(steps.rows(epoch, step))
            if average is not None:
                average.update(model)
        held_out = validation_loss(judged, validation, objective)
        curves = curves.extended(total / len(train), held_out, rate)
        if curves.best_epoch == epoch:
            best = copy.deepcopy(judged.state_dict())
        yield Progress(
            "fusion training", epoch + 1, config.epochs, curves.last_line(), curves
        )
        if epoch - curves.best_epoch >= config.patience:
            break
    model.load_state_dict(best)
    return FusionFit(
        model.eval(),
        curves.training_losses,
        curves.validation_losses,
        curves.best_epoch,
        curves.learning_rates,
    )


def predict_logits(model: FusionModel, cases: BagSet) -> NDArray[np.float64]:
    """Classify cases from whatever each of them has.

    Parameters
    ----------
    model : FusionModel
        On any device; its mode is restored afterwards.
    cases : BagSet
        All patches of every case are used; hide modalities by `BagSet.restricted`.

    Returns
    -------
    ndarray of float64, shape (n, c)
        Logits before temperature; those of all heads, if there are several.
    """
    return predict_views(model, cases, [cases.present])[0]


def _check(model: FusionModel, train: BagSet, validation: BagSet) -> None:
    shared = sorted(set(train.patients) & set(validation.patients))
    if shared:
        msg = (
            f"{len(shared)} patients are in training and validation, for example "
            f"{shared[:3]}; split by patient"
        )
        raise ValueError(msg)
    for cases in (train, validation):
        if len(cases) == 0 or cases.modalities != model.modalities:
            msg = (
                f"the model takes {list(model.modalities)}, found {len(cases)} cases "
                f"with {list(cases.modalities)}"
            )
            raise ValueError(msg)
