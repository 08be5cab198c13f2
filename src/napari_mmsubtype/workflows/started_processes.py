"""Whether this process is one of several that ``torchrun`` started together."""

from __future__ import annotations

import os

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.workflows.shared_work import SharedWork


def process_count() -> int:
    """Count the processes that were started together.

    Returns
    -------
    int
        1 for a process that was started alone.
    """
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_rank() -> int:
    """Give the number of this process among those that were started together.

    Returns
    -------
    int
        From 0; 0 for a process that was started alone. The one of 0 tells how far all
        are and writes what there is one of.
    """
    return int(os.environ["RANK"]) if process_count() > 1 else 0


def join_work() -> SharedWork:
    """Join the processes that ``torchrun`` started, or work alone.

    Returns
    -------
    SharedWork
        Of one process where it was started alone.

    Raises
    ------
    ConfigurationError
        If the processes were started by something else or on several machines, or train
        together already.
    """
    from napari_mmsubtype.training.processes import Processes

    size = process_count()
    if Processes().size > 1:
        msg = (
            f"{Processes().size} processes share every training step here (a process "
            "group of torch.distributed is set up), and would write the same files; "
            "call this outside of joined_processes or before init_process_group"
        )
        raise ConfigurationError(msg)
    if size == 1:
        return SharedWork()
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != str(True):
        msg = (
            f"{size} processes were started together (WORLD_SIZE), but not by "
            "torchrun, through which they would share out the work; start them as "
            f"torchrun --standalone --nproc-per-node {size} ..., or one without it"
        )
        raise ConfigurationError(msg)
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    if local != size:
        msg = (
            f"{size} processes were started on several machines, {local} of them here; "
            "work is shared out on one machine: start torchrun --standalone there"
        )
        raise ConfigurationError(msg)
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://"))
    return SharedWork(store, rank, size)
