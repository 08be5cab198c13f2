"""Work that is shared out among the processes that ``torchrun`` started together.

Each process does whole units of work, such as the slide or the fold that it took, as
one process alone would, and leaves them on disk: no gradient travels, and the numbers
do not depend on the number of processes. What they tell each other (which unit is
taken, how many are done) goes through the key-value store of ``torchrun``, which ends
all of them when one fails.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import (
    ComputeError,
    ConfigurationError,
    JobCancelled,
    MMSubtypeError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from torch._C._distributed_c10d import Store

T = TypeVar("T")

_PAUSE_S = 0.2
"""Between two looks at what the others have done; a look is no more than a message."""


class SharedWork:
    """The processes that share out a run among them, or the only one.

    As a context it says of an error in which process it came.

    Parameters
    ----------
    store : torch.distributed.Store or None, default: None
        Through which the processes talk; None for a process alone.
    rank : int, default: 0
        Number of this process.
    size : int, default: 1
        Number of processes.

    Attributes
    ----------
    rank, size : int
        As given.
    """

    def __init__(
        self, store: Store | None = None, rank: int = 0, size: int = 1
    ) -> None:
        self.rank = rank
        self.size = size
        self._store = store
        self._counts: dict[str, int] = {}
        self._rounds = 0

    def __enter__(self) -> SharedWork:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.size == 1:
            return
        if isinstance(error, KeyboardInterrupt):
            msg = (
                f"process {self.rank} was stopped, by the user or because another of "
                f"{self.size} processes failed; the same command goes on, with any "
                "number of processes"
            )
            raise JobCancelled(msg) from None
        if isinstance(error, MMSubtypeError):
            error.add_note(
                f"this was process {self.rank} (of 0 to {self.size - 1}); the others "
                "end with it, and what is done is kept"
            )

    def device(self, name: str) -> str:
        """Give each process a GPU of its own, where it is left to us.

        Parameters
        ----------
        name : str
            As asked for: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

        Returns
        -------
        str
            ``cuda:<number>`` in place of ``auto`` and ``cuda`` where there are GPUs and
            several processes; otherwise as asked for.

        Raises
        ------
        ConfigurationError
            If there are fewer GPUs than processes, or the device is not there.
        """
        if self.size == 1:
            return name
        import torch

        from napari_mmsubtype.inference.device import choose_processor

        processor = choose_processor(name)
        if name not in {"auto", "cuda"} or processor.device.type != "cuda":
            return name
        gpus = torch.cuda.device_count()
        if gpus < self.size:
            msg = (
                f"{self.size} processes were started for {gpus} GPU(s); start one for "
                f"each (--nproc-per-node {gpus}), or let all of them use the same one "
                "with device cuda:0, or the processor with device cpu"
            )
            raise ConfigurationError(msg)
        return f"cuda:{self.rank}"

    def follow_job(self) -> Job[None]:
        """Let the first process go ahead, the others wait until it calls `lead`.

        What the request has wrong is so found, and told, by one process alone; what has
        to be downloaded is downloaded once.

        Yields
        ------
        Progress
            Stage ``open``, while it waits.
        """
        if self.rank > 0:
            yield Progress("open", message="waiting for the first process")
            while not self.count("lead"):
                time.sleep(_PAUSE_S)

    def lead(self) -> None:
        """Tell the others, in the first process, that they may go on."""
        if self.rank == 0:
            self.add("lead")

    def units(self, items: Sequence[T], stage: str) -> Units[T]:
        """Share out pieces of work; every process calls this with the same ones.

        Parameters
        ----------
        items : sequence
            In an order that is the same in every process.
        stage : str
            What is done with them, for `Progress`.

        Returns
        -------
        Units
            From which each process takes one after another.
        """
        self._rounds += 1
        return Units(self, f"round-{self._rounds}", items, stage)

    def add(self, key: str, amount: int = 1) -> int:
        """Count something that all processes count together.

        Parameters
        ----------
        key : str
            What.
        amount : int, default: 1
            How many more.

        Returns
        -------
        int
            How many there are now, of all processes.
        """
        if self._store is None:
            self._counts[key] = self._counts.get(key, 0) + amount
            return self._counts[key]
        store = self._store
        return self._ask(lambda: int(store.add(key, amount)))

    def count(self, key: str) -> int:
        """Tell how many of something all processes have counted.

        Parameters
        ----------
        key : str
            What.

        Returns
        -------
        int
            0 where nobody has counted it.
        """
        return self.add(key, 0)

    def say(self, key: str, value: Any) -> None:
        """Leave a value for the other processes.

        Parameters
        ----------
        key : str
            Its name, used once.
        value : object
            Plain JSON types.
        """
        if self._store is None:
            msg = "a process alone has nobody to tell"
            raise RuntimeError(msg)
        store, text = self._store, json.dumps(value)
        self._ask(lambda: store.set(key, text))

    def hear(self, key: str) -> Any:
        """Read a value that a process has left.

        Parameters
        ----------
        key : str
            Its name; it is there.

        Returns
        -------
        object
            Plain JSON types.
        """
        if self._store is None:
            msg = "a process alone has nobody to hear"
            raise RuntimeError(msg)
        store = self._store
        return json.loads(self._ask(lambda: store.get(key)))

    def _ask(self, question: Callable[[], T]) -> T:
        """Talk to the store of ``torchrun``, which ends with it."""
        from torch.distributed import DistError

        try:
            return question()
        except DistError as err:
            msg = (
                "the processes that were started together cannot reach each other any "
                f"more, torchrun seems to have ended ({str(err).splitlines()[0]}); "
                "start the same command again to go on"
            )
            raise ComputeError(msg) from err


class Units(Generic[T]):
    """Pieces of work that several processes take one after another.

    Parameters
    ----------
    work : SharedWork
        The processes.
    key : str
        Under which they count; the same in every process, and used once.
    items : sequence
        The pieces; the same in every process.
    stage : str
        What is done with them, for `Progress`.
    """

    def __init__(
        self, work: SharedWork, key: str, items: Sequence[T], stage: str
    ) -> None:
        self._work = work
        self._stage = stage
        self._key = key
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        """Take what nobody has taken yet, until nothing is left."""
        while (place := self._work.add(f"{self._key}/taken") - 1) < len(self._items):
            yield self._items[place]
            # Here again for the next one: this one is done.
            self._work.add(f"{self._key}/done")

    @property
    def done(self) -> int:
        """Number of pieces that are done, of all processes."""
        return self._work.count(f"{self._key}/done")

    @property
    def all_taken(self) -> bool:
        """Whether nobody will begin another one."""
        return self._work.count(f"{self._key}/taken") >= len(self._items)

    def step(self, message: str) -> Progress:
        """Tell how many pieces are done, by all processes.

        Parameters
        ----------
        message : str
            What comes next.

        Returns
        -------
        Progress
            Of the stage.
        """
        return Progress(self._stage, self.done, len(self), message)

    def gather_job(
        self, own: Any, tell: Callable[[str], Progress] | None = None
    ) -> Job[list[Any]]:
        """Wait until every process has come here, however long that takes.

        Parameters
        ----------
        own : object
            Plain JSON types; what this process has to say.
        tell : callable or None, default: None
            Makes an event of a message; None takes `step`.

        Yields
        ------
        Progress
            Whenever the others have come further.

        Returns
        -------
        list
            What each process has to say, in their order.
        """
        work = self._work
        if work.size == 1:
            return [own]
        work.say(f"{self._key}/from-{work.rank}", own)
        here = f"{self._key}/here"
        arrived, told = work.add(here), None
        while arrived < work.size:
            event = (tell or self.step)(
                f"waiting for {work.size - arrived} of {work.size} processes"
            )
            if event != told:
                yield event
            told = event
            time.sleep(_PAUSE_S)
            arrived = work.count(here)
        return [work.hear(f"{self._key}/from-{rank}") for rank in range(work.size)]
