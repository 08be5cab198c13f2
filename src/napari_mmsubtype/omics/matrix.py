"""A plain table of numbers: which labels, which axis, which columns belong to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.identifiers import parse_barcode
from napari_mmsubtype.omics.orientation import Orientation, detect_orientation
from napari_mmsubtype.omics.reading import UNNAMED, Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_mmsubtype.omics.delimited import RawTable

EXPRESSION_SUFFIX = "_rnaseq"
"""Ends the columns of expression where a table has other kinds beside them."""

_OTHER_SUFFIXES = {"_cnv": "copy-number", "_mut": "mutation"}
# What featureCounts and others write about each gene, before its samples.
_LENGTHS = ("length", "gene_length", "effective_length")
_OF_GENES = frozenset(
    ("start", "end", "strand", "chr", "chromosome", "width", *_LENGTHS)
)
_LOOKED_AT = 50
_SHOWN = 5
ID_ROLES = {
    "symbol": ("hugo_symbol", "symbol", "gene_symbol", "gene_name", "feature_name"),
    "ensembl": ("ensembl", "ensembl_id", "ensembl_gene_id", "gene_ids"),
    "entrez": ("entrez", "entrez_gene_id", "entrez_id", "entrezid"),
}
"""Names of columns with identifiers of genes, in lower case."""


def arrange(
    raw: RawTable,
    name: str,
    modality: Modality,
    samples_in: Literal["rows", "columns"] | None,
) -> Reading:
    """Find samples and features of a plain table.

    Parameters
    ----------
    raw : RawTable
        With at least one column of numbers.
    name : str
        File name, for messages.
    modality : Modality
        RNA or methylation.
    samples_in : {"rows", "columns"} or None
        Overrules what is detected.

    Returns
    -------
    Reading
        Samples × features, with the evidence for the axis.

    Raises
    ------
    TableReadError
        If the axis cannot be told, or no column is of this modality.
    """
    raw, aside = _of_modality(raw, name, modality)
    rows, beside, described = _row_labels(raw)
    try:
        found = (
            detect_orientation(rows, raw.columns, raw.corner)
            if samples_in is None
            else Orientation(samples_in, "as declared")
        )
    except TableReadError as err:
        msg = f"{name!r}: {err}"
        raise TableReadError(msg) from err
    layout = ", ".join(raw.notes)
    steps = (
        f"{layout}, samples in {found.samples_in} ({found.evidence})",
        *aside,
        *described,
    )
    if found.samples_in == "rows":
        return Reading(rows, list(raw.columns), raw.values, steps, hint=name)
    about = [c for c in raw.columns if c.strip().casefold() in _OF_GENES]
    lengths = None
    if 0 < len(about) < len(raw.columns):
        steps = (*steps, f"columns about the genes left aside: {', '.join(about)}")
        folded = [c.strip().casefold() for c in raw.columns]
        known = [folded.index(name) for name in _LENGTHS if name in folded]
        lengths = raw.values[:, known[0]].copy() if known else None
        raw = _only(raw, [i for i, c in enumerate(raw.columns) if c not in about])
    turned = raw.values.T
    columns = list(raw.columns)
    return Reading(columns, rows, turned, steps, beside, hint=name, lengths=lengths)


def gene_roles(names: Sequence[str]) -> dict[str, int]:
    """Find columns that hold identifiers of genes.

    Parameters
    ----------
    names : sequence of str
        Column names.

    Returns
    -------
    dict of str to int
        Position of ``symbol``, ``ensembl`` and ``entrez``, where there is one.
    """
    folded = [str(name).strip().casefold() for name in names]
    return {
        role: folded.index(name)
        for role, known in ID_ROLES.items()
        for name in reversed(known)
        if name in folded
    }


def _of_modality(
    raw: RawTable, name: str, modality: Modality
) -> tuple[RawTable, tuple[str, ...]]:
    """Leave aside columns that say by their ending that they are something else."""
    kinds = {
        what: [i for i, c in enumerate(raw.columns) if c.endswith(suffix)]
        for suffix, what in _OTHER_SUFFIXES.items()
    }
    expression = [i for i, c in enumerate(raw.columns) if c.endswith(EXPRESSION_SUFFIX)]
    other = {i for found in kinds.values() for i in found}
    if modality is not Modality.RNA or not (expression or other):
        return raw, ()
    kept = expression or [i for i in range(len(raw.columns)) if i not in other]
    if not kept:
        msg = (
            f"{name!r} holds copy-number and mutation columns only (such as "
            f"{raw.columns[0]!r}); give a table of RNA expression"
        )
        raise TableReadError(msg)
    rest = [raw.columns[i] for i in sorted(set(range(len(raw.columns))) - set(kept))]
    parts = [f"{len(found)} {what}" for what, found in kinds.items() if found]
    plain = [c for c in rest if not c.endswith(tuple(_OTHER_SUFFIXES))]
    if plain:
        parts.append(f"{len(plain)} other ({', '.join(plain[:_SHOWN])})")
    note = f"columns left aside: {', '.join(parts)}"
    return _only(raw, kept), (note,) if rest else ()


def _only(raw: RawTable, kept: list[int]) -> RawTable:
    """Keep some of the columns of numbers."""
    columns = tuple(raw.columns[i] for i in kept)
    return replace(raw, columns=columns, values=raw.values[:, kept])


def _row_labels(raw: RawTable) -> tuple[list[str], pd.DataFrame | None, list[str]]:
    """Name the rows, and find further identifiers beside the names."""
    text = raw.text
    chosen = _label_column(text)
    roles = gene_roles(list(text.columns))
    labels = text.iloc[:, chosen]
    for position in roles.values():
        labels = labels.where(labels.notna(), text.iloc[:, position])
    aside = [
        repr(str(text.columns[i]))
        for i in range(text.shape[1])
        if i != chosen and i not in roles.values()
    ]
    notes = []
    if aside:
        shown = ", ".join(aside[:_SHOWN])
        notes.append(f"{len(aside)} columns of text left aside ({shown})")
    beside = pd.DataFrame({role: text.iloc[:, i] for role, i in roles.items()})
    filled = [
        label if isinstance(label, str) else f"{UNNAMED}{row + 1}"
        for row, label in enumerate(labels)
    ]
    return filled, (beside if roles else None), notes


def _label_column(text: pd.DataFrame) -> int:
    """Choose the column of TCGA barcodes, else the first that is no mere counter."""
    for position in range(text.shape[1]):
        head = text.iloc[:_LOOKED_AT, position].dropna()
        known = sum(parse_barcode(cell) is not None for cell in head)
        if known and known >= len(head) / 2:
            return position
    if text.shape[1] > 1 and _is_counter(text.iloc[:, 0], str(text.columns[0])):
        return 1
    return 0


def _is_counter(labels: pd.Series, name: str) -> bool:
    """Tell whether an unnamed column only counts the rows."""
    if name.strip() and not name.casefold().startswith(("unnamed", "index")):
        return False
    head = labels.head(_LOOKED_AT).tolist()
    return any(
        head == [str(start + i) for i in range(len(head))] for start in (0, 1)
    ) and bool(np.all(labels.notna()))
