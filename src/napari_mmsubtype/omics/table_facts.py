"""Say what was recognised in a table: its size, names, unit and the evidence for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.cases import Modality

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata
    import pandas as pd

_SHOWN = 5
_EXAMPLES = 2
_KINDS = {
    "symbol": "symbols",
    "probe": "probes",
    "ensembl": "Ensembl ids",
    "entrez": "Entrez ids",
}
_EVIDENCE = r"(?:^|, ){} \(((?:[^()]|\([^()]*\))*)\)"


def table_facts(table: anndata.AnnData) -> dict[str, Any]:
    """Describe a table in plain JSON types.

    Parameters
    ----------
    table : AnnData
        As `read_omics`.

    Returns
    -------
    dict
        ``modality``, ``unit``, ``source``; ``samples`` and ``features``, each with
        their ``count`` and ``first`` names; ``sample_types``, how many of each TCGA
        type; ``identifiers``, how many features have each kind (``probe`` instead of
        ``symbol`` in a table of probes); ``steps``, what was recognised, with its
        evidence, and what was done.
    """
    record = table.uns["mmsubtype"]
    samples = [str(name) for name in table.obs["sample"]]
    clinical = record["modality"] == Modality.CLINICAL
    names = [str(column) for column in table.obs.columns if column != "sample"]
    features = names if clinical else [str(name) for name in table.var_names]
    return {
        "source": record["source"],
        "modality": record["modality"],
        "unit": record["unit"],
        "samples": {"count": len(samples), "first": samples[:_SHOWN]},
        "sample_types": _sample_types(samples),
        "features": {"count": len(features), "first": features[:_SHOWN]},
        "identifiers": _count_kinds(table.var, features),
        "steps": list(record["steps"]),
    }


def identifier_words(features: pd.DataFrame, names: Sequence[str]) -> str:
    """Say which kinds of identifiers the features of a table have.

    Parameters
    ----------
    features : DataFrame
        Columns ``symbol``, ``ensembl`` and ``entrez``, as in ``var`` of `read_omics`.
    names : sequence of str
        The features as the table names them.

    Returns
    -------
    str
        For example ``"1,558 symbols (such as AAK1, AATK)"``; empty for clinical tables.
    """
    counts = _count_kinds(features, names)
    words = [f"{count:,} {_KINDS[kind]}" for kind, count in counts.items() if count]
    if words:
        words[-1] += f" (such as {', '.join(names[:_EXAMPLES])})"
    return ", ".join(words)


def sample_words(sample: str) -> str:
    """Name a sample with its type.

    Parameters
    ----------
    sample : str
        As a table writes it.

    Returns
    -------
    str
        For example ``"TCGA-E2-A14V-01A, primary solid tumour"``; the name alone where
        it is no barcode.
    """
    from napari_mmsubtype.omics.identifiers import parse_barcode

    barcode = parse_barcode(sample)
    kind = "" if barcode is None else barcode.sample_type_name
    return f"{sample}, {kind}" if kind else sample


def evidence_for(steps: Sequence[str], finding: str) -> str:
    """Find what spoke for a finding.

    Parameters
    ----------
    steps : sequence of str
        As in the table's own record, or in the notes of a report.
    finding : str
        For example ``"rna"``, ``"unit z-score"`` or ``"samples in rows"``.

    Returns
    -------
    str
        What stands behind it in brackets; empty where nothing had to be recognised.
    """
    pattern = re.compile(_EVIDENCE.format(re.escape(finding)))
    for step in steps:
        found = pattern.search(step)
        if found is not None:
            return found[1]
    return ""


def _count_kinds(features: pd.DataFrame, names: Sequence[str]) -> dict[str, int]:
    """Count the features that have each kind of identifier."""
    from napari_mmsubtype.omics.feature_names import is_probe

    # A table of probes has them where one of genes has symbols.
    symbol = "probe" if all(map(is_probe, names[:_SHOWN])) else "symbol"
    return {
        symbol if kind == "symbol" else str(kind): int((features[kind] != "").sum())
        for kind in features.columns
        if kind in _KINDS
    }


def _sample_types(samples: list[str]) -> dict[str, int]:
    """Count TCGA's sample types."""
    from napari_mmsubtype.omics.identifiers import parse_barcode

    counts: dict[str, int] = {}
    for sample in samples:
        barcode = parse_barcode(sample)
        if barcode is not None and barcode.sample_type:
            name = barcode.sample_type_name or "other"
            label = f"{name} (-{barcode.sample_type})"
            counts[label] = counts.get(label, 0) + 1
    return counts
