"""Write a training down now and then, and go on from what was written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from napari_mmsubtype.training.checkpoint import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from napari_mmsubtype.training.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


class Run(Protocol):
    """A training that can be stopped after any step."""

    def tensors(self) -> Mapping[str, Tensor]:
        """Give every tensor that is needed to go on.

        Returns
        -------
        mapping of str to Tensor
            By name.
        """

    def facts(self) -> Mapping[str, Any]:
        """Give the place in the training and its curves.

        Returns
        -------
        mapping of str to object
            Of plain JSON types.
        """

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go back to where a training was.

        Parameters
        ----------
        tensors : mapping of str to Tensor
            As `tensors` gave them.
        facts : mapping of str to object
            As `facts` gave them.
        """


class RunKeeper:
    """Keeps one training in one file; of several processes the first one writes.

    Parameters
    ----------
    run : Run
        The training.
    path : Path or None
        The file; None keeps nothing.
    seconds : float
        Time between two checkpoints.
    identity : mapping of str to mapping
        Of the training, see `training_identity`.
    """

    def __init__(
        self,
        run: Run,
        path: Path | None,
        seconds: float,
        identity: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._run, self._path, self._seconds = run, path, seconds
        self._identity = identity
        self._processes = Processes()
        self._last = time.monotonic()

    def resume(self) -> bool:
        """Bring the run to where it was.

        Returns
        -------
        bool
            False where nothing was kept.

        Raises
        ------
        ConfigurationError
            If what was kept is another training.
        """
        found = None
        if self._path is not None:
            found = read_checkpoint(self._path, self._identity)
        # Before one of the processes writes, all have read.
        self._processes.wait()
        if found is None:
            return False
        self._run.restore(found.tensors, found.facts)
        return True

    def keep(self, *, now: bool = False) -> None:
        """Write the run down.

        Parameters
        ----------
        now : bool, default: False
            At once; otherwise when it is time.
        """
        if self._path is None or self._processes.rank:
            return
        if now or time.monotonic() - self._last >= self._seconds:
            state = Checkpoint(self._run.tensors(), self._run.facts(), self._identity)
            write_checkpoint(self._path, state)
            self._last = time.monotonic()
