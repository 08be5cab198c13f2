"""The processes that train one model together, or the only one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn


class Processes:
    """What the processes of a training tell each other.

    They are those of the default group of `torch.distributed`, which ``torchrun`` and
    `torch.distributed.init_process_group` set up; without a group there is one process.

    Attributes
    ----------
    rank : int
        Number of this process, from 0.
    size : int
        Number of processes.
    """

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if together else 0
        self.size = dist.get_world_size() if together else 1

    def total(self, values: Tensor) -> Tensor:
        """Add up what every process has.

        Parameters
        ----------
        values : Tensor of float, any shape
            Of the same shape in every process.

        Returns
        -------
        Tensor of float
            The sum, the same in every process.
        """
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def total_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of every process, in place.

        Parameters
        ----------
        parameters : iterable of torch.nn.Parameter
            In the same order in every process. One that has a gradient in no process
            keeps none.
        """
        if self.size == 1:
            return
        trained = list(parameters)
        moved = torch.tensor([float(p.grad is not None) for p in trained])
        chosen = [
            p
            for p, count in zip(trained, self.total(moved).tolist(), strict=True)
            if count
        ]
        if not chosen:
            return
        # One message for all of them: there are many small tensors.
        joined = torch.cat(
            [
                (torch.zeros_like(p) if p.grad is None else p.grad).flatten()
                for p in chosen
            ]
        )
        parts = torch.split(self.total(joined), [p.numel() for p in chosen])
        for parameter, part in zip(chosen, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.size > 1:
            dist.barrier()
