"""Keep a second process from writing to a result store that is being written to."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from napari_mmsubtype.errors import StoreError, StoreInUseError

if TYPE_CHECKING:
    from types import TracebackType

logger = logging.getLogger(__name__)

UNREADABLE_AFTER_S = 10.0
"""Age from which a lock that says nothing counts as left behind: making one takes
milliseconds, and a process that is killed meanwhile leaves it empty."""

_TRIES = 5


@dataclass(frozen=True, slots=True)
class LockOwner:
    """Who holds a lock.

    Attributes
    ----------
    pid : int
        Number of the process.
    birth : str
        What tells it from a later process of the same number.
    host : str
        Name of its machine.
    started : str
        When it took the lock, UTC, ISO 8601.
    token : str
        Unique to the lock: one process may hold several.
    """

    pid: int
    birth: str
    host: str
    started: str
    token: str

    @classmethod
    def current(cls) -> LockOwner:
        """Describe this process.

        Returns
        -------
        LockOwner
            With a new token.
        """
        pid = os.getpid()
        return cls(
            pid=pid,
            birth=process_birth(pid) or "",
            host=platform.node(),
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            token=uuid.uuid4().hex,
        )

    @property
    def is_gone(self) -> bool:
        """Whether the process has surely ended; never of another machine."""
        if self.host != platform.node():
            return False
        if not psutil.pid_exists(self.pid):
            return True
        birth = process_birth(self.pid)
        # A process that may not be looked at counts as alive.
        return birth is not None and self.birth != birth


class StoreLock:
    """A small file beside a store, there as long as one process writes to the store.

    It names the process, so that another can tell whether that one still lives: after
    a crash or a kill the next analysis takes the lock over. No lock of the operating
    system is used, as those differ between systems and fail on network drives.

    Parameters
    ----------
    path : Path
        The lock file, which this process owns.
    owner : LockOwner
        As written to it.
    """

    def __init__(self, path: Path, owner: LockOwner) -> None:
        self.path = path
        self.owner = owner

    @classmethod
    def acquire(cls, store: Path) -> StoreLock:
        """Take the lock of a store.

        Parameters
        ----------
        store : Path
            The store, which need not exist yet; its folder is made.

        Returns
        -------
        StoreLock
            Held until `release`.

        Raises
        ------
        StoreInUseError
            If another analysis holds it; the message says which.
        StoreError
            If the folder cannot be written to.
        """
        path = lock_path(store)
        owner = LockOwner.current()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for _ in range(_TRIES):
                if _make(path, owner):
                    return cls(path, owner)
                found = _read(path)
                if not _clear_if_stale(path, found):
                    raise StoreInUseError(_in_use(store, path, found))
        except FileNotFoundError as err:
            # Its folder was removed meanwhile, or lies on a drive that is gone.
            raise _refused(store, err) from err
        except StoreInUseError:
            raise
        except OSError as err:
            raise _refused(store, err) from err
        raise StoreInUseError(_in_use(store, path, None))

    def release(self) -> None:
        """Let go of the store; doing so twice is fine."""
        found = _read(self.path)
        if found is not None and found.token == self.owner.token:
            try:
                self.path.unlink(missing_ok=True)
            except OSError as err:
                # It is told from a live lock once this process has ended.
                logger.warning("cannot remove the lock %s: %s", self.path, err)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def lock_path(store: Path) -> Path:
    """Name the lock of a store.

    Parameters
    ----------
    store : Path
        ``<slide>.mmsubtype.zarr``.

    Returns
    -------
    Path
        Beside the store: within it, zarr would complain of a file it does not know.
    """
    return store.with_name(f".{store.name}.lock")


def read_owner(store: Path) -> LockOwner | None:
    """Read who holds the lock of a store.

    Parameters
    ----------
    store : Path
        ``<slide>.mmsubtype.zarr``.

    Returns
    -------
    LockOwner or None
        None where nobody holds it, or the lock says nothing.
    """
    return _read(lock_path(store))


def clear_stale_lock(store: Path) -> None:
    """Take away the lock that a process left when it was killed; leave a live one.

    Parameters
    ----------
    store : Path
        ``<slide>.mmsubtype.zarr``; where its folder cannot be written to, nothing
        happens, as a finished store is of use there too.
    """
    path = lock_path(store)
    if not path.exists():
        return
    try:
        _clear_if_stale(path, _read(path))
    except OSError as err:
        logger.warning("cannot remove the lock %s: %s", path, err)


def break_lock(store: Path, owner: LockOwner | None) -> None:
    """Take away the lock of a process that is known to have ended.

    Parameters
    ----------
    store : Path
        ``<slide>.mmsubtype.zarr``.
    owner : LockOwner or None
        Who held it when the user was asked, None where it did not say: no other lock
        is taken away.

    Raises
    ------
    StoreInUseError
        If its process lives on this machine, or another process took the lock since.
    StoreError
        If the folder cannot be written to.
    """
    path = lock_path(store)
    if owner and owner.host == platform.node() and not owner.is_gone:
        raise StoreInUseError(_in_use(store, path, owner))
    try:
        if not _take_away(path, owner):
            raise StoreInUseError(_in_use(store, path, _read(path)))
    except StoreInUseError:
        raise
    except OSError as err:
        raise _refused(store, err) from err


def process_birth(pid: int) -> str | None:
    """Tell a process from others that had, or will have, the same number.

    Parameters
    ----------
    pid : int
        Number of a process of this machine.

    Returns
    -------
    str or None
        The same as long as the process lives, whatever is done to the clock; None
        where there is no such process or it may not be looked at.
    """
    if platform.system() == "Linux":
        try:
            # The name of the program, in brackets, may hold anything.
            ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except (OSError, IndexError):
            return None
        return f"{boot}/{ticks}"
    try:
        return f"{psutil.Process(pid).create_time():.3f}"
    except psutil.Error:
        return None


def _make(path: Path, owner: LockOwner) -> bool:
    """Make the lock file; False where there is one already."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    except PermissionError:
        # Windows says so of a file that is just being removed.
        if not path.exists():
            raise
        return False
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(asdict(owner), stream)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise
    return True


def _read(path: Path) -> LockOwner | None:
    """Read who holds a lock; None where the file is gone or says nothing."""
    try:
        entry: Any = json.loads(path.read_text(encoding="utf-8"))
        owner = LockOwner(**entry)
    except (OSError, ValueError, TypeError):
        return None
    numbers_fit = type(owner.pid) is int and owner.pid > 0
    return owner if numbers_fit else None


def _clear_if_stale(path: Path, found: LockOwner | None) -> bool:
    """Take away a lock whose process has ended; False where it may live."""
    if found is None:
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            return True
        if age < UNREADABLE_AFTER_S:
            return False
    elif not found.is_gone:
        return False
    if not _take_away(path, found):
        return False
    who = "an unknown process" if found is None else f"process {found.pid}"
    logger.info("took over the lock that %s left at %s", who, path)
    return True


def _take_away(path: Path, found: LockOwner | None) -> bool:
    """Remove a lock if it is still the one that was found.

    The file is renamed and looked at again before it is deleted: of two processes that
    find the same lock left behind, the slower one must not delete the lock that the
    faster one has made since.
    """
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return True
    if _read(aside) != found:
        aside.rename(path)
        return False
    if aside.is_dir():
        # Nothing here makes one; what it may hold is left.
        with suppress(OSError):
            aside.rmdir()
    else:
        aside.unlink()
    return True


def _in_use(store: Path, path: Path, found: LockOwner | None) -> str:
    """Say who writes to a store, and what to do."""
    if found is None:
        return (
            f"another analysis just began to write to {str(store)!r}; try again in a "
            f"moment ({str(path)!r} says which), or, if this stays and none does, free "
            f"the store with: napari-mmsubtype unlock {str(store)!r}"
        )
    if found.host != platform.node():
        return (
            f"{str(store)!r} is being written to by process {found.pid} on the machine "
            f"{found.host!r}, since {found.started}; wait for it, or, if it has ended "
            f"there, free the store with: napari-mmsubtype unlock {str(store)!r}"
        )
    who = f"process {found.pid}"
    if found.pid == os.getpid():
        who = f"this program itself (process {found.pid})"
    return (
        f"{str(store)!r} is being written to by {who}, since {found.started}; wait for "
        "it, stop it and run again to resume, or choose another folder with --out "
        "(the Results folder field of the panel)"
    )


def _refused(store: Path, err: OSError) -> StoreError:
    advice = "free some space there, or mend its rights"
    if not store.exists():
        # One that is there may be all that a command can write to.
        advice += ", or choose another folder with --out (the Results folder field of "
        advice += "the panel)"
    return StoreError(
        f"cannot write the result to {str(store)!r}: {err.strerror or err}; {advice}"
    )


__all__ = [
    "LockOwner",
    "StoreLock",
    "break_lock",
    "clear_stale_lock",
    "lock_path",
    "process_birth",
    "read_owner",
]
