"""Whether the rows of a table are samples or features."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.feature_names import is_known_feature
from napari_mmsubtype.omics.identifiers import parse_barcode

if TYPE_CHECKING:
    from collections.abc import Sequence

Axis = Literal["rows", "columns"]

_LOOKED_AT = 4000
_MIN_SHARE = 0.5
_MIN_KNOWN = 3
_MANY_FEATURES = 5000
_LONGER_BY = 5

# "sample" alone is left out: Xena writes it above the genes.
_SAMPLE_CORNER = re.compile(
    r"(bcr[ _]?)?(patient|case|submitter|sample|subject)s?[ _.]?(id|ids|barcode|name)"
    r"|patients?|cases?|subjects?|barcode",
    re.IGNORECASE,
)
_FEATURE_CORNER = re.compile(
    r"(hugo[ _]?|hgnc[ _]?|ensembl[ _]?|entrez[ _]?)?(gene|symbol|probe|cpg|feature)s?"
    r"([ _.]?(id|ids|name|names|symbol|symbols|ref))?|ensembl_?id|#?id_ref"
    r"|composite element ref",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Orientation:
    """Which axis of a table holds the samples.

    Attributes
    ----------
    samples_in : {"rows", "columns"}
        The axis.
    evidence : str
        What said so.
    """

    samples_in: Axis
    evidence: str


def detect_orientation(
    rows: Sequence[str], columns: Sequence[str], corner: str
) -> Orientation:
    """Find the axis of the samples.

    The first rule that speaks for one axis alone decides: TCGA barcodes among the
    labels; genes or probes among the labels (Ensembl identifiers, probe names,
    well-known symbols); the header of the first column; an axis of at least 5,000
    entries, five times the other, holds the features.

    Parameters
    ----------
    rows, columns : sequence of str
        Labels of both axes.
    corner : str
        Header of the first column.

    Returns
    -------
    Orientation
        The axis and what said so.

    Raises
    ------
    TableReadError
        If no rule decides, or both axes hold TCGA barcodes.
    """
    decided = (
        _by_barcodes(rows, columns)
        or _by_features(rows, columns)
        or _by_corner(corner)
        or _by_shape(len(rows), len(columns))
    )
    if decided is not None:
        return decided
    msg = (
        f"cannot tell whether rows or columns are samples: {len(rows)} rows "
        f"({_examples(rows)}), {len(columns)} columns ({_examples(columns)}); name the "
        "first column 'patient_id' where each row is a patient or 'gene' where each "
        f"row is a gene, or {pass_option('samples_in', 'rows', 'columns')}"
    )
    raise TableReadError(msg)


def _by_barcodes(rows: Sequence[str], columns: Sequence[str]) -> Orientation | None:
    """Decide by TCGA barcodes."""
    in_rows = _share(rows)
    in_columns = _share(columns)
    if in_rows >= _MIN_SHARE and in_columns >= _MIN_SHARE:
        msg = (
            f"both rows ({_examples(rows)}) and columns ({_examples(columns)}) are "
            "TCGA barcodes; expected samples on one side and features on the other"
        )
        raise TableReadError(msg)
    if in_rows >= _MIN_SHARE:
        return Orientation("rows", f"TCGA barcodes in {in_rows:.0%} of the rows")
    if in_columns >= _MIN_SHARE:
        return Orientation("columns", f"TCGA barcodes in {in_columns:.0%} of columns")
    return None


def _by_features(rows: Sequence[str], columns: Sequence[str]) -> Orientation | None:
    """Decide by labels that can only be genes or probes."""
    in_rows = sum(map(is_known_feature, rows[:_LOOKED_AT]))
    in_columns = sum(map(is_known_feature, columns[:_LOOKED_AT]))
    needed = {
        "rows": min(_MIN_KNOWN, max(1, len(rows) // 2)),
        "columns": min(_MIN_KNOWN, max(1, len(columns) // 2)),
    }
    if in_rows >= needed["rows"] and in_rows > 10 * in_columns:
        return Orientation("columns", f"genes or probes in {in_rows} rows")
    if in_columns >= needed["columns"] and in_columns > 10 * in_rows:
        return Orientation("rows", f"genes or probes in {in_columns} columns")
    return None


def _by_corner(corner: str) -> Orientation | None:
    """Decide by the header of the first column."""
    name = corner.strip()
    if _SAMPLE_CORNER.fullmatch(name):
        return Orientation("rows", f"the first column is called {name!r}")
    if _FEATURE_CORNER.fullmatch(name):
        return Orientation("columns", f"the first column is called {name!r}")
    return None


def _by_shape(rows: int, columns: int) -> Orientation | None:
    """Decide by an axis far too long to be samples."""
    evidence = f"{rows} rows, {columns} columns: the long axis holds the features"
    if rows >= _MANY_FEATURES and rows >= _LONGER_BY * columns:
        return Orientation("columns", evidence)
    if columns >= _MANY_FEATURES and columns >= _LONGER_BY * rows:
        return Orientation("rows", evidence)
    return None


def _share(labels: Sequence[str]) -> float:
    """Share of labels that are TCGA barcodes."""
    looked_at = labels[:_LOOKED_AT]
    if not looked_at:
        return 0.0
    return sum(parse_barcode(label) is not None for label in looked_at) / len(looked_at)


def _examples(labels: Sequence[str]) -> str:
    """Quote the first labels."""
    return ", ".join(repr(label) for label in labels[:3])
