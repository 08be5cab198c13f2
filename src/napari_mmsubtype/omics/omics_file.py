"""Tables kept as ``.h5ad`` with everything that is known of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.core.whole_file import whole_file
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.units import UNITS

if TYPE_CHECKING:
    import os

RECORD = "mmsubtype"
"""Key of ``uns`` with modality, unit, source and steps."""

CLINICAL_UNIT = "raw"
"""Unit of clinical tables: values as written."""

_KEYS = ("modality", "unit", "source", "steps")


def write_omics(table: anndata.AnnData, path: str | os.PathLike[str]) -> Path:
    """Write a table that `table.read_omics` gave; reading it gives the same.

    Parameters
    ----------
    table : AnnData
        Samples × features, with its record in ``uns["mmsubtype"]``.
    path : str or path-like
        Ends in ``.h5ad``; an older file is replaced once the new one is whole.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConfigurationError
        If the path has another ending or its folder is missing, or the table has no
        record.

    Examples
    --------
    >>> write_omics(read_omics("rna.tsv.gz"), "rna.h5ad")  # doctest: +SKIP
    """
    target = Path(path)
    if target.suffix.casefold() != ".h5ad":
        msg = (
            f"tables are written as AnnData; call the file *.h5ad, not {target.name!r}"
        )
        raise ConfigurationError(msg)
    if not target.parent.is_dir():
        msg = f"there is no folder {str(target.parent)!r}; create it first"
        raise ConfigurationError(msg)
    if not has_record(table):
        msg = (
            "the table says neither modality nor unit (uns['mmsubtype']); take it from "
            "read_omics, which also accepts an AnnData"
        )
        raise ConfigurationError(msg)
    record = table.uns[RECORD]
    copy = anndata.AnnData(
        X=table.X,
        # Words with gaps cannot be written but as categories.
        obs=_as_categories(table.obs),
        var=_as_categories(table.var),
        uns={RECORD: {**record, "steps": np.array(record["steps"], dtype=str)}},
    )
    with whole_file(target) as draft:
        copy.write_h5ad(draft, compression="gzip")
    return target


def has_record(data: anndata.AnnData) -> bool:
    """Tell whether an AnnData says what `table.read_omics` found.

    Parameters
    ----------
    data : AnnData
        Any.

    Returns
    -------
    bool
        True where ``uns["mmsubtype"]`` has all its keys.
    """
    record = data.uns.get(RECORD)
    return isinstance(record, dict) and all(key in record for key in _KEYS)


def restore(
    data: anndata.AnnData, name: str, modality: Modality | None
) -> anndata.AnnData:
    """Bring a table with a record back into the form it was read in.

    Parameters
    ----------
    data : AnnData
        With a record.
    name : str
        File name, for messages.
    modality : Modality or None
        What the caller expects.

    Returns
    -------
    AnnData
        A copy; ``X`` float32, words as objects, steps as a list.

    Raises
    ------
    TableReadError
        If the record names an unknown modality or unit.
    ConfigurationError
        If the caller expects another modality.
    """
    record = {key: _plain(value) for key, value in data.uns[RECORD].items()}
    known = [str(m) for m in OMICS]
    if record["modality"] not in known or record["unit"] not in {*UNITS, CLINICAL_UNIT}:
        msg = (
            f"{name!r} says it holds {record['modality']!r} in {record['unit']!r}; "
            f"expected {', '.join(known)} in a known unit; write it anew from its "
            "source"
        )
        raise TableReadError(msg)
    if "sample" not in data.obs:
        msg = (
            f"{name!r} names no samples (obs['sample']); write it anew from its source"
        )
        raise TableReadError(msg)
    if modality is not None and record["modality"] != modality:
        msg = (
            f"{name!r} holds {record['modality']}, not {modality}; "
            f"{pass_option('modality', record['modality'])}"
        )
        raise ConfigurationError(msg)
    values = data.X
    if values is None or not data.shape[1]:
        values = np.zeros((data.shape[0], data.shape[1]), dtype=np.float32)
    return anndata.AnnData(
        X=np.array(values, dtype=np.float32),
        obs=_as_objects(data.obs),
        var=_as_objects(data.var),
        uns={RECORD: record},
    )


def _plain(value: Any) -> Any:
    """Turn what HDF5 gives back into plain types."""
    if isinstance(value, np.ndarray | list | tuple):
        return [str(item) for item in value]
    return str(value)


def _as_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn columns of words into categories."""
    changed = pd.DataFrame(frame).copy()
    for column in changed:
        if changed[column].dtype == object:
            changed[column] = pd.Categorical(changed[column])
    return changed


def _as_objects(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn categories back into columns of words."""
    changed = pd.DataFrame(frame).copy()
    for column in changed:
        if isinstance(changed[column].dtype, pd.CategoricalDtype):
            changed[column] = changed[column].astype(object)
    changed.index = pd.Index([str(name) for name in changed.index], dtype=object)
    return changed
