"""Moments of an optimizer as tensors by name, as a checkpoint keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

_PREFIX = "optimizer."


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Give the moments of an optimizer.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Whose state is made of tensors, as that of AdamW is.

    Returns
    -------
    dict of str to Tensor
        By ``optimizer.``, the number of the weight and the name of the moment.
    """
    return {
        f"{_PREFIX}{number}.{name}": values
        for number, moments in optimizer.state_dict()["state"].items()
        for name, values in moments.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Give an optimizer the moments that it had.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Of the same weights in the same order.
    tensors : mapping of str to Tensor
        As `optimizer_tensors` gave them, perhaps among others.
    """
    moments: dict[int, dict[str, Tensor]] = {}
    for key, values in under(_PREFIX, tensors).items():
        number, _, name = key.partition(".")
        moments.setdefault(int(number), {})[name] = values
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pick the tensors of one part.

    Parameters
    ----------
    prefix : str
        With which their names begin.
    tensors : mapping of str to Tensor
        All of them.

    Returns
    -------
    dict of str to Tensor
        By their names without the prefix.
    """
    return {
        name.removeprefix(prefix): values
        for name, values in tensors.items()
        if name.startswith(prefix)
    }
