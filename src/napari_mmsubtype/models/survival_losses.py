"""Losses of time to an event: Cox's partial likelihood and discrete hazards."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

Ties: TypeAlias = Literal["efron", "breslow"]
"""How events at the same time share their risk set."""


def cox_loss(
    risks: Tensor, times: Tensor, events: Tensor, *, ties: Ties = "efron"
) -> Tensor:
    """Average minus the log partial likelihood over the events.

    Parameters
    ----------
    risks : Tensor of float, shape (b,)
        Log-risks; a constant added to all of them changes nothing.
    times : Tensor of float, shape (b,)
        Of event or censoring, in any unit.
    events : Tensor of bool, shape (b,)
        True for an event, False for censoring.
    ties : {"efron", "breslow"}, default: "efron"
        How events at the same time share their risk set.

    Returns
    -------
    Tensor of float, shape ()
        0 where there is no event: such a batch says nothing about risk.

    Raises
    ------
    ValueError
        If ``ties`` is neither.
    """
    if ties not in ("efron", "breslow"):
        msg = f"ties must be 'efron' or 'breslow', found {ties!r}"
        raise ValueError(msg)
    if not bool(events.any()):
        return risks.sum() * 0.0
    order = torch.argsort(times, descending=True, stable=True)
    risks, events = risks[order], events[order]
    _, time, cases = torch.unique_consecutive(
        times[order], return_inverse=True, return_counts=True
    )
    # At risk is who is followed at least as long, those at the same time included.
    at_risk = torch.logcumsumexp(risks, dim=0)[cases.cumsum(0) - 1][time]
    risk, total, time = risks[events], at_risk[events], time[events]
    if ties == "efron":
        tied = torch.bincount(time, minlength=len(cases))
        before = torch.arange(len(time), device=time.device)
        share = (before - (tied.cumsum(0) - tied)[time]).to(risk) / tied[time]
        parts = torch.exp(risk - total)
        of_tied = torch.zeros_like(cases, dtype=parts.dtype).index_add(0, time, parts)
        total = total + torch.log1p(-share * of_tied[time])
    return (total - risk).mean()


def hazard_loss(
    logits: Tensor, intervals: Tensor, events: Tensor, *, alpha: float = 0.0
) -> Tensor:
    """Average minus the log-likelihood of discrete-time hazards.

    A case with an event in interval ``y`` survived those before it; a censored one
    survived interval ``y`` as well.

    Parameters
    ----------
    logits : Tensor of float, shape (b, k)
        Of the hazard in each interval.
    intervals : Tensor of int, shape (b,)
        Interval of event or censoring, from 0 to ``k - 1``.
    events : Tensor of bool, shape (b,)
        True for an event, False for censoring.
    alpha : float, default: 0.0
        From 0 to 1: how much less censored cases count.

    Returns
    -------
    Tensor of float, shape ()
        Mean over cases; 0 where there is none.

    Raises
    ------
    ValueError
        If an interval or ``alpha`` is out of range.
    """
    last = logits.shape[1] - 1
    if not 0 <= alpha <= 1:
        msg = f"alpha must be from 0 to 1, found {alpha}"
        raise ValueError(msg)
    if len(intervals) and not 0 <= int(intervals.min()) <= int(intervals.max()) <= last:
        msg = (
            f"intervals must be from 0 to {last}, found {int(intervals.min())} to "
            f"{int(intervals.max())}"
        )
        raise ValueError(msg)
    steps = torch.arange(last + 1, device=logits.device)
    own = steps == intervals[:, None]
    died = own & events[:, None]
    survived = (steps <= intervals[:, None]) & ~died
    losses = -(
        F.logsigmoid(logits).masked_fill(~died, 0.0)
        + F.logsigmoid(-logits).masked_fill(~survived, 0.0)
    ).sum(dim=1)
    weights = torch.where(events, 1.0, 1.0 - alpha).to(losses.dtype)
    return (weights * losses).sum() / max(len(losses), 1)


def survival_curve(logits: Tensor) -> Tensor:
    """Give the chance to survive each interval.

    Parameters
    ----------
    logits : Tensor of float, shape (b, k)
        Of the hazard in each interval.

    Returns
    -------
    Tensor of float, shape (b, k)
        Never rising.
    """
    return torch.sigmoid(-logits).cumprod(dim=1)


def interval_edges(times: Tensor, events: Tensor, intervals: int) -> Tensor:
    """Divide time so that each interval holds as many events of the training cases.

    Parameters
    ----------
    times : Tensor of float, shape (b,)
        Of event or censoring; training cases only.
    events : Tensor of bool, shape (b,)
        True for an event, False for censoring.
    intervals : int
        Number of intervals, at least 1.

    Returns
    -------
    Tensor of float, shape (intervals - 1,)
        Rising inner edges: quantiles of the times of events.

    Raises
    ------
    ValueError
        If the events are too few or too much alike to be divided.
    """
    dead = times[events]
    levels = torch.linspace(0, 1, intervals + 1, dtype=times.dtype)[1:-1]
    edges = torch.quantile(dead, levels.to(dead.device)) if len(dead) else dead
    if len(dead) < intervals or bool((edges.diff() <= 0).any()):
        msg = (
            f"{intervals} intervals need as many distinct times of events, found "
            f"{len(dead)} events at {len(set(dead.tolist()))} times; use fewer "
            "intervals"
        )
        raise ValueError(msg)
    return edges
