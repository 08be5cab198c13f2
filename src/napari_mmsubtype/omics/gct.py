"""GCT files (versions 1.2 and 1.3) of GenePattern, GTEx and CMap."""

from __future__ import annotations

import itertools
from io import TextIOWrapper
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.delimited import read_rows
from napari_mmsubtype.omics.feature_names import parse_feature
from napari_mmsubtype.omics.matrix import gene_roles
from napari_mmsubtype.omics.packed_file import open_packed
from napari_mmsubtype.omics.reading import UNNAMED, Reading
from napari_mmsubtype.omics.text_layout import Layout

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

_LOOKED_AT = 50


def read_gct(path: Path) -> Reading:
    """Read a GCT file, plain or packed: genes in rows, samples in columns.

    Parameters
    ----------
    path : Path
        Begins with ``#1.2`` or ``#1.3``.

    Returns
    -------
    Reading
        Samples × features; a description (1.2) or row metadata (1.3) that holds gene
        symbols or identifiers is kept beside the features.

    Raises
    ------
    TableReadError
        If the file breaks the format's rules or is cut short.
    """
    with open_packed(path) as stream, TextIOWrapper(stream, "utf-8", "replace") as text:
        version, sizes, header = (line.rstrip("\r\n") for line in _three(text))
    numbers = sizes.split("\t")
    names = tuple(cell.strip() for cell in header.split("\t"))
    wanted = 2 if version.strip() == "#1.2" else 4
    if len(numbers) < wanted or not all(n.strip().isdigit() for n in numbers[:wanted]):
        msg = (
            f"{path.name!r} is a GCT file whose second line is {sizes[:40]!r}; "
            f"expected {wanted} counts (rows, columns …) divided by tabs; export it "
            "again"
        )
        raise TableReadError(msg)
    rows, columns = int(numbers[0]), int(numbers[1])
    beside, above = (1, 0) if wanted == 2 else (int(numbers[2]), int(numbers[3]))
    if len(names) != 1 + beside + columns:
        msg = (
            f"{path.name!r} is a GCT file of {columns} samples by its second line, but "
            f"its header names {len(names) - 1 - beside}; export it again"
        )
        raise TableReadError(msg)
    layout = Layout("utf-8", "\t", names, 3 + above, ())
    raw = read_rows(path, layout, range(1 + beside))
    if len(raw.text) != rows:
        msg = (
            f"{path.name!r} is a GCT file of {rows} rows by its second line, but has "
            f"{len(raw.text)}; it was cut or edited, export it again"
        )
        raise TableReadError(msg)
    labels = [
        label if isinstance(label, str) else f"{UNNAMED}{row + 1}"
        for row, label in enumerate(raw.text.iloc[:, 0])
    ]
    steps = [f"GCT {version.strip()[1:]}, genes in rows"]
    if above:
        steps.append(f"{above} rows of sample metadata left aside")
    return Reading(
        list(raw.columns),
        labels,
        raw.values.T,
        tuple(steps),
        _identifiers(raw.text),
        hint=path.name,
    )


def _three(text: TextIOWrapper) -> list[str]:
    """Take the first three lines; missing ones are empty."""
    return [*itertools.islice(text, 3), "", "", ""][:3]


def _identifiers(text: pd.DataFrame) -> pd.DataFrame | None:
    """Find gene symbols and other identifiers among what stands beside the labels."""
    names = [str(name) for name in text.columns]
    roles = gene_roles(["", *names[1:]])
    roles |= {
        role: names.index(known)
        for role, known in (("symbol", "pr_gene_symbol"), ("entrez", "pr_gene_id"))
        if known in names[1:]
    }
    description = "Description" in names[1:] and "symbol" not in roles
    if description and _are_symbols(text["Description"]):
        roles["symbol"] = names.index("Description")
    if not roles:
        return None
    found = text.iloc[:, list(roles.values())].copy()
    found.columns = list(roles)
    return found


def _are_symbols(column: pd.Series) -> bool:
    """Tell gene symbols from sentences: they are one word each."""
    head = column.dropna().head(_LOOKED_AT)
    words = [str(cell).split() for cell in head]
    return bool(words) and all(
        len(cell) == 1 and parse_feature(cell[0]).symbol for cell in words
    )
