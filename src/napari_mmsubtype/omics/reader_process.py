"""Read a table in a process of its own, which can be ended at any time.

Damage in an HDF5 file can send its library round in circles, or end the process; and
while a library parses a table, a window cannot be drawn. So the reading is done by
another interpreter (started, not forked), which sends the table back over a pipe:
no file is left behind, and nothing sent can run code here.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, TYPE_CHECKING, Any, cast

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.carried_error import repeat_warning, unpack_error
from napari_mmsubtype.omics.table_stream import receive, unpack_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    import anndata

LIMIT_VARIABLE = "MMSUBTYPE_READ_LIMIT_S"
"""Environment variable: how long an HDF5 file may be read without progress."""

LIMIT_S = 300.0
"""Seconds without progress, unless the environment says otherwise."""

_TURN_S = 0.1
_END_S = 2.0
_STDERR_BYTES = 2000
_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from napari_mmsubtype.omics.reader_child import main; main()"
)

logger = logging.getLogger(__name__)


def read_limit() -> float:
    """Say how long a file may be read without progress.

    Returns
    -------
    float
        Seconds; 0 for any time.

    Raises
    ------
    ConfigurationError
        If the environment variable is no such number.
    """
    given = os.environ.get(LIMIT_VARIABLE, "")
    try:
        limit = float(given or LIMIT_S)
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        msg = (
            f"{LIMIT_VARIABLE} is {given!r}; expected seconds, such as {LIMIT_S:g}, or "
            "0 to wait for any time"
        )
        raise ConfigurationError(msg)
    return limit


def read_apart(
    path: str,
    options: Mapping[str, Any],
    here: Callable[[], anndata.AnnData],
) -> Job[anndata.AnnData]:
    """Read a table in a process of its own; closing the job ends that process.

    Parameters
    ----------
    path : str
        File or folder.
    options : mapping
        Further arguments of `table.read_here`, of JSON types.
    here : callable
        Reads the table in this process, where no other can be started.

    Yields
    ------
    Progress
        At least ten times a second, so that cancelling takes effect at once; bytes
        read of an HDF5 file.

    Returns
    -------
    AnnData
        As `table.read_here` gave it there.

    Raises
    ------
    TableReadError
        If the file gets the reading process to hang or to die; any other error, and
        every warning, is the one that reading gave, notes included.
    """
    limit = read_limit()
    request = {
        "path": path,
        "options": dict(options),
        "limit_s": limit,
        "parent": os.getpid(),
    }
    name = os.path.basename(path)  # noqa: PTH119 - of a folder as well, unresolved
    try:
        child = _Child(request)
    except OSError as err:
        logger.warning("no process can be started to read %s (%s)", name, err)
        return here()
    shown = Progress("read", message=f"reading {name}")
    with child:
        last: float | None = None
        while True:
            yield shown
            message = child.message(_TURN_S)
            if message is None:
                if limit and last is not None and time.monotonic() - last > limit:
                    raise TableReadError(_stuck(name, limit))
                continue
            facts, blobs = message
            kind = facts["kind"]
            if kind == "table":
                return unpack_table(facts, blobs)
            if kind == "ended" and not facts["was_ready"]:
                logger.warning("cannot read in another process: %s", facts["said"])
                return here()
            _warn_or_raise(name, facts)
            last = time.monotonic() if kind == "progress" else None
            done, total = facts.get("done", 0), facts.get("total", 0)
            shown = Progress("read", done, total, shown.message)


def _warn_or_raise(name: str, facts: dict[str, Any]) -> None:
    """Do here what was done there."""
    if facts["kind"] == "warning":
        repeat_warning(facts)
    elif facts["kind"] == "error":
        raise unpack_error(facts)
    elif facts["kind"] == "ended":
        raise TableReadError(_died(name, facts["code"], facts["said"]))


def run_to_end(job: Job[anndata.AnnData]) -> anndata.AnnData:
    """Drive a job to its end in the calling thread.

    Parameters
    ----------
    job : generator
        As `read_apart`.

    Returns
    -------
    AnnData
        What the job returns; an interrupt closes it.
    """
    try:
        while True:
            next(job)
    except StopIteration as end:
        table: anndata.AnnData = end.value
        return table
    finally:
        job.close()


class _Child:
    """The process, and the thread that starts it and listens to it.

    Linux ends a process with the thread that started it, so that thread has to live as
    long as the process does.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._request = request
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._thread = threading.Thread(
            target=self._listen, name="read-apart", daemon=True
        )
        self._thread.start()
        begun = self._messages.get()
        if isinstance(begun, OSError):
            self._thread.join()
            self._stderr.close()
            raise begun

    def message(self, seconds: float) -> Any:
        """Wait for the next message; None if there is none within the time."""
        try:
            return self._messages.get(timeout=seconds)
        except queue.Empty:
            return None

    def __enter__(self) -> _Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
        self._thread.join()
        self._stderr.close()

    def _listen(self) -> None:
        try:
            process = _start(self._stderr)
        except OSError as err:
            self._messages.put(err)
            return
        self._process = process
        self._messages.put(None)
        with process:
            was_ready = False
            try:
                _ask(process, self._request)
                while (
                    message := receive(cast("IO[bytes]", process.stdout))
                ) is not None:
                    was_ready = True
                    self._messages.put(message)
                # Its own end, where that comes at once, says more than being killed.
                process.wait(_END_S)
            except (OSError, ValueError, subprocess.TimeoutExpired) as err:
                # The process ended, or what it sent is torn.
                logger.debug("the reading process stopped: %s", err)
            process.kill()
            process.wait()
        facts = {"was_ready": was_ready, "code": process.returncode}
        facts |= {"kind": "ended", "said": self._said()}
        self._messages.put((facts, []))

    def _said(self) -> str:
        """Give the last line that the process wrote to stderr."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _STDERR_BYTES))
        lines = self._stderr.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _start(stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start an interpreter."""
    if not sys.executable or getattr(sys, "frozen", False):
        msg = "this program has no Python interpreter of its own"
        raise OSError(msg)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _BOOT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _ask(process: subprocess.Popen[bytes], request: Mapping[str, Any]) -> None:
    """Send where modules are found, and what to read; stdin stays open."""
    stdin = cast("IO[bytes]", process.stdin)
    for line in (list(map(str, sys.path)), request):
        stdin.write(json.dumps(line).encode() + b"\n")
    stdin.flush()


def _stuck(name: str, limit: float) -> str:
    return (
        f"{name!r} seems damaged: reading it has come no further for {limit:g} s and "
        "was stopped; fetch it again or write it anew (on a very slow disk, set "
        f"{LIMIT_VARIABLE} to more seconds, or to 0 to wait)"
    )


def _died(name: str, code: int, said: str) -> str:
    reason = f"signal {-code}" if code < 0 else f"code {code}"
    if said:
        reason += f"; {said}"
    return (
        f"{name!r} made the process that read it end ({reason}): the file is damaged, "
        "or too large for the memory; fetch it again, or close other programs"
    )
