"""Delimited text files, read into names and numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute
from pyarrow import csv as arrow_csv

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.packed_file import (
    UNPACKING_FAULTS,
    check_file,
    damaged,
    open_packed,
)
from napari_mmsubtype.omics.text_damage import describe_formula, is_formula
from napari_mmsubtype.omics.text_layout import MISSING, Layout, sniff, text_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_BLOCK_BYTES = 128 * 2**20  # Few blocks: each holds one array per column.


@dataclass(frozen=True, slots=True, eq=False)
class RawTable:
    """A file's rows, with text and numbers apart.

    Attributes
    ----------
    corner : str
        Header of the first column.
    text : DataFrame of str
        The first column and every other column of text, in file order; NaN where
        missing. The column labels are those of the header.
    columns : tuple of str
        Labels of the numeric columns.
    values : ndarray of float32, shape (row, column)
        Numeric columns, NaN where missing.
    notes : tuple of str
        How the file was laid out, for example ``"tab-separated"``.
    """

    corner: str
    text: pd.DataFrame
    columns: tuple[str, ...]
    values: NDArray[np.float32]
    notes: tuple[str, ...]


def read_delimited(path: Path, *, numeric: bool = True) -> RawTable:
    """Read a delimited text file, compressed or not.

    Compression (gzip, bzip2, xz, zip with one file) is recognised by content. Leading
    lines that start with ``#`` are comments.

    Parameters
    ----------
    path : Path
        The file.
    numeric : bool, default: True
        Read columns of numbers as numbers; False reads every column as text.

    Returns
    -------
    RawTable
        The rows in file order.

    Raises
    ------
    TableReadError
        If the file is missing, empty, a folder, damaged, no text or no table.
    """
    layout = _layout(path, numeric=numeric)
    width = len(layout.header)
    text = text_columns(layout, path.name) if numeric else list(range(width))
    return read_rows(path, layout, text)


def read_header(path: Path) -> list[str]:
    """Read the names of a delimited file's columns.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    list of str
        As written.

    Raises
    ------
    TableReadError
        As `read_delimited`.
    """
    return list(_layout(path, numeric=False).header)


def read_rows(
    path: Path,
    layout: Layout,
    text: Sequence[int],
    numbers: Sequence[int] | None = None,
) -> RawTable:
    """Read the rows of a file whose layout is known.

    Parameters
    ----------
    path : Path
        The file.
    layout : Layout
        Its layout; the header names every column.
    text : sequence of int
        Columns to be read as text, the first among them.
    numbers : sequence of int or None, default: None
        Columns of numbers to be read; None reads all that are no text.

    Returns
    -------
    RawTable
        The rows in file order.

    Raises
    ------
    TableReadError
        If the file is damaged, ragged, or has words among numbers.
    """
    words = set(text)
    if numbers is None:
        numbers = [i for i in range(len(layout.header)) if i not in words]
    try:
        table = _arrow_table(path, layout, text, numbers)
    except UnicodeDecodeError as err:
        msg = f"{path.name!r} is not text: {err.reason}; save the table as CSV or TSV"
        raise TableReadError(msg) from err
    except pa.ArrowInvalid as err:
        raise TableReadError(_describe(path, layout, str(err))) from err
    except UNPACKING_FAULTS as err:
        raise TableReadError(damaged(path, err)) from err
    values = np.empty((table.num_rows, len(numbers)), dtype=np.float32)
    for position in range(len(numbers)):
        values[:, position] = table.column(len(text) + position).to_numpy()
    frame = pd.concat([_words(table.column(i)) for i in range(len(text))], axis=1)
    frame.columns = pd.Index([layout.header[i] for i in text], dtype=object)
    return RawTable(
        corner=layout.header[0],
        text=frame,
        columns=tuple(layout.header[i] for i in numbers),
        values=values,
        notes=layout.notes,
    )


def _layout(path: Path, *, numeric: bool) -> Layout:
    """Find the layout of a file that may be none."""
    check_file(path)
    try:
        return sniff(path, numeric=numeric)
    except UnicodeDecodeError as err:
        msg = f"{path.name!r} is not text: {err.reason}; save the table as CSV or TSV"
        raise TableReadError(msg) from err
    except UNPACKING_FAULTS as err:
        raise TableReadError(damaged(path, err)) from err


def _arrow_table(
    path: Path, layout: Layout, text: Sequence[int], numbers: Sequence[int]
) -> pa.Table:
    """Parse the rows, on all cores: columns of text first, then those of numbers."""
    names = [f"f{i}" for i in range(len(layout.header))]
    types = {names[i]: pa.string() for i in text}
    types |= {names[i]: pa.float32() for i in numbers}
    reading = arrow_csv.ReadOptions(
        block_size=_BLOCK_BYTES,
        column_names=names,
        skip_rows=layout.skip,
        encoding=layout.encoding.removesuffix("-sig"),
    )
    parsing = arrow_csv.ParseOptions(delimiter=layout.delimiter)
    converting = arrow_csv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        null_values=list(MISSING),
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
        decimal_point=layout.decimal,
    )
    with open_packed(path) as stream:
        return arrow_csv.read_csv(stream, reading, parsing, converting)


def _words(column: pa.ChunkedArray) -> pd.Series:
    """Trim words; NaN where missing."""
    words: pd.Series = compute.utf8_trim_whitespace(column).to_pandas().astype(object)
    return words.where(words.notna(), np.nan)


def _describe(path: Path, layout: Layout, error: str) -> str:
    """Turn a complaint of the parser into a sentence for the table's owner."""
    if ragged := re.search(r"Expected (\d+) columns, got (\d+)(: .*)?", error):
        row = (ragged[3] or "").removeprefix(": ")[:80]
        return (
            f"{path.name!r} is ragged: a row has {ragged[2]} cells where the header "
            f"has {ragged[1]} ({row!r}); mend the row, or fetch or export the table "
            "again"
        )
    found = re.search(r"In CSV column #(\d+): (?:CSV )?(.*)", error)
    if found is None:
        first = (error.splitlines() or ["unreadable"])[0]
        return f"{path.name!r} is not a regular table: {first}; mend it there"
    header = layout.header[int(found[1])]
    value = re.search(r"invalid value '(.*)'", found[2])
    if value is not None and is_formula(value[1]):
        return describe_formula(path.name, value[1], f"column {header!r}")
    said = f"{value[1]!r}" if value else found[2]
    return (
        f"{path.name!r} holds words among the numbers of column {header!r}: {said}; "
        "write missing values as NA and mend the rest (a clinical table is given as "
        "clinical)"
    )
