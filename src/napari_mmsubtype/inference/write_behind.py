"""Write what was computed while the next of it is computed."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")
_T = TypeVar("_T")

EVERY_S = 1.0
"""Between the begins of two writings: each costs as much for one batch as for many."""


class WriteBehind(Generic[_Item, _T]):
    """Writes items in order, in a thread of its own, some at once.

    As a context manager it writes what it holds before it ends.

    Parameters
    ----------
    write : callable
        Writes items and gives something for each; run in the thread, one at a time.
    """

    def __init__(self, write: Callable[[list[_Item]], list[_T]]) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mmsubtype-write")
        self._pending: Future[list[_T]] | None = None
        self._held: list[_Item] = []
        self._begun = -EVERY_S

    def __enter__(self) -> WriteBehind[_Item, _T]:
        """Give this object."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is left.

        Parameters
        ----------
        kind, error, trace
            Of what ends the context early; what fails to be written then is only
            logged.
        """
        del kind, error, trace
        try:
            self.finish()
        except Exception as err:  # noqa: BLE001 - it must not hide what ends the context
            logger.warning("the last patches were not written: %s", err)
        finally:
            self._pool.shutdown(wait=True)

    def submit(self, item: _Item) -> list[_T]:
        """Take an item; begin to write all that are held, now and then.

        Parameters
        ----------
        item : object
            What ``write`` takes.

        Returns
        -------
        list
            What was given for items that are written since the last call.

        Raises
        ------
        Exception
            What writing raised; nothing is written any more.
        """
        self._held.append(item)
        done = self._wait() if self._pending and self._pending.done() else []
        if time.monotonic() - self._begun >= EVERY_S:
            done += self._wait()
            self._begin()
        return done

    def finish(self) -> list[_T]:
        """Write what is held and wait for it.

        Returns
        -------
        list
            What was given for items that were not told of.

        Raises
        ------
        Exception
            What writing raised.
        """
        done = self._wait()
        if self._held:
            self._begin()
        return done + self._wait()

    def _begin(self) -> None:
        items, self._held = self._held, []
        self._begun = time.monotonic()
        self._pending = self._pool.submit(self._write, items)

    def _wait(self) -> list[_T]:
        pending, self._pending = self._pending, None
        if pending is None:
            return []
        try:
            return pending.result()
        except BaseException:
            # What comes after a gap would be found, and what is in it forgotten.
            self._held.clear()
            raise


__all__ = ["WriteBehind"]
