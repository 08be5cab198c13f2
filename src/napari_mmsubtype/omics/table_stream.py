"""Messages and tables between two processes, as JSON and plain arrays.

Nothing that is read can run code, as a pickle could: the process at the other end reads
files that may be damaged in any way.
"""

from __future__ import annotations

import json
import struct
from typing import IO, TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LENGTH = struct.Struct("<Q")
_PLAIN = "biufMm"
_ROWS = 20_000


def send(
    stream: IO[bytes], facts: Mapping[str, Any], blobs: Sequence[memoryview] = ()
) -> None:
    """Write a message.

    Parameters
    ----------
    stream : binary stream
        Written to and flushed.
    facts : mapping
        Of JSON types.
    blobs : sequence of memoryview, default: ()
        Bytes that follow.
    """
    head = json.dumps({"facts": facts, "sizes": [blob.nbytes for blob in blobs]})
    data = head.encode()
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    for blob in blobs:
        stream.write(blob)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytearray]] | None:
    """Read a message.

    Parameters
    ----------
    stream : binary stream
        As `send` wrote it.

    Returns
    -------
    tuple of dict and list of bytearray, or None
        Facts and bytes; None at the end of the stream, also in a message.
    """
    length = _filled(stream, _LENGTH.size)
    if length is None:
        return None
    head = _filled(stream, _LENGTH.unpack(length)[0])
    if head is None:
        return None
    message = json.loads(head)
    blobs = []
    for size in message["sizes"]:
        blob = _filled(stream, size)
        if blob is None:
            return None
        blobs.append(blob)
    return message["facts"], blobs


def _filled(stream: IO[bytes], size: int) -> bytearray | None:
    """Read so many bytes."""
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            return None
        done += count
    return data


def pack_table(
    table: anndata.AnnData,
) -> tuple[dict[str, Any], list[memoryview]]:
    """Take a table of `table.read_omics` apart.

    Parameters
    ----------
    table : AnnData
        Values in ``X``, columns in ``obs`` and ``var``, JSON types in ``uns``.

    Returns
    -------
    tuple of dict and list of memoryview
        For `send`.
    """
    blobs: list[memoryview] = []
    values = np.ascontiguousarray(table.X)
    facts = {
        "uns": dict(table.uns),
        "shape": list(table.shape),
        "values": _pack_array(values, blobs),
        "obs": _pack_frame(table.obs, blobs),
        "var": _pack_frame(table.var, blobs),
    }
    return facts, blobs


def unpack_table(
    facts: Mapping[str, Any], blobs: Sequence[bytearray]
) -> anndata.AnnData:
    """Put a table together again.

    Parameters
    ----------
    facts : mapping
        As `pack_table` gave them.
    blobs : sequence of bytearray
        As `receive` gave them.

    Returns
    -------
    AnnData
        Equal to what was packed, down to the types of its columns.
    """
    values = _unpack_array(facts["values"], blobs).reshape(facts["shape"])
    return anndata.AnnData(
        X=values,
        obs=_unpack_frame(facts["obs"], blobs),
        var=_unpack_frame(facts["var"], blobs),
        uns=facts["uns"],
    )


def _pack_frame(frame: pd.DataFrame, blobs: list[memoryview]) -> dict[str, Any]:
    """Describe index and columns."""
    plain = pd.DataFrame(frame)
    return {
        "index": _pack_column(plain.index.to_series(), blobs),
        "index_name": plain.index.name,
        "names": [str(name) for name in plain.columns],
        "columns": [
            _pack_column(plain.iloc[:, i], blobs) for i in range(plain.shape[1])
        ],
    }


def _unpack_frame(facts: Mapping[str, Any], blobs: Sequence[bytearray]) -> pd.DataFrame:
    """Build a frame."""
    index = pd.Index(_unpack_column(facts["index"], blobs), name=facts["index_name"])
    columns = [_unpack_column(column, blobs) for column in facts["columns"]]
    # Names may repeat, so no dict of columns can be made.
    frame = pd.DataFrame(dict(enumerate(columns)), index=index)
    frame.columns = pd.Index(facts["names"], dtype=object)
    return frame


def _pack_column(column: pd.Series, blobs: list[memoryview]) -> dict[str, Any]:
    """Describe a column: numbers as they are, words and gaps as JSON."""
    kind = column.dtype
    if isinstance(kind, np.dtype) and kind.kind in _PLAIN:
        return {"array": _pack_array(np.ascontiguousarray(column), blobs)}
    if isinstance(kind, pd.CategoricalDtype):
        names = pd.Series(kind.categories)
        return {
            "codes": _pack_array(np.ascontiguousarray(column.cat.codes), blobs),
            "categories": _pack_column(names, blobs),
            "ordered": bool(kind.ordered),
        }
    is_object = kind.kind == "O" and isinstance(kind, np.dtype)
    cells = column.tolist()
    if not is_object:
        cells = [
            None if missing else cell
            for cell, missing in zip(cells, column.isna(), strict=True)
        ]
    first = len(blobs)
    # In pieces: JSON of half a million names would hold up other threads.
    for start in range(0, len(cells), _ROWS):
        text = json.dumps([_plain(cell) for cell in cells[start : start + _ROWS]])
        blobs.append(memoryview(text.encode()))
    return {"cells": [first, len(blobs)], "type": "object" if is_object else str(kind)}


def _unpack_column(facts: Mapping[str, Any], blobs: Sequence[bytearray]) -> Any:
    """Build a column."""
    if "array" in facts:
        return _unpack_array(facts["array"], blobs)
    if "codes" in facts:
        return pd.Categorical.from_codes(
            _unpack_array(facts["codes"], blobs),
            pd.Index(_unpack_column(facts["categories"], blobs)),
            ordered=facts["ordered"],
        )
    cells: list[Any] = []
    for blob in blobs[slice(*facts["cells"])]:
        cells += json.loads(blob)
    if facts["type"] != "object":
        return pd.array(cells, dtype=facts["type"])
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return column


def _plain(cell: Any) -> Any:
    """Give a cell as JSON knows it; NaN and None stay apart."""
    return cell.item() if isinstance(cell, np.generic) else cell


def _pack_array(array: np.ndarray[Any, Any], blobs: list[memoryview]) -> dict[str, Any]:
    """Describe an array."""
    blobs.append(array.reshape(-1).view(np.uint8).data)
    return {"blob": len(blobs) - 1, "type": array.dtype.str}


def _unpack_array(facts: Mapping[str, Any], blobs: Sequence[bytearray]) -> Any:
    """Build an array on the bytes that were received."""
    data = blobs[facts["blob"]]
    # An empty buffer is refused.
    return np.frombuffer(data, facts["type"]) if data else np.empty(0, facts["type"])
