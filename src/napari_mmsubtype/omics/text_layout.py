"""How a delimited text is laid out: encoding, comments, delimiter, header, decimals."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.packed_file import open_packed
from napari_mmsubtype.omics.text_damage import (
    check_bytes,
    check_cells,
    check_lines,
    describe_irregular,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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
    r"(hugo_symbol|entrez(_?gene)?(_?id)?|gene(_?(ids?|name|symbol|type))?|symbol"
    r"|ensembl(_?gene)?(_?id)?|description|probe(_?id)?|locus_?id|.*(patient|sample|"
    r"case|submitter)[ _]?(id|barcode)?)",
    re.IGNORECASE,
)
"""Header names of columns that hold identifiers."""

DELIMITER_NAMES = {
    "\t": "tab",
    ",": "comma",
    ";": "semicolon",
    "|": "bar",
    " ": "space",
}
"""What separates cells, in words."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_SNIFFED_LINES = 12
_ENCODING_BYTES = 4 * 2**20
_SNIFFED_CHARS = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Layout:
    """How the text of a file is laid out.

    Attributes
    ----------
    encoding : str
        Name of a codec.
    delimiter : str
        One character.
    header : tuple of str
        Names of all columns; the first is empty where the file names the rows only.
    skip : int
        Lines before the first row.
    sample : tuple of tuple of str
        Cells of the first rows.
    decimal : str
        Point or comma.
    """

    encoding: str
    delimiter: str
    header: tuple[str, ...]
    skip: int
    sample: tuple[tuple[str, ...], ...]
    decimal: str = "."

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth telling about the text."""
        said = {"utf-8": (), "utf-8-sig": ("byte-order mark skipped",)}
        return (
            f"{DELIMITER_NAMES[self.delimiter]}-separated",
            *said.get(self.encoding, (f"text is {self.encoding}",)),
            *(("decimal commas read as points",) if self.decimal == "," else ()),
        )


def sniff(path: Path, *, numeric: bool) -> Layout:
    """Find encoding, comments, delimiter and header from the first lines.

    Parameters
    ----------
    path : Path
        Passed `packed_file.check_file`.
    numeric : bool
        The table is one of numbers: cells that spoil one are refused.

    Returns
    -------
    Layout
        How to read the rest.

    Raises
    ------
    TableReadError
        If the text is no table, or damaged.
    """
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
    check_lines(path.name, lines)
    delimiter = _delimiter(path, lines)
    rows = [tuple(_cells(line, delimiter)) for line in lines]
    header, sample = tuple(cell.strip() for cell in rows[0]), tuple(rows[1:])
    if not sample:
        msg = f"{path.name!r} has a header and no row below it; export the table again"
        raise TableReadError(msg)
    if {len(row) for row in sample} == {len(header) + 1}:
        # R writes no header for the row names.
        header = ("", *header)
    if numeric:
        check_cells(path.name, header, sample)
    decimal = _decimal(path.name, sample)
    return Layout(encoding, delimiter, header, skip + 1, sample, decimal)


def text_columns(layout: Layout, name: str) -> list[int]:
    """List the columns of a numeric table to be read as text.

    Parameters
    ----------
    layout : Layout
        With its first rows.
    name : str
        File name, for messages.

    Returns
    -------
    list of int
        The first column, identifiers, and columns of words.

    Raises
    ------
    TableReadError
        If a column is numbers but for a few words.
    """
    pattern = _DECIMAL_COMMA if layout.decimal == "," else _NUMBER
    chosen = [0]
    for column in range(1, len(layout.header)):
        if ID_COLUMNS.fullmatch(layout.header[column]):
            chosen.append(column)
            continue
        cells = [
            cell
            for row in layout.sample
            if (cell := row[column].strip()) not in MISSING
        ]
        words = [
            cell
            for cell in cells
            if not (_NUMBER.fullmatch(cell) or pattern.fullmatch(cell))
        ]
        if not words:
            continue
        if len(words) < len(cells) / 2:
            msg = (
                f"{name!r}: column {layout.header[column]!r} mixes numbers with words "
                f"such as {words[0]!r}; write missing values as NA and mend the rest"
            )
            raise TableReadError(msg)
        chosen.append(column)
    return chosen


def _encoding(path: Path) -> str:
    """Tell UTF-8, UTF-16 and Latin-1 apart, and text from anything else."""
    with open_packed(path) as stream:
        block = stream.read(_ENCODING_BYTES)
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    check_bytes(path.name, block[: 2**16])
    try:
        # Cut at a line's end: a character of several bytes may straddle the cut.
        (block[: block.rfind(b"\n") + 1] or block).decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig" if block.startswith(b"\xef\xbb\xbf") else "utf-8"


def _delimiter(path: Path, lines: Sequence[str]) -> str:
    """Choose the delimiter that gives every line the same number of cells."""
    regular: dict[str, tuple[bool, int]] = {}
    every: dict[str, list[int]] = {}
    for delimiter in DELIMITER_NAMES:
        cut = [_cells(line, delimiter) for line in lines]
        widths = every[delimiter] = [len(cells) for cells in cut]
        body = set(widths[1:]) or {widths[0]}
        cells = min(body)
        if delimiter == " " and (regular or not _ends_in_numbers(cut[1:])):
            continue
        # R's write.table leaves the header one cell short.
        if len(body) == 1 and cells > 1 and widths[0] in {cells, cells - 1}:
            regular[delimiter] = (widths[0] == cells, cells)
    if regular:
        return max(regular, key=lambda delimiter: regular[delimiter])
    raise TableReadError(describe_irregular(path.name, lines, every, DELIMITER_NAMES))


def _cells(line: str, delimiter: str) -> list[str]:
    """Cut a line into cells."""
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error:
        # A wide line has cells beyond csv's limit where the delimiter is not its own.
        return line.split(delimiter)


def _ends_in_numbers(rows: Sequence[Sequence[str]]) -> bool:
    """Tell rows of a table divided by spaces from sentences."""
    return bool(rows) and all(
        row[-1] in MISSING or _NUMBER.fullmatch(row[-1]) for row in rows
    )


def _decimal(name: str, sample: Sequence[Sequence[str]]) -> str:
    """Tell decimal commas from points, and both from commas between thousands."""
    commas = [
        cell.strip()
        for row in sample
        for cell in row
        if _DECIMAL_COMMA.fullmatch(cell.strip())
    ]
    if not commas:
        return "."
    if all(_THOUSANDS.fullmatch(cell) for cell in commas):
        msg = (
            f"{name!r} writes numbers such as {commas[0]!r}: the comma may stand "
            "before decimals or between thousands; export it with points and without "
            "thousands separators"
        )
        raise TableReadError(msg)
    return ","
