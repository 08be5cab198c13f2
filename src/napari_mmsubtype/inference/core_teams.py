"""Run the parts of a batch side by side on a CPU, each on cores of its own."""

from __future__ import annotations

import itertools
import traceback
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier
from typing import TYPE_CHECKING, Self, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_BACKEND = "backend: OpenMP"
"""What PyTorch says of itself where threads can have cores of their own."""
_FEWEST = 8
"""Patches of 224 px in a part: fewer fill the cores of a team less well."""


class CoreTeams:
    """Threads that share the cores of a CPU and take a part of each batch.

    All cores together end every step of a network together: where one of them reads a
    patch in between, the others wait for it, step by step. Teams wait for nobody.

    Parameters
    ----------
    count : int
        How many teams; where it is 1, batches stay whole, and no thread is begun.

    Attributes
    ----------
    count : int
        As given.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self.count > 1:
            cores = torch.get_num_threads()
            self._pool = ThreadPoolExecutor(self.count, "mmsubtype-team")
            all_here = Barrier(self.count)
            try:
                share = max(cores // self.count, 1)
                tasks = [
                    self._pool.submit(_take_cores, share, all_here)
                    for _ in range(self.count)
                ]
                for task in tasks:
                    task.result()
            except BaseException:
                all_here.abort()
                self._pool.shutdown()
                raise
            finally:
                # What was set last is what other new threads take.
                torch.set_num_threads(cores)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def begin(self, work: Callable[[slice], T], part: slice) -> Callable[[], list[T]]:
        """Begin a part of a batch; whichever team is free takes up what is next.

        Parameters
        ----------
        work : callable
            Does what it is given of the batch, in any thread.
        part : slice
            Which patches; always divided in the same way.

        Returns
        -------
        callable
            Waits until every team has ended, and gives what ``work`` gave, in the order
            of the patches, or raises what it raised. A single team ends before this
            returns.
        """
        size = part.stop - part.start
        pool, count = self._pool, min(self.count, size)
        if pool is None or count < 2:
            found = [work(part)]
            return lambda: found
        ends = [part.start + size * i // count for i in range(count + 1)]
        parts = itertools.starmap(slice, itertools.pairwise(ends))
        tasks = [pool.submit(_run, work, own) for own in parts]

        def _end() -> list[T]:
            wait(tasks)
            return [task.result() for task in tasks]

        return _end

    def run(self, work: Callable[[slice], T], part: slice) -> list[T]:
        """Do a part of a batch and wait for it.

        Parameters
        ----------
        work : callable
            As `begin` takes it.
        part : slice
            As `begin` takes it.

        Returns
        -------
        list
            What ``work`` gave, in the order of the patches.
        """
        return self.begin(work, part)()


def _run(work: Callable[[slice], T], part: slice) -> T:
    """Do a part; where it fails, keep none of its tensors with the error."""
    try:
        return work(part)
    except BaseException as err:
        traceback.clear_frames(err.__traceback__)
        raise


def _take_cores(count: int, all_here: Barrier) -> None:
    """Set how many cores this thread uses, for good; no thread does it twice."""
    all_here.wait()
    torch.set_num_threads(count)
    # A thread takes what was set last, by any thread, when it first asks.
    torch.get_num_threads()


def choose_teams(device: torch.device, batch_size: int) -> CoreTeams:
    """Choose how many teams do a batch.

    Parameters
    ----------
    device : torch.device
        Where the network runs.
    batch_size : int
        Patches that go through it at once.

    Returns
    -------
    CoreTeams
        To be entered. Each has the same number of cores, and eight patches at least;
        a single one on other devices, and where PyTorch cannot give threads cores of
        their own.
    """
    cores = torch.get_num_threads()
    if device.type != "cpu" or _BACKEND not in torch.__config__.parallel_info():
        return CoreTeams(1)
    most = max(1, min(cores, batch_size // _FEWEST))
    return CoreTeams(max(n for n in range(1, most + 1) if cores % n == 0))


__all__ = ["CoreTeams", "choose_teams"]
