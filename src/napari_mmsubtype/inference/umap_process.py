"""Lay out a map in a process of its own, which can be ended at any time.

UMAP holds the interpreter for as long as it computes, so a window in the same process
would stand still; and numba brings an LLVM, as the OpenGL driver of a window may.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ComputeError, StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.results.patch_map import MapSpec

_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from napari_mmsubtype.inference.umap_child import main; main()"
)
_TURN_S = 0.1
_SAID_BYTES = 2000
_WORDS = {
    "load": "starting UMAP",
    "read": "reading embeddings",
    "fit": "laying out the map",
    "place": "placing patches on the map",
}


def layout_job(
    store: Path,
    used: NDArray[np.bool_],
    spec: MapSpec,
    *,
    reference: NDArray[np.floating] | None = None,
) -> Job[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Lay out the patches of a store; closing the job ends the process.

    Parameters
    ----------
    store : Path
        Whose embeddings are read, block by block.
    used : ndarray of bool, shape (n,)
        Patches to place.
    spec : MapSpec
        How.
    reference : ndarray of float, shape (k, d), optional
        Training patches that the map is laid out from.

    Yields
    ------
    Progress
        At least ten times a second.

    Returns
    -------
    points, reference_points : ndarray of float32, shape (n, 2) and (k, 2)
        As `umap_layout.lay_out` gives them.

    Raises
    ------
    ComputeError
        If the process fails, for example for lack of memory.
    StoreError
        If the store is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="mmsubtype-umap-") as name:
        folder = Path(name)
        np.save(folder / "used.npy", used)
        if reference is not None:
            np.save(folder / "reference.npy", reference)
        request = {
            "store": str(store.absolute()),
            "folder": name,
            "spec": asdict(spec),
            "parent": os.getpid(),
        }
        yield from _follow(request, folder)
        return (
            np.load(folder / "points.npy", allow_pickle=False),
            np.load(folder / "known.npy", allow_pickle=False),
        )


def _follow(request: dict[str, Any], folder: Path) -> Job[None]:
    """Run the process and tell how far it is."""
    lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    stop = threading.Event()
    with (folder / "stderr.txt").open("w+b") as stderr:
        # Linux ends a process with the thread that started it, and the thread that
        # drives a job may change between its events.
        thread = threading.Thread(
            target=_listen, args=(request, stderr, lines, stop), daemon=True
        )
        thread.start()
        try:
            shown = Progress("umap", message=_WORDS["load"])
            while True:
                yield shown
                try:
                    line = lines.get(timeout=_TURN_S)
                except queue.Empty:
                    continue
                if line["stage"] == "done":
                    return
                if line["stage"] == "damaged":
                    raise StoreError(line["reason"])
                if line["stage"] == "failed":
                    raise ComputeError(_failed(line["reason"], stderr))
                shown = Progress(
                    "umap", line["done"], line["total"], _WORDS[line["stage"]]
                )
        finally:
            stop.set()
            thread.join()


def _listen(
    request: dict[str, Any],
    stderr: IO[bytes],
    lines: queue.SimpleQueue[dict[str, Any]],
    stop: threading.Event,
) -> None:
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as err:
        lines.put({"stage": "failed", "reason": f"it cannot be started: {err}"})
        return
    watcher = threading.Thread(target=_end, args=(process, stop), daemon=True)
    watcher.start()
    done = False
    try:
        stdin = cast("IO[bytes]", process.stdin)
        for line in (list(map(str, sys.path)), request):
            stdin.write(json.dumps(line).encode() + b"\n")
        stdin.flush()
        for raw in cast("IO[bytes]", process.stdout):
            message = json.loads(raw)
            done = message["stage"] == "done"
            lines.put(message)
    except (OSError, ValueError) as err:
        lines.put({"stage": "failed", "reason": str(err)})
    code = process.wait()
    if not done:
        word = f"signal {-code}" if code < 0 else f"code {code}"
        lines.put({"stage": "failed", "reason": f"its process ended with {word}"})
    stop.set()
    watcher.join()
    # Closing sends the rest of the request, which a process that was ended cannot take.
    with suppress(OSError):
        cast("IO[bytes]", process.stdin).close()
    cast("IO[bytes]", process.stdout).close()


def _end(process: subprocess.Popen[bytes], stop: threading.Event) -> None:
    """End the process when nobody waits for it any more."""
    stop.wait()
    process.kill()


def _failed(reason: str, stderr: IO[bytes]) -> str:
    size = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size - _SAID_BYTES))
    said = stderr.read().decode("utf-8", "replace").strip().split("\n")[-1].strip()
    more = f" ({said})" if said else ""
    return (
        f"the map of the patches could not be made: {reason}{more}; the result is as "
        "it was. Close other programs if memory ran out, and try again"
    )
