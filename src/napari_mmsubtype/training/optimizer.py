"""Make the optimizer of a training, also beside an open window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable


def make_optimizer(
    parameters: Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]],
    weight_decay: float,
) -> torch.optim.AdamW:
    """Make AdamW, which every training here uses.

    Parameters
    ----------
    parameters : iterable of Parameter or dict
        What is trained, or groups of it with options of their own.
    weight_decay : float
        Decoupled, per unit of learning rate.

    Returns
    -------
    AdamW
        Its learning rate is set at every step.
    """
    return torch.optim.AdamW(parameters, weight_decay=weight_decay)
