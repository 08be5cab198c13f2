"""Delimited text files: opening, recognising and reading them."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.packed_file import (
    UNPACKING_FAULTS,
    check_file,
    open_packed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "na",
    "NaN",
    "nan",
    "NAN",
    "null",
    "NULL",
    "None",
    "--",
    "'--",
    ".",
    "#N/A",
)
"""Words that stand for no value."""

# Columns that name things in digits: reading them as numbers would round them.
ID_COLUMNS = re.compile(
    r"(hugo_symbol|entrez(_?gene)?(_?id)?|gene(_?(id|name|symbol|type))?|symbol"
    r"|ensembl(_?gene)?(_?id)?|description|probe(_?id)?|locus_?id|.*(patient|sample|"
    r"case|submitter)[ _]?(id|barcode)?)",
    re.IGNORECASE,
)
"""Header names of columns that hold identifiers."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_DELIMITERS = ("\t", ",", ";", "|")
_NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
_SNIFFED_LINES = 12
_ENCODING_BYTES = 4 * 2**20
_SNIFFED_CHARS = 64 * 2**20
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
    delimiter : str
        ``tab``, ``comma``, ``semicolon`` or ``bar``.
    """

    corner: str
    text: pd.DataFrame
    columns: tuple[str, ...]
    values: NDArray[np.float32]
    delimiter: str


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the text of a file is laid out."""

    encoding: str
    delimiter: str
    header: tuple[str, ...]
    skip: int
    sample: tuple[tuple[str, ...], ...]
    decimal: str


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
    check_file(path)
    try:
        layout = _sniff(path)
        table = _parse(path, layout, _text_columns(layout, numeric=numeric))
    except UnicodeDecodeError as err:
        msg = f"{path.name!r} is not text: {err.reason}; save the table as CSV or TSV"
        raise TableReadError(msg) from err
    except pa.ArrowException as err:
        msg = f"{path.name!r} is not a regular table: {_first_line(err)}; mend it there"
        raise TableReadError(msg) from err
    except UNPACKING_FAULTS as err:
        msg = (
            f"{path.name!r} cannot be unpacked or read ({_first_line(err)}); "
            "it may be truncated, fetch it again"
        )
        raise TableReadError(msg) from err
    return table


def _sniff(path: Path) -> _Layout:
    """Find encoding, comments, delimiter and header from the first lines."""
    encoding = _encoding(path)
    with open_packed(path) as stream, TextIOWrapper(stream, encoding=encoding) as text:
        lines: list[str] = []
        skip = 0
        while len(lines) < _SNIFFED_LINES:
            line = text.readline(_SNIFFED_CHARS)
            if not line:
                break
            bare = line.rstrip("\r\n")
            if not lines and (bare.startswith("#") or not bare.strip()):
                skip += 1
            elif bare.strip():
                lines.append(bare)
    _check_lines(path, lines)
    delimiter = _delimiter(path, lines)
    rows = [tuple(_cells(line, delimiter)) for line in lines]
    header, sample = tuple(cell.strip() for cell in rows[0]), tuple(rows[1:])
    if not sample:
        msg = f"{path.name!r} has a header and no row below it; export the table again"
        raise TableReadError(msg)
    widths = {len(row) for row in sample}
    if widths == {len(header) + 1}:
        # R writes no header for the row names.
        header = ("", *header)
    commas = sum(
        bool(_DECIMAL_COMMA.fullmatch(cell.strip())) for row in sample for cell in row
    )
    decimal = "," if delimiter != "," and commas else "."
    return _Layout(encoding, delimiter, header, skip + 1, sample, decimal)


def _encoding(path: Path) -> str:
    """Tell UTF-8, UTF-16 and Latin-1 apart, and text from anything else."""
    with open_packed(path) as stream:
        head = stream.read(2**16)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    control = sum(byte < 32 and byte not in b"\t\n\r\x0c\x1b" for byte in head)
    if control:
        msg = f"{path.name!r} is a binary file; expected a table as text (CSV or TSV)"
        raise TableReadError(msg)
    with open_packed(path) as stream:
        block = stream.read(_ENCODING_BYTES)
    try:
        # Cut at a line's end: a character of several bytes may straddle the cut.
        (block[: block.rfind(b"\n") + 1] or block).decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _check_lines(path: Path, lines: Sequence[str]) -> None:
    """Refuse text that is plainly no table."""
    if not lines:
        msg = f"{path.name!r} holds nothing but blank or comment lines"
        raise TableReadError(msg)
    start = lines[0].lstrip()[:15].casefold()
    if start.startswith(("<!doctype", "<html", "<?xml")):
        msg = (
            f"{path.name!r} is a web page or XML, perhaps a failed download; "
            "fetch the table itself"
        )
        raise TableReadError(msg)


def _delimiter(path: Path, lines: Sequence[str]) -> str:
    """Choose the delimiter that gives every line the same number of cells."""
    regular: dict[str, tuple[bool, int]] = {}
    for delimiter in _DELIMITERS:
        widths = [len(_cells(line, delimiter)) for line in lines]
        body = set(widths[1:]) or {widths[0]}
        cells = min(body)
        # R's write.table leaves the header one cell short.
        if len(body) == 1 and cells > 1 and widths[0] in {cells, cells - 1}:
            regular[delimiter] = (widths[0] == cells, cells)
    if regular:
        return max(regular, key=lambda delimiter: regular[delimiter])
    counts = {d: [line.count(d) + 1 for line in lines] for d in _DELIMITERS}
    ragged = [d for d in _DELIMITERS if min(counts[d]) > 1]
    if ragged:
        listed = ", ".join(str(n) for n in counts[ragged[0]][:6])
        msg = (
            f"{path.name!r} is ragged: its first lines have {listed} cells "
            f"({_NAMES[ragged[0]]}-separated); every row needs as many as the header"
        )
        raise TableReadError(msg)
    msg = (
        f"{path.name!r} is not a table: no tab, comma or semicolon divides its lines "
        f"(the first is {lines[0][:40]!r}); save the table as CSV or TSV"
    )
    raise TableReadError(msg)


def _cells(line: str, delimiter: str) -> list[str]:
    """Cut a line into cells."""
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error:
        # A wide line has cells beyond csv's limit where the delimiter is not its own.
        return line.split(delimiter)


def _text_columns(layout: _Layout, *, numeric: bool) -> list[int]:
    """List the columns to be read as text: the first, identifiers, and all words."""
    width = len(layout.header)
    if not numeric:
        return list(range(width))
    chosen = [0]
    for column in range(1, width):
        cells = [
            cell
            for row in layout.sample
            if (cell := row[column].strip()) not in MISSING
        ]
        pattern = _DECIMAL_COMMA if layout.decimal == "," else _NUMBER
        words = any(
            not (_NUMBER.fullmatch(cell) or pattern.fullmatch(cell)) for cell in cells
        )
        if words or ID_COLUMNS.fullmatch(layout.header[column]):
            chosen.append(column)
    return chosen


def _parse(path: Path, layout: _Layout, text: list[int]) -> RawTable:
    """Read the rows below the header."""
    width = len(layout.header)
    names = [f"f{i}" for i in range(width)]
    words = set(text)
    types = {
        name: pa.string() if i in words else pa.float32()
        for i, name in enumerate(names)
    }
    encoding = "utf8" if layout.encoding == "utf-8-sig" else layout.encoding
    reading = arrow_csv.ReadOptions(
        block_size=_BLOCK_BYTES,
        column_names=names,
        skip_rows=layout.skip,
        encoding=encoding,
    )
    parsing = arrow_csv.ParseOptions(delimiter=layout.delimiter)
    converting = arrow_csv.ConvertOptions(
        column_types=types,
        null_values=list(MISSING),
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
        decimal_point=layout.decimal,
    )
    try:
        with open_packed(path) as stream:
            table = arrow_csv.read_csv(stream, reading, parsing, converting)
    except pa.ArrowInvalid as err:
        found = re.search(r"In CSV column #(\d+): (?:CSV )?(.*)", str(err))
        if found is None:
            raise
        msg = (
            f"{path.name!r} holds words among the numbers of column "
            f"{layout.header[int(found[1])]!r}: {found[2]}; mend or "
            "remove them (a clinical table is given as clinical)"
        )
        raise TableReadError(msg) from err
    numbers = [i for i in range(width) if i not in words]
    values = np.empty((table.num_rows, len(numbers)), dtype=np.float32)
    for position, column in enumerate(numbers):
        values[:, position] = table.column(column).to_numpy()
    frame = pd.concat(
        [table.column(i).to_pandas().astype(object) for i in text], axis=1
    )
    frame.columns = pd.Index([layout.header[i] for i in text], dtype=object)
    return RawTable(
        corner=layout.header[0],
        text=frame.map(lambda cell: cell.strip() if isinstance(cell, str) else np.nan),
        columns=tuple(layout.header[i] for i in numbers),
        values=values,
        delimiter=_NAMES[layout.delimiter],
    )


def _first_line(error: BaseException) -> str:
    """Shorten a library's message to its first line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
