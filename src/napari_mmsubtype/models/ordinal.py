"""Ordered classes, such as stages: the CORN loss and its probabilities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def corn_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Average the binary losses of the conditional questions of CORN.

    Question ``k`` asks whether the label is above ``k``, of those cases alone that are
    at least at ``k`` [1]_. The losses of one case add up to minus the log of the
    probability of its label.

    Parameters
    ----------
    logits : Tensor of float, shape (b, k - 1)
        Of each question.
    labels : Tensor of int, shape (b,)
        Levels from 0 to ``k - 1``.

    Returns
    -------
    Tensor of float, shape ()
        Mean over all questions that were asked; 0 where there is no case.

    Raises
    ------
    ValueError
        If a label is out of range.

    References
    ----------
    .. [1] Shi, Cao and Raschka, "Deep neural networks for rank-consistent ordinal
       regression based on conditional probabilities", Pattern Analysis and
       Applications 2023.
    """
    highest = logits.shape[1]
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) <= highest:
        msg = (
            f"levels must be from 0 to {highest}, found {int(labels.min())} to "
            f"{int(labels.max())}"
        )
        raise ValueError(msg)
    steps = torch.arange(highest, device=logits.device)
    asked = labels[:, None] >= steps
    above = (labels[:, None] > steps).to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, above, reduction="none")
    return losses.masked_fill(~asked, 0.0).sum() / asked.sum().clamp(min=1)


def corn_probabilities(logits: Tensor) -> Tensor:
    """Turn the answers to the conditional questions into probabilities of levels.

    Parameters
    ----------
    logits : Tensor of float, shape (b, k - 1)
        Of each question.

    Returns
    -------
    Tensor of float, shape (b, k)
        Never negative, summing to 1.
    """
    reached = torch.sigmoid(logits).cumprod(dim=1)
    sure = torch.ones_like(logits[:, :1])
    stop = torch.cat([torch.sigmoid(-logits), sure], dim=1)
    return torch.cat([sure, reached], dim=1) * stop
