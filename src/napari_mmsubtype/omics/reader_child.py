"""The process that reads one table for another: request in, table or error out."""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import IO, Any

from napari_mmsubtype.core.child_process import end_with_parent, private_stdout
from napari_mmsubtype.omics.carried_error import pack_error, pack_warning
from napari_mmsubtype.omics.table_stream import pack_table, send
from napari_mmsubtype.omics.watched_file import watch

_TELL_S = 0.2
_GRACE_S = 30.0


def main() -> None:
    """Read the table that a line of stdin asks for; the answer goes to stdout.

    The process ends with its parent: stdin ends then, Linux kills it, and where a
    library holds the interpreter (HDF5 does while it runs in circles) a timer of the
    operating system's own ends it after the time that the parent would have waited.
    """
    request = json.loads(sys.stdin.buffer.readline())
    answer = private_stdout()
    end_with_parent(int(request["parent"]))
    with answer:
        send(answer, {"kind": "ready"})
        _answer(request, answer)
    # Taking the libraries down would take as long as another small table.
    os._exit(0)


def _answer(request: dict[str, Any], answer: IO[bytes]) -> None:
    """Read, and send what came of it."""
    # pandas and anndata: a second in which the parent knows that this one runs.
    from napari_mmsubtype.omics.table import read_here

    teller = _Teller(answer, float(request["limit_s"]))
    error: BaseException | None = None
    with warnings.catch_warnings(record=True) as caught, watch(teller):
        # The parent's filters decide what becomes of them.
        warnings.simplefilter("always")
        try:
            table = read_here(Path(request["path"]), **request["options"])
        except Exception as err:  # noqa: BLE001 - it is raised in the parent
            error = err
    for warning in caught:
        send(answer, {"kind": "warning", **pack_warning(warning)})
    if error is not None:
        send(answer, {"kind": "error", **pack_error(error)})
        return
    facts, blobs = pack_table(table)
    send(answer, {"kind": "table", **facts}, blobs)


class _Teller:
    """Tells the parent how much of a watched file was read."""

    def __init__(self, answer: IO[bytes], limit_s: float) -> None:
        self._answer = answer
        self._limit_s = limit_s
        self._told = 0.0
        self._devnull = Path(os.devnull).open("w")  # noqa: SIM115 - until the end

    def __call__(self, done: int, total: int) -> None:
        if not total:
            faulthandler.cancel_dump_traceback_later()
            send(self._answer, {"kind": "read"})
            return
        now = time.monotonic()
        if done and now - self._told < _TELL_S:
            return
        self._told = now
        if self._limit_s:
            # Needs no turn of the interpreter, which HDF5 may hold for ever.
            faulthandler.dump_traceback_later(
                self._limit_s + _GRACE_S, exit=True, file=self._devnull
            )
        send(self._answer, {"kind": "progress", "done": done, "total": total})
