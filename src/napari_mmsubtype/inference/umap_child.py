"""The process that lays out a map for another: request in, progress and places out."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.child_process import (
    end_with_parent,
    private_stdout,
    step_back,
)
from napari_mmsubtype.errors import StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def main() -> None:
    """Lay out the map that a line of stdin asks for; lines of JSON go to stdout."""
    request = json.loads(sys.stdin.buffer.readline())
    answer = private_stdout()
    end_with_parent(int(request["parent"]))
    step_back()
    with answer:
        _answer(request, answer)
    # Taking the libraries down would take seconds.
    os._exit(0)


def _answer(request: dict[str, Any], answer: IO[bytes]) -> None:
    def tell(stage: str, done: int, total: int) -> None:
        _send(answer, {"stage": stage, "done": done, "total": total})

    tell("load", 0, 0)
    import zarr

    from napari_mmsubtype.inference.umap_layout import lay_out
    from napari_mmsubtype.results import schema
    from napari_mmsubtype.results.patch_map import MapSpec
    from napari_mmsubtype.results.store_damage import find_array

    folder = Path(request["folder"])
    root: Any = zarr.open_group(request["store"], mode="r")
    reference = folder / "reference.npy"
    try:
        points, known = lay_out(
            _Rows(find_array(root, schema.EMBEDDING)),
            np.load(folder / "used.npy", allow_pickle=False),
            MapSpec(**request["spec"]),
            tell,
            reference=np.load(reference, allow_pickle=False)
            if reference.exists()
            else None,
        )
    except StoreError as err:
        _send(answer, {"stage": "damaged", "reason": str(err)})
        return
    np.save(folder / "points.npy", points)
    np.save(folder / "known.npy", known)
    _send(answer, {"stage": "done", "done": 1, "total": 1})


class _Rows:
    """The rows of an array of a store, with its faults told as such."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __getitem__(self, part: slice) -> NDArray[Any]:
        from napari_mmsubtype.results.store_damage import read_part

        return read_part(self._array, part)


def _send(answer: IO[bytes], line: dict[str, Any]) -> None:
    answer.write(json.dumps(line).encode() + b"\n")
    answer.flush()
