"""Fit a fusion model to bags and omics, hiding modalities so that none is needed."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.training.bags import BagSet, Batch, collate
from napari_mmsubtype.training.fusion_loss import FusionLoss, forward
from napari_mmsubtype.training.head_targets import check_targets, class_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.training.config import FusionTrainingConfig

_PREDICT_BATCH = 16


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
    """

    model: FusionModel
    training_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]
    best_epoch: int


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
        Stage ``fusion training``, one per epoch, with both losses in the message.

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
    fitted: list[float] = []
    held_out: list[float] = []
    best = copy.deepcopy(model.state_dict())
    best_epoch = 0
    for epoch in range(config.epochs):
        fitted.append(_run_epoch(model, train, optimizer, objective, epoch))
        held_out.append(_validation_loss(model, validation, objective))
        if held_out[-1] <= min(held_out):
            best, best_epoch = copy.deepcopy(model.state_dict()), epoch
        yield Progress(
            "fusion training",
            epoch + 1,
            config.epochs,
            f"loss {fitted[-1]:.3f}, validation {held_out[-1]:.3f}",
        )
        if epoch - best_epoch >= config.patience:
            break
    model.load_state_dict(best)
    return FusionFit(model.eval(), tuple(fitted), tuple(held_out), best_epoch)


@torch.inference_mode()
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
    was_training = model.training
    model.eval()
    device = model.embedding_mean.device
    parts = []
    for start in range(0, len(cases), _PREDICT_BATCH):
        rows = range(start, min(start + _PREDICT_BATCH, len(cases)))
        parts.append(forward(model, collate(cases, rows, device=device)).logits)
    model.train(was_training)
    return torch.cat(parts).cpu().numpy().astype(np.float64)


def embedding_statistics(cases: BagSet) -> tuple[Tensor, Tensor]:
    """Average the patches of all cases, each case weighing the same.

    Parameters
    ----------
    cases : BagSet
        Training cases.

    Returns
    -------
    mean, std : Tensor of float32, shape (d,)
        Of the mixture; 0 and 1 where no case has patches.
    """
    mean, square, count = np.zeros(cases.dim), np.zeros(cases.dim), 0
    for has_image, stored in zip(cases.present[:, 0], cases.bags, strict=True):
        if not has_image:
            continue
        bag = np.asarray(stored, dtype=np.float64)
        mean, square = mean + bag.mean(axis=0), square + (bag**2).mean(axis=0)
        count += 1
    if count == 0:
        return torch.zeros(cases.dim), torch.ones(cases.dim)
    mean, square = mean / count, square / count
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


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


def _run_epoch(
    model: FusionModel,
    train: BagSet,
    optimizer: torch.optim.Optimizer,
    objective: FusionLoss,
    epoch: int,
) -> float:
    """Take every training case once; return the mean loss."""
    config = objective.config
    seeds = np.random.SeedSequence([config.seed, epoch])
    rng = np.random.default_rng(seeds)
    seed = int(seeds.generate_state(1)[0])
    generator = torch.Generator().manual_seed(seed)
    steps = -(-len(train) // config.batch_size)
    order = rng.permutation(len(train))
    chances = torch.tensor([config.drop.get(m, 0.0) for m in train.modalities])
    total = 0.0
    model.train()
    # Dropout draws from the global generator: a stream of its own for each epoch.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step in range(steps):
            rows = order[step * config.batch_size : (step + 1) * config.batch_size]
            batch = collate(
                train,
                rows,
                patches=config.patches_per_bag,
                rng=rng,
                device=model.embedding_mean.device,
            )
            batch = _perturb(batch, model, config, generator)
            hidden = drop_modalities(batch.present, chances, generator)
            loss = objective(model, batch, hidden)
            rate = config.rate(epoch * steps + step, config.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += float(loss.detach()) * len(rows)
    return total / len(train)


def _perturb(
    batch: Batch,
    model: FusionModel,
    config: FusionTrainingConfig,
    generator: torch.Generator,
) -> Batch:
    """Add noise to embeddings and omics, so that no single value is relied on."""
    bag, omics = batch.bag, batch.omics
    if config.embedding_noise:
        # One draw per case as well as per patch: stains shift a slide as a whole.
        shape = bag.shape
        noise = torch.randn(shape, generator=generator) + torch.randn(
            (shape[0], 1, shape[2]), generator=generator
        )
        scale = config.embedding_noise * model.embedding_scale
        bag = bag + scale * noise.to(bag.device)
    if config.omics_noise:
        omics = {
            m: v
            + config.omics_noise
            * torch.randn(v.shape, generator=generator).to(v.device)
            for m, v in omics.items()
        }
    return replace(batch, bag=bag, omics=omics)


def _validation_loss(model: FusionModel, cases: BagSet, objective: FusionLoss) -> float:
    """Average the loss of whole cases and the mean one of each modality alone."""

    def loss(view: BagSet) -> float:
        logits = torch.from_numpy(predict_logits(model, view))
        labels = torch.from_numpy(view.labels)
        targets = {
            name: torch.from_numpy(np.asarray(values, np.float64))
            for name, values in view.targets.items()
        }
        return float(objective.of_answers(logits, labels, targets, smooth=False))

    alone = []
    for column, modality in enumerate(cases.modalities):
        rows = np.flatnonzero(cases.present[:, column])
        if modality in model.uses and len(rows):
            alone.append(loss(cases.take(rows).restricted([modality])))
    whole = loss(cases)
    return (whole + float(np.mean(alone))) / 2 if alone else whole


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
