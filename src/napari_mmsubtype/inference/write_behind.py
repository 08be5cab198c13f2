"""Write one batch while the next one is computed."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class WriteBehind(Generic[_T]):
    """Runs one task at a time in a thread of its own, in order.

    As a context manager it waits for the last one before it ends.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mmsubtype-write")
        self._pending: Future[_T] | None = None

    def __enter__(self) -> WriteBehind[_T]:
        """Give this object."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for what is being written.

        Parameters
        ----------
        kind, error, trace
            Of what ends the context early; a task that fails then is only logged.
        """
        del kind, error, trace
        self._pool.shutdown(wait=True)
        failure = self._pending.exception() if self._pending else None
        if failure is not None:
            logger.warning("the last batch was not written: %s", failure)

    def submit(self, task: Callable[[], _T]) -> list[_T]:
        """Begin a task when the one before it is done.

        Parameters
        ----------
        task : callable
            Run in the thread.

        Returns
        -------
        list
            What the task before it gave, if there was one.

        Raises
        ------
        Exception
            What the task before it raised; this one is not begun.
        """
        done = self.finish()
        self._pending = self._pool.submit(task)
        return done

    def finish(self) -> list[_T]:
        """Wait for the task that is under way.

        Returns
        -------
        list
            What it gave, if there is one.

        Raises
        ------
        Exception
            What it raised.
        """
        pending, self._pending = self._pending, None
        return [] if pending is None else [pending.result()]


__all__ = ["WriteBehind"]
