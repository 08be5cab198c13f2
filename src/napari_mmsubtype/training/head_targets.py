"""What training cases say about heads: checks, weights of classes, references."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.calibration import TEMPERATURE_RANGE
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.heads import Head, Heads
from napari_mmsubtype.models.survival_heads import CoxHead, HazardHead
from napari_mmsubtype.models.survival_losses import interval_edges

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.training.bags import BagSet
    from napari_mmsubtype.training.config import FusionTrainingConfig


def class_weights(cases: BagSet, classes: int, *, balance: bool) -> Tensor:
    """Weigh the classes.

    Parameters
    ----------
    cases : BagSet
        Training cases.
    classes : int
        Number of classes.
    balance : bool
        Whether all classes weigh the same together; otherwise all cases do.

    Returns
    -------
    Tensor of float32, shape (c,)
        Positive.
    """
    if not balance:
        return torch.ones(classes)
    known = cases.labels[cases.labels >= 0]
    counts = np.bincount(known, minlength=classes).astype(np.float64)
    balanced = len(known) / (max(np.count_nonzero(counts), 1) * np.maximum(counts, 1))
    # Without any known class nothing is weighed.
    return torch.tensor(balanced if len(known) else counts + 1, dtype=torch.float32)


def check_targets(
    heads: Heads,
    model: FusionModel,
    train: BagSet,
    validation: BagSet,
    config: FusionTrainingConfig,
) -> None:
    """Check that cases hold targets that the heads can learn from.

    Parameters
    ----------
    heads : Heads
        The questions.
    model : FusionModel
        Whose logits they share.
    train, validation : BagSet
        The cases.
    config : FusionTrainingConfig
        How they are trained.

    Raises
    ------
    ConfigurationError
        Naming everything that does not fit.
    """
    problems = []
    if heads.size != model.classes:
        problems.append(
            f"heads take {heads.size} logits, the model gives {model.classes}"
        )
    unknown = sorted(set(config.head_weights) - set(heads.others))
    if unknown:
        problems.append(f"head_weights names {unknown}, which are no further heads")
    cox = [name for name, head in heads.heads.items() if isinstance(head, CoxHead)]
    if cox and min(config.batch_size, len(train)) < 2:
        problems.append(
            f"{cox[0]!r} compares the patients of a batch with each other, but "
            f"batch_size is {config.batch_size} of {len(train)} training cases; use 2 "
            "at least, better 32 or more"
        )
    for part, cases in (("training", train), ("validation", validation)):
        if set(cases.targets) != set(heads.others):
            problems.append(
                f"{part} cases have targets for {sorted(cases.targets)}, heads besides "
                f"the first are {sorted(heads.others)}"
            )
            continue
        for name, head in heads.others.items():
            values = np.asarray(cases.targets[name], np.float64)
            fault = _fault(head, values)
            if fault:
                problems.append(f"{part} targets of {name!r} {fault}")
    problems += [
        f"no training case has a known target of {name!r}"
        for name, head in heads.others.items()
        if name in train.targets and not _known(train.targets[name]).any()
    ]
    if problems:
        msg = f"heads cannot be trained: {'; '.join(problems)}"
        raise ConfigurationError(msg)


def fit_hazard_head(
    targets: NDArray[np.floating],
    intervals: int,
    *,
    unit: str = "months",
    event: str = "event",
    alpha: float = 0.0,
) -> HazardHead:
    """Divide time by the events of the training cases.

    Parameters
    ----------
    targets : ndarray of float, shape (n, 2)
        Time and event (1) or censoring (0) of the training cases; NaN where unknown.
    intervals : int
        Number of intervals, at least 2; each holds as many events.
    unit : str, default: "months"
        Unit of the times.
    event : str, default: "event"
        What happens to the patient, for example ``"death"``.
    alpha : float, default: 0.0
        From 0 to 1: how much less censored cases count.

    Returns
    -------
    HazardHead
        With edges between events.

    Raises
    ------
    ConfigurationError
        If there are too few events for so many intervals.
    """
    known = torch.from_numpy(np.asarray(targets, np.float64)[_known(targets)])
    try:
        edges = interval_edges(known[:, 0], known[:, 1] > 0, intervals)
    except ValueError as err:
        raise ConfigurationError(str(err)) from err
    return HazardHead(tuple(edges.tolist()), unit=unit, event=event, alpha=alpha)


def center_risks(heads: Heads, logits: NDArray[np.floating]) -> Heads:
    """Give each head of risk the mean log-risk of the training cases.

    Parameters
    ----------
    heads : Heads
        The questions.
    logits : ndarray of float, shape (n, size)
        Of the training cases from all they have, see `fusion_trainer.predict_logits`.

    Returns
    -------
    Heads
        The same otherwise; to be written into the bundle.
    """
    fitted: dict[str, Head] = {}
    for name, head in heads.heads.items():
        fitted[name] = head
        if isinstance(head, CoxHead):
            center = float(np.mean(logits[:, heads.columns(name)]))
            fitted[name] = replace(head, center=center)
    return Heads(fitted)


def calibrate_heads(heads: Heads, logits: NDArray[np.floating], cases: BagSet) -> Heads:
    """Fit the temperature of each head but the first and those of risk.

    Parameters
    ----------
    heads : Heads
        The questions.
    logits : ndarray of float, shape (n, size)
        Of the cases from all they have, see `fusion_trainer.predict_logits`.
    cases : BagSet
        Cases that the model was not trained on, with their targets.

    Returns
    -------
    Heads
        The same otherwise, a temperature each where a target is known; to be written
        into the bundle.
    """
    fitted: dict[str, Head] = {**heads.heads}
    for name, head in heads.others.items():
        targets = np.asarray(cases.targets[name], np.float64)
        known = _known(targets)
        if isinstance(head, CoxHead) or not known.any():
            continue
        own = torch.from_numpy(np.asarray(logits, np.float64)[known])
        own, wanted = own[:, heads.columns(name)], torch.from_numpy(targets[known])
        # Weights of training would ask for chances other than those observed.
        plain = replace(head, alpha=0.0) if isinstance(head, HazardHead) else head

        def loss(
            log_temperature: float,
            head: Head = plain,
            own: Tensor = own,
            wanted: Tensor = wanted,
        ) -> float:
            return float(head.loss(own / math.exp(log_temperature), wanted))

        bounds = tuple(math.log(t) for t in TEMPERATURE_RANGE)
        best = minimize_scalar(loss, bounds=bounds, method="bounded").x
        fitted[name] = replace(head, temperature=math.exp(float(best)))
    return Heads(fitted)


def _known(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Say which cases have a target."""
    rows: NDArray[np.bool_] = ~np.isnan(values.reshape(len(values), -1)).any(axis=1)
    return rows


def _fault(head: Head, values: NDArray[np.float64]) -> str:
    """Say what is wrong with the targets of one head, or nothing."""
    if values.shape[1:] != head.target_shape:
        return (
            f"have shape {values.shape}, expected {(len(values), *head.target_shape)}"
        )
    known = values[_known(values)]
    if isinstance(head, (ClassHead, OrdinalHead)):
        names = head.labels if isinstance(head, ClassHead) else head.levels
        wrong = known[~np.isin(known, np.arange(len(names)))]
        if len(wrong):
            return (
                f"must be 0 to {len(names) - 1} for {', '.join(names)}, found "
                f"{wrong[0]:g}"
            )
        return ""
    times, events = known[:, 0], known[:, 1]
    if not (np.isfinite(times).all() and (times >= 0).all()):
        return "must have times that are finite and not negative"
    if not np.isin(events, (0, 1)).all():
        return "must have 1 for an event and 0 for censoring"
    return ""
