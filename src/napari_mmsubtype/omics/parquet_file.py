"""Parquet files of any writer, read as plain tables."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.delimited import RawTable
from napari_mmsubtype.omics.text_layout import ID_COLUMNS, MISSING

if TYPE_CHECKING:
    from pathlib import Path

# Damage to the metadata of a frame shows as text or JSON that cannot be read.
_FAULTS = (pa.ArrowException, OSError, ValueError, LookupError, TypeError)


def read_parquet(path: Path, *, numeric: bool = True) -> RawTable:
    """Read a Parquet file.

    Parameters
    ----------
    path : Path
        The file.
    numeric : bool, default: True
        Read columns of numbers as numbers; False gives every column as text.

    Returns
    -------
    RawTable
        The index that pandas kept comes first.

    Raises
    ------
    TableReadError
        If the file is damaged, holds lists, or nothing names its rows.
    """
    try:
        table = _index_first(parquet.read_table(path, use_threads=False))
    except _FAULTS as err:
        raise TableReadError(_damaged(path, err)) from err
    if not table.num_rows:
        msg = f"{path.name!r} has no row; export the table again"
        raise TableReadError(msg)
    names = [_name(name) for name in table.column_names]
    words = []
    for position, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            msg = (
                f"{path.name!r}: column {names[position]!r} holds {field.type}; "
                "expected one number or word per cell"
            )
            raise TableReadError(msg)
        label = ID_COLUMNS.fullmatch(names[position]) is not None
        if not numeric or not _is_number(field.type) or label:
            words.append(position)
    if not words:
        msg = (
            f"{path.name!r} has no column that names its rows; keep the index or add a "
            "column 'patient_id' or 'gene'"
        )
        raise TableReadError(msg)
    numbers = [i for i in range(len(names)) if i not in set(words)]
    values = np.empty((table.num_rows, len(numbers)), dtype=np.float32)
    for position, column in enumerate(numbers):
        values[:, position] = table.column(column).to_pandas().to_numpy(np.float32)
    text = pd.concat([_as_text(table.column(i)) for i in words], axis=1)
    text.columns = pd.Index([names[i] for i in words], dtype=object)
    return RawTable(
        corner=names[words[0]],
        text=text,
        columns=tuple(names[i] for i in numbers),
        values=values,
        notes=("Parquet",),
    )


def read_parquet_names(path: Path) -> list[str]:
    """Read the names of a Parquet file's columns.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    list of str
        As written; the index of a frame too.

    Raises
    ------
    TableReadError
        If the file is damaged.
    """
    try:
        return [_name(name) for name in parquet.read_schema(path).names]
    except _FAULTS as err:
        raise TableReadError(_damaged(path, err)) from err


def _damaged(path: Path, error: BaseException) -> str:
    """Say that a file cannot be read."""
    reason = (str(error).splitlines() or ["unreadable"])[0]
    return f"{path.name!r} is a damaged Parquet file ({reason}); fetch it again"


def _index_first(table: pa.Table) -> pa.Table:
    """Bring the columns that were a frame's index to the front."""
    known = (table.schema.pandas_metadata or {}).get("index_columns", [])
    index = [name for name in known if isinstance(name, str)]
    index = [name for name in index if name in table.column_names]
    rest = [name for name in table.column_names if name not in index]
    return table.select([*index, *rest])


def _name(column: str) -> str:
    """Leave out the name that pandas gives to an index without one."""
    return "" if column.startswith("__index_level_") else column


def _is_number(kind: pa.DataType) -> bool:
    """Tell whether a column is made of numbers."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )


def _as_text(column: pa.ChunkedArray) -> pd.Series:
    """Write a column as words, NaN where missing."""
    return pd.Series([_word(cell) for cell in column.to_pylist()], dtype=object)


def _word(cell: object) -> object:
    """Write a cell as a word; whole numbers without a point."""
    if isinstance(cell, float) and (np.isnan(cell) or cell.is_integer()):
        return np.nan if np.isnan(cell) else str(int(cell))
    if isinstance(cell, datetime.date):
        return cell.isoformat()
    text = "" if cell is None else str(cell).strip()
    return np.nan if text in MISSING else text
