"""The processes that train one model together, or the only one."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor, nn


class Processes:
    """What the processes of a training tell each other.

    They are those of the default group of `torch.distributed`, as `joined_processes`
    sets it up; without a group there is one process.

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
        device = trained[0].device
        moved = torch.tensor(
            [float(p.grad is not None) for p in trained], device=device
        )
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

    def average_buffers(self, module: nn.Module) -> None:
        """Average what a module counts of its own batches, in place.

        Parameters
        ----------
        module : torch.nn.Module
            Such as one with batch normalization; whole numbers stay.
        """
        if self.size == 1:
            return
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.copy_(self.total(buffer) / self.size)

    def agree(self, value: float, device: torch.device) -> float:
        """Take what the first process found, in all of them.

        Parameters
        ----------
        value : float
            Of this process.
        device : torch.device
            On which the processes talk.

        Returns
        -------
        float
            The same in every process.
        """
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=device)
        dist.broadcast(told, src=0)
        return float(told)

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.size > 1:
            dist.barrier()


def refuse_several_processes() -> None:
    """Refuse to do together what is one piece of work with one outcome.

    Raises
    ------
    ConfigurationError
        If ``torchrun`` started several processes, or they joined already.
    """
    size = max(int(os.environ.get("WORLD_SIZE", "1")), Processes().size)
    if size > 1:
        msg = (
            f"{size} processes were started together (torchrun), but one model is "
            "trained here, which all of them would write; start the command once, "
            "without torchrun. crossval shares out its folds among processes; in "
            "Python, fit_fusion and fit_patch_encoder share out one training"
        )
        raise ConfigurationError(msg)


@contextmanager
def joined_processes() -> Iterator[torch.device]:
    """Join the processes that ``torchrun`` started; without it, stay alone.

    Yields
    ------
    torch.device
        A GPU for each process where there are enough of them, the CPU otherwise. Put
        the model there. What is trained within is trained by all processes together;
        files are to be written by the one of rank 0.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    place = int(os.environ.get("LOCAL_RANK", "0"))
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    local = int(os.environ.get("LOCAL_WORLD_SIZE", str(size)))
    device = torch.device("cuda", place) if gpus >= local else torch.device("cpu")
    if size == 1:
        yield device
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()
