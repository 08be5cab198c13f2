"""What a text is that was meant to be a table and is none, said in one sentence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import TableReadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FORMULA = re.compile(r"=.*[(A-Za-z].*")
_FORMULA_ERROR = re.compile(
    r"#(REF|DIV/0|NAME|VALUE|NUM|NULL|SPILL|CALC)[!?]?|Err:\d+", re.IGNORECASE
)
_DECIMAL = re.compile(r"[+-]?\d*[.,]\d+([eE][+-]?\d+)?|0")
_GROUPED = re.compile(r"[+-]?\d{1,3}((,\d{3})+\.\d+|(\.\d{3})+,\d+)")
_PERCENT = re.compile(r"[+-]?\d+([.,]\d+)?\s?%")
_COUNTED = re.compile(r"[VX]?(\d+)")
_R_DATA = (b"RDX2\n", b"RDX3\n", b"X\n\x00\x00", b"A\n2\n", b"A\n3\n")


def check_bytes(name: str, head: bytes) -> None:
    """Refuse bytes that are no text.

    Parameters
    ----------
    name : str
        File name, for messages.
    head : bytes
        The first bytes, unpacked, without a UTF-16 mark.

    Raises
    ------
    TableReadError
        If they are an R object, HDF5, a VCF, another binary file, or text with NUL
        bytes.
    """
    if head.startswith(_R_DATA):
        msg = (
            f"{name!r} holds R objects (RDS or RData); in R, save the table by "
            "write.csv(x, 'table.csv') and give that file"
        )
        raise TableReadError(msg)
    if head.startswith(b"\x89HDF"):
        msg = f"{name!r} is a packed HDF5 file; unpack it first"
        raise TableReadError(msg)
    if head.startswith(b"##fileformat=VCF"):
        msg = (
            f"{name!r} is a list of variants (VCF); expected a table of samples: RNA "
            "expression, methylation or clinical variables"
        )
        raise TableReadError(msg)
    control = sum(byte < 32 and byte not in b"\t\n\r\x0c\x1b" for byte in head)
    if not control:
        return
    nul = head.count(0)
    if control == nul and nul < 0.6 * len(head):
        row = head[: head.index(0)].count(b"\n") + 1
        msg = (
            f"{name!r} has {nul} NUL bytes among its text (the first in line {row}): "
            "it was damaged on the way, or is UTF-16 without its mark; fetch it again "
            "or export it as UTF-8"
        )
        raise TableReadError(msg)
    msg = f"{name!r} is a binary file; expected a table as text (CSV or TSV)"
    raise TableReadError(msg)


def check_lines(name: str, lines: Sequence[str]) -> None:
    """Refuse text that is plainly no table.

    Parameters
    ----------
    name : str
        File name, for messages.
    lines : sequence of str
        The first lines that are no comments.

    Raises
    ------
    TableReadError
        If there are none, or they begin a web page, XML or JSON.
    """
    if not lines:
        msg = f"{name!r} holds nothing but blank or comment lines; export it again"
        raise TableReadError(msg)
    start = lines[0].lstrip()[:15].casefold()
    if start.startswith(("<!doctype", "<html", "<?xml", "<head", "<body")):
        msg = (
            f"{name!r} is a web page or XML, perhaps a failed download or a login; "
            "fetch the table itself"
        )
        raise TableReadError(msg)
    if re.match(r"[\[{]\s*([\"'{\[}\]]|$)", lines[0].lstrip()):
        msg = (
            f"{name!r} is JSON, not a table; ask the portal for TSV or CSV, or convert "
            "it to one row per sample"
        )
        raise TableReadError(msg)
    if lines[0].startswith("id\tfilename\tmd5\tsize"):
        msg = (
            f"{name!r} is a GDC download manifest: a list of files, not a table; give "
            "the folder that gdc-client downloaded them to"
        )
        raise TableReadError(msg)


def check_cells(
    name: str, header: Sequence[str], sample: Sequence[Sequence[str]]
) -> None:
    """Refuse cells that a spreadsheet or a wrong export spoiled.

    Parameters
    ----------
    name : str
        File name, for messages.
    header : sequence of str
        Names of the columns.
    sample : sequence of sequence of str
        Cells of the first rows.

    Raises
    ------
    TableReadError
        If there are formulas, errors of formulas, percent signs, separators of
        thousands, a counted header above the true one, or no header.
    """
    for number, row in enumerate(sample, start=2):
        for cell in row:
            if "," in cell or "%" in cell:
                _check_number(name, cell.strip(), number)
            if is_formula(cell):
                raise TableReadError(describe_formula(name, cell, f"row {number}"))
    decimals = [cell for cell in header[1:] if _DECIMAL.fullmatch(cell)]
    if 2 * len(decimals) > len(header) - 1:
        msg = (
            f"{name!r} has no header: its first line holds numbers such as "
            f"{decimals[0]!r} where names belong; add a line that names the columns"
        )
        raise TableReadError(msg)
    counted = [_COUNTED.fullmatch(cell) for cell in header[1:]]
    first = [cell.strip() for cell in sample[0][1:]]
    if len(first) < 2 or not all(counted):
        return
    numbers = [int(found[1]) for found in counted if found]
    running = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    if running and numbers[0] <= 1 and not any(map(_is_number, first)):
        msg = (
            f"{name!r} has a header that only counts ({', '.join(header[1:4])} …) "
            f"above the true one ({', '.join(first[:3])} …): it was transposed and "
            "written with its row numbers; delete the first line (and a first column "
            "of numbers), or export the table again without transposing"
        )
        raise TableReadError(msg)


def is_formula(cell: str) -> bool:
    """Tell whether a cell is a formula of a spreadsheet, or the error of one.

    Parameters
    ----------
    cell : str
        As written.

    Returns
    -------
    bool
        True for ``=A1+B2``, ``#REF!`` and the like; ``#N/A`` is a missing value.
    """
    text = cell.strip()
    return bool(_FORMULA.fullmatch(text) or _FORMULA_ERROR.fullmatch(text))


def describe_formula(name: str, cell: str, where: str) -> str:
    """Say that a table holds formulas.

    Parameters
    ----------
    name : str
        File name.
    cell : str
        The formula, or its error.
    where : str
        Row or column.

    Returns
    -------
    str
        One sentence.
    """
    return (
        f"{name!r} holds {cell.strip()!r} in {where}: a spreadsheet's formula instead "
        "of its value; paste the cells as values (Paste Special > Values) and export "
        "again"
    )


def describe_irregular(
    name: str,
    lines: Sequence[str],
    widths: Mapping[str, Sequence[int]],
    delimiters: Mapping[str, str],
) -> str:
    """Say why no delimiter divides the lines evenly.

    Parameters
    ----------
    name : str
        File name.
    lines : sequence of str
        The first lines.
    widths : mapping of str to sequence of int
        Cells of each line, by delimiter.
    delimiters : mapping of str to str
        Names of the delimiters.

    Returns
    -------
    str
        One sentence.
    """
    sure = [d for d in delimiters if d != " "]
    unclosed = next((i for i, line in enumerate(lines) if line.count('"') % 2), None)
    if unclosed is not None:
        return (
            f"{name!r}: a quotation mark in line {unclosed + 1} is not closed "
            f"({lines[unclosed][:60]!r}); remove it, or export the table again"
        )
    ragged = [d for d in sure if min(widths[d]) > 1]
    if ragged:
        cells = widths[ragged[0]]
        row = next((i for i, n in enumerate(cells) if n != cells[0]), 0)
        return (
            f"{name!r} is ragged: line {row + 1} has {cells[row]} cells, the header "
            f"{cells[0]} ({delimiters[ragged[0]]}-separated): {lines[row][:60]!r}; "
            "mend the line, or fetch or export the table again"
        )
    used = [next((d for d in sure if d in line), "") for line in lines]
    if all(used) and len(set(used)) > 1:
        other = next(i for i, d in enumerate(used) if d != used[0])
        return (
            f"{name!r} mixes separators: line 1 is {delimiters[used[0]]}-separated, "
            f"line {other + 1} {delimiters[used[other]]}-separated; export it with one "
            "of them"
        )
    if not any(used):
        return (
            f"{name!r} is not a table: it has one column, no tab, comma or semicolon "
            f"divides its lines (the first is {lines[0][:40]!r}); save a table with "
            "samples and values as CSV or TSV"
        )
    broken = used.index("") + 1
    return (
        f"{name!r} is not a table: line {broken} ({lines[broken - 1][:40]!r}) has one "
        "cell only, others have several; remove titles and remarks around the table"
    )


def _is_number(cell: str) -> bool:
    """Tell whether a cell can be read as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_number(name: str, cell: str, row: int) -> None:
    """Refuse numbers that are dressed up for people."""
    if _GROUPED.fullmatch(cell):
        msg = (
            f"{name!r} has {cell!r} in row {row}, a number with separators between "
            "thousands; export it without thousands separators"
        )
        raise TableReadError(msg)
    if _PERCENT.fullmatch(cell):
        msg = (
            f"{name!r} has {cell!r} in row {row}, a number with a percent sign; "
            "export plain numbers, for methylation as shares from 0 to 1"
        )
        raise TableReadError(msg)
