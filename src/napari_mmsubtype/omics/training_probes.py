"""Probes of training patients: replicates of a site, and averages by gene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pandas as pd

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.methylation_probes import plain_probe
from napari_mmsubtype.omics.probe_annotation import (
    average_columns,
    pair_columns,
    probes_of_genes,
)
from napari_mmsubtype.omics.unit_conversion import m_to_beta

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.omics.units import Unit


def merge_replicates(
    values: NDArray[np.floating], names: list[str]
) -> tuple[NDArray[np.floating], list[str], tuple[str, ...]]:
    """Name probes as the older arrays do, and average those of one site.

    Parameters
    ----------
    values : ndarray of float, shape (patient, probe)
        NaN where missing.
    names : list of str
        Of the probes.

    Returns
    -------
    values : ndarray of float, shape (patient, site)
        Means over the replicates.
    names : list of str
        Of the sites, in the order in which they first appear.
    notes : tuple of str
        How many there were; empty where no name has a suffix.
    """
    plain = [plain_probe(name) for name in names]
    if plain == names:
        return values, names, ()
    sites = list(dict.fromkeys(plain))
    pairs = pd.DataFrame({"probe": sites, "feature": sites})
    merged = average_columns(values, *pair_columns(names, pairs, sites), len(sites))
    return merged, sites, (f"{len(plain)} probes with a suffix are {len(sites)} sites",)


def average_by_gene(
    values: NDArray[np.floating],
    names: Sequence[str],
    source: Unit,
    annotation: pd.DataFrame | None,
    by: Literal["promoter", "gene"],
) -> tuple[NDArray[np.floating], list[str], pd.DataFrame, str]:
    """Average the probes of each gene as beta.

    Parameters
    ----------
    values : ndarray of float, shape (patient, probe)
        NaN where missing.
    names : sequence of str
        Of the probes.
    source : Unit
        Of the values: beta or M-values.
    annotation : DataFrame or None
        As `probe_annotation.tidy_annotation`.
    by : {"promoter", "gene"}
        Which probes of a gene count.

    Returns
    -------
    values : ndarray of float, shape (patient, gene)
        Mean betas.
    genes : list of str
        Sorted.
    pairs : DataFrame
        Columns ``probe`` and ``feature``: which probe counted for which gene.
    note : str
        What was averaged.

    Raises
    ------
    ConfigurationError
        If there is no annotation, it fits no probe, or the values are z-scores.
    """
    if annotation is None or source.quantity == "z-score":
        msg = (
            f"methylation by {by} needs a table of probes "
            "(annotation=) and beta or M-values; z-scores cannot be averaged"
        )
        raise ConfigurationError(msg)
    pairs = probes_of_genes(annotation, by)
    pairs = pairs[pairs["probe"].isin(set(names))]
    if pairs.empty:
        msg = (
            f"none of the {len(names)} probes of the table is in the "
            f"annotation ({len(annotation)} rows); is it for another array?"
        )
        raise ConfigurationError(msg)
    genes = sorted(set(pairs["feature"]))
    beta = m_to_beta(values) if source.name == "m-value" else values
    averaged = average_columns(beta, *pair_columns(names, pairs, genes), len(genes))
    note = f"mean beta of {len(set(pairs['probe']))} probes by {by}: {len(genes)} genes"
    return averaged, genes, pairs, note
