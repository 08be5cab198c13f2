"""Fit a fusion model to bags and omics, hiding modalities so that none is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.training.bag_statistics import embedding_statistics
from napari_mmsubtype.training.fusion_loss import FusionLoss
from napari_mmsubtype.training.fusion_run import FusionRun
from napari_mmsubtype.training.fusion_views import predict_views
from napari_mmsubtype.training.head_targets import check_targets, class_weights
from napari_mmsubtype.training.run_keeper import RunKeeper
from napari_mmsubtype.training.tensorboard_log import open_log
from napari_mmsubtype.training.training_identity import training_identity

if TYPE_CHECKING:
    from pathlib import Path

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
    *,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 60.0,
    log_folder: Path | None = None,
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
    checkpoint : Path, optional
        File in which the training is kept. If it is there, the training goes on from
        it, to the same weights bit by bit as if it had never stopped (on the same
        device, with as many processes and threads). The end is kept as well.
    checkpoint_seconds : float, default: 60.0
        Time between two checkpoints, also within an epoch.
    log_folder : Path, optional
        Folder for the curves as TensorBoard shows them.

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
        If targets and heads do not fit, a risk is asked of batches of one case, or the
        checkpoint is that of another training.
    ComputeError
        If the loss is no longer a number.
    MissingDependencyError
        If a log is asked for and TensorBoard is not installed.

    Notes
    -----
    The global random state is left as it was. Where a process group of
    `torch.distributed` is set up, as by ``torchrun``, its processes share the cases of
    each step; all of them must be given the same model and cases.
    """
    _check(model, train, validation)
    if heads is not None:
        check_targets(heads, model, train, validation, config)
    identity = {}
    if checkpoint is not None:
        identity = training_identity(model, train, validation, config, heads)
    model.set_reference(*embedding_statistics(train))
    classes = model.classes if heads is None else heads.classes.size
    weights = class_weights(train, classes, balance=config.class_weights)
    weights = weights.to(model.embedding_mean.device)
    run = FusionRun(model, train, validation, FusionLoss(weights, config, heads))
    keeper = RunKeeper(run, checkpoint, checkpoint_seconds, identity)
    if keeper.resume():
        yield Progress(
            "fusion training",
            run.epoch,
            config.epochs,
            f"going on after epoch {run.epoch}, step {run.step}",
            run.curves,
        )
    with open_log(log_folder) as log:
        while not run.done:
            while not run.epoch_is_complete:
                run.advance()
                keeper.keep()
            run.end_epoch()
            keeper.keep(now=run.done)
            log.write(run.curves)
            try:
                yield Progress(
                    "fusion training",
                    run.epoch,
                    config.epochs,
                    run.curves.last_line(),
                    run.curves,
                )
            except GeneratorExit:
                keeper.keep(now=True)
                raise
    model.load_state_dict(run.best)
    return FusionFit(
        model.eval(),
        run.curves.training_losses,
        run.curves.validation_losses,
        run.curves.best_epoch,
        run.curves.learning_rates,
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
