"""Tables that say where methylation probes lie, and methylation by gene."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.methylation_probes import plain_probe

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

ANNOTATION_COLUMNS = ("probe", "chrom", "gene", "region")
"""Columns of an annotation; all but the first may be empty."""

PROMOTER_REGIONS = frozenset({"tss1500", "tss200", "1stexon", "5'utr", "5utr"})
"""Regions that count as a gene's promoter, in lower case."""

# As in the manifests of the arrays' maker, and in the annotation of GDC.
_KNOWN_NAMES = {
    "probe": ("probe", "ilmnid", "probeid", "probe_id", "name", "id_ref", "cpg"),
    "chrom": ("chrom", "chr", "cpg_chrm", "chromosome"),
    "gene": ("gene", "ucsc_refgene_name", "genenames", "genes", "gene_symbol"),
    "region": ("region", "ucsc_refgene_group", "group"),
}
_MANY = re.compile(r"\s*[;|]\s*")


def read_probe_annotation(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a table of probes.

    Parameters
    ----------
    path : str or path-like
        TSV, CSV (plain or packed) or Parquet with a column ``probe`` and any of
        ``chrom``, ``gene`` and ``region``, or with the names of the maker's manifest
        (``IlmnID``, ``CHR``, ``UCSC_RefGene_Name``, ``UCSC_RefGene_Group``). A cell
        may hold several genes and as many regions, joined by ``;``.

    Returns
    -------
    DataFrame
        `ANNOTATION_COLUMNS` as text, one row per probe, gene and region.

    Raises
    ------
    TableReadError
        If the file cannot be read or names no probes.
    """
    source = Path(path)
    try:
        if source.suffix == ".parquet":
            given = pd.read_parquet(source, use_threads=False)
        else:
            sep = "," if ".csv" in source.name.lower() else "\t"
            given = pd.read_csv(source, sep=sep, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as err:
        msg = (
            f"table of probes {str(source)!r} cannot be read ({err}); give TSV, CSV or "
            "Parquet with columns probe, chrom, gene, region"
        )
        raise TableReadError(msg) from err
    return tidy_annotation(given, name=source.name)


def tidy_annotation(given: pd.DataFrame, *, name: str = "annotation") -> pd.DataFrame:
    """Bring a table of probes to its form.

    Parameters
    ----------
    given : DataFrame
        As `read_probe_annotation` describes.
    name : str, default: "annotation"
        What it is called, for messages.

    Returns
    -------
    DataFrame
        `ANNOTATION_COLUMNS` as text, one row per probe, gene and region.

    Raises
    ------
    TableReadError
        If no column names the probes.
    """
    plain = {str(column).strip().casefold(): column for column in given.columns}
    chosen = {
        role: next((plain[n] for n in names if n in plain), None)
        for role, names in _KNOWN_NAMES.items()
    }
    if chosen["probe"] is None or given.empty:
        listed = ", ".join(repr(str(c)) for c in list(given.columns)[:6]) or "none"
        msg = (
            f"{name!r} names no probes (columns: {listed}); expected a column 'probe' "
            "(or 'IlmnID') and any of 'chrom', 'gene', 'region'"
        )
        raise TableReadError(msg)
    table = pd.DataFrame(
        {
            role: [_text(cell) for cell in given[column]]
            if column is not None
            else [""] * len(given)
            for role, column in chosen.items()
        },
        dtype=object,
    )
    table = table[table["probe"] != ""].copy()
    genes = [_MANY.split(cell) for cell in table["gene"]]
    regions = [_MANY.split(cell) for cell in table["region"]]
    # One region for several genes, or none, is that of each of them.
    paired = [
        r if len(r) == len(g) else (r * len(g) if len(r) == 1 else [""] * len(g))
        for g, r in zip(genes, regions, strict=True)
    ]
    table["gene"] = pd.Series(genes, index=table.index, dtype=object)
    table["region"] = pd.Series(paired, index=table.index, dtype=object)
    table = table.explode(["gene", "region"])
    return table.drop_duplicates().reset_index(drop=True)


def probes_of_genes(
    annotation: pd.DataFrame, kind: Literal["promoter", "gene"]
) -> pd.DataFrame:
    """List the probes that stand for each gene.

    Parameters
    ----------
    annotation : DataFrame
        As `tidy_annotation`.
    kind : {"promoter", "gene"}
        Probes in `PROMOTER_REGIONS`, or all of a gene.

    Returns
    -------
    DataFrame
        ``probe`` and ``feature`` (the gene), each pair once, in the order given.

    Raises
    ------
    TableReadError
        If no probe is left.
    """
    kept = annotation["gene"] != ""
    if kind == "promoter":
        kept &= annotation["region"].str.casefold().isin(PROMOTER_REGIONS)
    if not kept.any():
        seen = ", ".join(sorted(set(annotation["region"]) - {""})[:6]) or "none"
        msg = (
            f"the table of {len(annotation)} probes puts none of them into a {kind} "
            f"(regions: {seen}); it needs columns 'gene' and 'region' (TSS1500, "
            "TSS200, 1stExon, 5'UTR)"
        )
        raise TableReadError(msg)
    pairs = annotation.loc[kept, ["probe", "gene"]].drop_duplicates()
    return pairs.rename(columns={"gene": "feature"}).reset_index(drop=True)


def pair_columns(
    probes: Sequence[str], pairs: pd.DataFrame, features: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the columns of a table that go into each feature.

    Parameters
    ----------
    probes : sequence of str
        Names of the columns; a suffix of the newest array is left aside.
    pairs : DataFrame
        ``probe`` and ``feature``.
    features : sequence of str
        The features wanted.

    Returns
    -------
    columns : ndarray of int64, shape (pair,)
        Column of the table.
    rows : ndarray of int64, shape (pair,)
        Position of the feature it goes into.
    """
    columns: dict[str, list[int]] = {}
    for position, probe in enumerate(probes):
        columns.setdefault(plain_probe(probe), []).append(position)
    rows = {name: row for row, name in enumerate(features)}
    found = [
        (position, rows[feature])
        for probe, feature in zip(pairs["probe"], pairs["feature"], strict=True)
        if feature in rows
        for position in columns.get(probe, ())
    ]
    table = np.array(found, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def average_columns(
    values: NDArray[np.floating],
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    features: int,
) -> NDArray[np.float64]:
    """Average values over the columns of each feature.

    Parameters
    ----------
    values : ndarray of float, shape (sample, column)
        Beta values, NaN where missing.
    columns, rows : ndarray of int64, shape (pair,)
        As `pair_columns`.
    features : int
        Number of features.

    Returns
    -------
    ndarray of float64, shape (sample, feature)
        Mean over the columns that have a value, NaN where none has.
    """
    out = np.full((len(values), features), np.nan)
    for source, target in zip(values, out, strict=True):
        picked = np.asarray(source[columns], dtype=np.float64)
        seen = np.isfinite(picked)
        total = np.bincount(rows[seen], weights=picked[seen], minlength=features)
        count = np.bincount(rows[seen], minlength=features)
        np.divide(total, count, out=target, where=count > 0)
    return out


def _text(cell: object) -> str:
    """Give a cell as text, a missing one as none."""
    return "" if pd.isna(cell) else str(cell).strip()  # type: ignore[call-overload]
