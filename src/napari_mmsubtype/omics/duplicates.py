"""Features and samples that stand more than once, and features that are none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_mmsubtype.omics.feature_names import is_par_y, mangled_by_spreadsheet
from napari_mmsubtype.omics.gdc_replicates import REPLICATE
from napari_mmsubtype.omics.reading import UNNAMED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.omics.reading import Reading

_SHOWN = 3
# Rows that STAR and HTSeq write beside the genes, and spreadsheets below them.
_SUMMARIES = ("__", "N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous")
_SUMS = frozenset({"total", "totals", "sum", "grand total", "library size"})


def merge_features(reading: Reading, *, summed: bool) -> Reading:
    """Drop what is no feature, and merge features that are repeated.

    Parameters
    ----------
    reading : Reading
        As read.
    summed : bool
        Repeated features are summed, as counts are; otherwise averaged. Missing values
        are left out of both.

    Returns
    -------
    Reading
        Each feature once, in the order of first appearance; the steps say what was
        dropped and merged.
    """
    notes = []
    kept = [i for i, name in enumerate(reading.features) if _is_feature(name)]
    if len(kept) < len(reading.features):
        notes.append(
            f"{len(reading.features) - len(kept)} features without a name, on the "
            "pseudo-autosomal part of Y, or that sum up reads (N_unmapped, total) "
            "dropped"
        )
    names = [reading.features[i].strip() for i in kept]
    if dates := mangled_by_spreadsheet(names):
        notes.append(
            f"{len(dates)} features are dates, not genes ({_listed(dates)}): a "
            "spreadsheet changed them (1-Sep was SEPT1); they match nothing, so export "
            "the table anew without opening it there"
        )
    codes, unique = pd.factorize(np.array(names, dtype=object))
    if len(unique) == len(reading.features):
        return replace(reading, features=names, steps=(*reading.steps, *notes))
    first = pd.Series(np.asarray(kept)).groupby(codes).first().to_numpy(dtype=np.intp)
    picked = reading.values[:, first]
    repeated = np.flatnonzero(np.bincount(codes) > 1)
    places = pd.Series(kept).groupby(codes).indices
    for code in repeated:
        block = reading.values[:, np.asarray(kept)[places[code]]]
        picked[:, code] = _merged(block, summed=summed)
    if repeated.size:
        notes.append(
            f"{repeated.size} features stood more than once "
            f"({_listed([str(unique[code]) for code in repeated])}) and were "
            + ("summed" if summed else "averaged")
        )
    beside = reading.identifiers
    if beside is not None:
        beside = beside.iloc[first].reset_index(drop=True)
    return replace(
        reading,
        features=[str(name) for name in unique],
        values=picked,
        identifiers=beside,
        steps=(*reading.steps, *notes),
    )


def merge_samples(reading: Reading) -> Reading:
    """Merge samples repeated with the same values; leave others as they are.

    Parameters
    ----------
    reading : Reading
        As read.

    Returns
    -------
    Reading
        The steps say which samples were dropped for want of a name, which were merged,
        which stay ambiguous because their values differ, and which have no value.
    """
    reading = _named(reading)
    samples = [sample.strip() for sample in reading.samples]
    codes, unique = pd.factorize(np.array(samples, dtype=object))
    keep = np.ones(len(samples), dtype=bool)
    differing = []
    passed_over = np.zeros(len(samples), dtype=bool)
    if reading.obs is not None and REPLICATE in reading.obs:
        passed_over = reading.obs[REPLICATE].to_numpy(dtype=bool)
    for code in np.flatnonzero(np.bincount(codes) > 1):
        rows = np.flatnonzero(codes == code)
        rows = rows[np.argsort(passed_over[rows], kind="stable")]
        block = reading.values[rows]
        alike = [np.array_equal(block[0], row, equal_nan=True) for row in block[1:]]
        keep[rows[1:]] = ~np.array(alike)
        if (keep[rows] & ~passed_over[rows]).sum() > 1:
            differing.append(str(unique[code]))
    notes = []
    if not keep.all():
        notes.append(f"{int((~keep).sum())} samples repeated with equal values dropped")
    # Of files, the reader has said what can be done.
    if differing and (reading.obs is None or "file" not in reading.obs):
        notes.append(
            f"{len(differing)} samples stand more than once with different values "
            f"({_listed(differing)}); none of them can be chosen: keep one row of each"
        )
    values, obs = reading.values, reading.obs
    if not keep.all():
        values = values[keep]
        obs = None if obs is None else obs[keep].reset_index(drop=True)
    names = [name for name, kept in zip(samples, keep, strict=True) if kept]
    empty = [n for n, row in zip(names, values, strict=True) if np.isnan(row).all()]
    if empty and values.shape[1]:
        notes.append(f"{len(empty)} samples have no value at all ({_listed(empty)})")
    return replace(
        reading,
        samples=names,
        values=values,
        obs=obs,
        steps=(*reading.steps, *notes),
    )


def _named(reading: Reading) -> Reading:
    """Drop samples without a name, as empty lines and columns of spreadsheets give."""
    named = np.array(
        [bool(s.strip()) and not s.startswith(UNNAMED) for s in reading.samples]
    )
    if named.all():
        return reading
    obs = reading.obs
    return replace(
        reading,
        samples=[s for s, kept in zip(reading.samples, named, strict=True) if kept],
        values=reading.values[named],
        obs=None if obs is None else obs[named].reset_index(drop=True),
        steps=(*reading.steps, f"{int((~named).sum())} samples without a name dropped"),
    )


def _is_feature(label: str) -> bool:
    """Tell a feature's label from none, from a second copy on Y, and from a sum."""
    name = label.strip()
    if not name or is_par_y(label) or label.startswith(UNNAMED):
        return False
    # They would count as reads of genes where counts are brought to a million.
    return not name.startswith(_SUMMARIES) and name.casefold() not in _SUMS


def _merged(block: NDArray[np.float32], *, summed: bool) -> NDArray[np.float64]:
    """Merge the columns of one feature."""
    present = np.isfinite(block)
    total = np.where(present, block, 0.0).sum(axis=1, dtype=np.float64)
    number = present.sum(axis=1)
    merged = total if summed else total / np.maximum(number, 1)
    return np.where(number > 0, merged, np.nan)


def _listed(names: Sequence[str]) -> str:
    """Name the first few."""
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
