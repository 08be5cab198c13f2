"""AnnData and MuData, from a file or from memory."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.identifiers import parse_barcode
from napari_mmsubtype.omics.matrix import gene_roles
from napari_mmsubtype.omics.orientation import detect_orientation
from napari_mmsubtype.omics.reading import Reading
from napari_mmsubtype.omics.watched_file import open_watched

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_VALUES = 2_000_000_000
"""A table with more values than this is no table of one row per patient."""

_PARTS = {
    Modality.RNA: ("rna", "rnaseq", "rna-seq", "mrna", "gex", "expression"),
    Modality.METHYLATION: ("methylation", "dnam", "meth", "beta", "dna_methylation"),
    Modality.CLINICAL: ("clinical", "pheno", "phenotype"),
}
_SAID_OF_SAMPLES = {
    "patient": ("patient", "patient_id", "case_id", "case id", "case", "donor_id"),
    "sample_type": ("sample_type", "sample type", "tissue_type"),
}
_SAMPLE_COLUMNS = ("sample", "sample_id", "patient", "patient_id", "case_id", "barcode")


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """An AnnData and where in its source it stood.

    Attributes
    ----------
    data : AnnData
        Samples × features, or features × samples.
    steps : tuple of str
        What was recognised.
    """

    data: anndata.AnnData
    steps: tuple[str, ...]


def open_annotated(path: Path, modality: Modality | None) -> Annotated:
    """Read an HDF5 file of AnnData (``.h5ad``) or MuData (``.h5mu``).

    Parameters
    ----------
    path : Path
        An HDF5 file.
    modality : Modality or None
        Chooses among the parts of a MuData.

    Returns
    -------
    Annotated
        The whole AnnData, or the part asked for.

    Raises
    ------
    TableReadError
        If the file is damaged, is of another kind, or has no such part.
    """
    try:
        with (
            open_watched(path) as source,
            h5py.File(source) as file,
            warnings.catch_warnings(),
        ):
            # Files of older versions are read all the same.
            warnings.simplefilter("ignore")
            if "mod" in file:
                part = _choose(list(file["mod"]), path.name, modality)
                data = anndata.io.read_elem(file["mod"][part])
                steps = (f"MuData, part {part!r} of {', '.join(file['mod'])}",)
            elif {"obs", "var"} <= set(file):
                data, steps = anndata.io.read_h5ad(source), ("AnnData",)
            else:
                held = ", ".join(list(file)[:5]) or "nothing"
                msg = (
                    f"{path.name!r} is an HDF5 file with {held}; expected AnnData (obs "
                    "and var) or MuData (mod); save it as .h5ad, or as CSV or TSV"
                )
                raise TableReadError(msg)
    except TableReadError:
        raise
    except Exception as err:  # Damage shows as any kind of error of HDF5 and AnnData.
        reason = (str(err).splitlines() or [type(err).__name__])[0]
        msg = f"{path.name!r} is a damaged HDF5 file ({reason}); fetch it again"
        raise TableReadError(msg) from err
    return Annotated(data, steps)


def take_annotated(source: Any, modality: Modality | None) -> Annotated:
    """Take an AnnData, or the part of a MuData, that is in memory.

    Parameters
    ----------
    source : AnnData or MuData
        A MuData is known by its mapping ``mod``.
    modality : Modality or None
        Chooses among the parts of a MuData.

    Returns
    -------
    Annotated
        The AnnData itself, not a copy.

    Raises
    ------
    ConfigurationError
        If the object is something else.
    """
    if isinstance(source, anndata.AnnData):
        return Annotated(source, ("AnnData",))
    parts = getattr(source, "mod", None)
    if not isinstance(parts, Mapping):
        msg = (
            f"a table cannot be read from {type(source).__name__}; pass a path, an "
            "AnnData or a MuData"
        )
        raise ConfigurationError(msg)
    part = _choose(list(parts), "MuData in memory", modality)
    return Annotated(parts[part], (f"MuData, part {part!r} of {', '.join(parts)}",))


def read_annotated(found: Annotated, name: str, layer: str | None) -> Reading:
    """Take samples, features and values out of an AnnData without a record of ours.

    Parameters
    ----------
    found : Annotated
        As opened.
    name : str
        File name, for messages and as a hint for the unit.
    layer : str or None
        A layer, or ``"raw"``; None takes ``X``.

    Returns
    -------
    Reading
        Samples × features; natural logarithms that scanpy noted are brought to base 2.

    Raises
    ------
    TableReadError
        If there are no values, or too many for a table of patients.
    ConfigurationError
        If there is no such layer.
    """
    values, features, steps = _values(found.data, name, layer)
    samples, named = _sample_names(found.data.obs)
    labels = [str(label) for label in features.index]
    turned = detect_orientation(samples, labels, "patient_id").samples_in == "columns"
    if turned:
        steps = (*steps, "genes in obs, samples in var: turned")
        roles = _identifiers(found.data.obs)
        names = [str(label) for label in found.data.obs_names]
        return Reading(
            labels, names, values.T, (*found.steps, *steps), roles, hint=name
        )
    return Reading(
        samples,
        labels,
        values,
        (*found.steps, *steps, *named),
        _identifiers(features),
        _about_samples(found.data.obs),
        hint=name,
    )


def clinical_columns(found: Annotated) -> pd.DataFrame:
    """Take what an AnnData says of its samples as a clinical table of words.

    Parameters
    ----------
    found : Annotated
        As opened.

    Returns
    -------
    DataFrame of str
        The samples' names, then the columns of ``obs``; NaN where missing.
    """
    samples, _ = _sample_names(found.data.obs)
    obs = pd.DataFrame(found.data.obs).astype(object)
    obs.insert(0, "obs_names", samples)
    return obs.astype(str).where(obs.notna(), np.nan).reset_index(drop=True)


def _choose(parts: list[str], name: str, modality: Modality | None) -> str:
    """Choose the part of a MuData."""
    wanted = _PARTS[modality or Modality.RNA]
    fitting = [part for part in parts if part.strip().casefold() in wanted]
    if len(fitting) == 1:
        return fitting[0]
    if len(parts) == 1:
        return parts[0]
    listed = ", ".join(repr(part) for part in parts) or "none"
    msg = (
        f"{name!r} is a MuData with the parts {listed}; none, or several, can be meant "
        f"by {modality or Modality.RNA}; call the part {wanted[0]!r}, or save it as "
        ".h5ad"
    )
    raise TableReadError(msg)


def _values(
    data: anndata.AnnData, name: str, layer: str | None
) -> tuple[NDArray[np.float32], pd.DataFrame, tuple[str, ...]]:
    """Take the matrix asked for, its features, and say which it was."""
    others = [f"layer {key!r}" for key in data.layers if key != layer]
    if data.raw is not None and layer != "raw":
        others.append("raw")
    if layer == "raw" and data.raw is not None:
        matrix, features, said = data.raw.X, data.raw.var, "raw"
    elif layer is None:
        matrix, features, said = data.X, data.var, "X"
    elif layer in data.layers:
        matrix, features, said = data.layers[layer], data.var, f"layer {layer!r}"
    else:
        msg = f"{name!r} has no layer {layer!r}; it has X, {', '.join(others) or '-'}"
        raise ConfigurationError(msg)
    if matrix is None or 0 in matrix.shape:
        names = [*data.layers, *(["raw"] if data.raw is not None else [])]
        advice = pass_option("layer", *(key for key in names if key != layer))
        there = f"; {advice}" if others else ""
        msg = f"{name!r} has no values in {said}{there}"
        raise TableReadError(msg)
    if matrix.shape[0] * matrix.shape[1] > MAX_VALUES:
        msg = (
            f"{name!r} holds {matrix.shape[0]} × {matrix.shape[1]} values, more than a "
            "table of patients: single cells are to be summed to one row per patient "
            "(pseudobulk) first"
        )
        raise TableReadError(msg)
    dense = matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)
    try:
        values = np.array(dense, dtype=np.float32)
    except (TypeError, ValueError) as err:
        msg = f"{name!r} has values in {said} that are no numbers ({dense.dtype})"
        raise TableReadError(msg) from err
    steps = [
        f"values from {said}" + (f"; also there: {', '.join(others)}" * bool(others))
    ]
    log = data.uns.get("log1p")
    if said == "X" and log is not None:
        base = float(dict(log).get("base") or np.e)
        if base != 2.0:
            values *= np.float32(np.log(base) / np.log(2.0))
            steps.append(f"logarithms to base {base:.4g} (uns['log1p']) brought to 2")
    return values, pd.DataFrame(features), tuple(steps)


def _sample_names(obs: pd.DataFrame) -> tuple[list[str], tuple[str, ...]]:
    """Name the samples by the index, or by a column where the index only counts."""
    names = [str(name) for name in obs.index]
    if any(parse_barcode(name) for name in names[:50]):
        return names, ()
    counted = names == [str(i) for i in range(len(names))]
    for column in obs.columns:
        cells = [str(cell) for cell in obs[column]]
        barcodes = sum(parse_barcode(cell) is not None for cell in cells[:50])
        called = counted and str(column).casefold() in _SAMPLE_COLUMNS
        if called or (barcodes and barcodes >= len(cells[:50]) / 2):
            return cells, (f"samples named by obs column {str(column)!r}",)
    return names, ()


def _identifiers(var: pd.DataFrame) -> pd.DataFrame | None:
    """Find gene identifiers among the features' columns."""
    roles = gene_roles([str(column) for column in var.columns])
    if not roles:
        return None
    found = pd.DataFrame(var).iloc[:, list(roles.values())].astype(object)
    found.columns = list(roles)
    return found.reset_index(drop=True)


def _about_samples(obs: pd.DataFrame) -> pd.DataFrame | None:
    """Keep the patient of each sample, and what kind of sample it is."""
    folded = {str(column).strip().casefold(): column for column in obs.columns}
    taken = {
        name: next((folded[known] for known in columns if known in folded), None)
        for name, columns in _SAID_OF_SAMPLES.items()
    }
    if taken["patient"] is None:
        return None
    words = {
        name: obs[column].astype(object).where(obs[column].notna(), "").astype(str)
        for name, column in taken.items()
        if column is not None
    }
    return pd.DataFrame(words, dtype=object).reset_index(drop=True)
