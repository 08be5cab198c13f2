"""Read omics or clinical values, however they are kept, as samples × features."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anndata
import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.option_words import leave_out
from napari_mmsubtype.core.table_files import FileKind
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.anndata_file import (
    Annotated,
    clinical_columns,
    open_annotated,
    read_annotated,
    take_annotated,
)
from napari_mmsubtype.omics.clinical_table import gather_patients
from napari_mmsubtype.omics.delimited import RawTable, read_delimited, read_header
from napari_mmsubtype.omics.file_kind import is_hdf5, recognize
from napari_mmsubtype.omics.finished_table import finish_table
from napari_mmsubtype.omics.foreign_table import check_foreign, check_foreign_names
from napari_mmsubtype.omics.gct import read_gct
from napari_mmsubtype.omics.gdc_folder import find_gdc_files, read_gdc
from napari_mmsubtype.omics.matrix import arrange
from napari_mmsubtype.omics.modality_detection import (
    ModalityFinding,
    detect_by_names,
    detect_modality,
)
from napari_mmsubtype.omics.omics_file import (
    CLINICAL_UNIT,
    RECORD,
    has_record,
    restore,
)
from napari_mmsubtype.omics.parquet_file import read_parquet, read_parquet_names
from napari_mmsubtype.omics.quantifier import read_quantifier
from napari_mmsubtype.omics.reader_process import read_apart, run_to_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_mmsubtype.omics.reading import Reading

_GDC = {FileKind.FOLDER, FileKind.STAR, FileKind.PAIRS, FileKind.SAMPLE_SHEET}
_AXES = ("rows", "columns")
_MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class _Request:
    """What the caller said, and where the table comes from."""

    source: str
    name: str
    modality: Modality | None
    unit: str | None
    samples_in: Literal["rows", "columns"] | None
    layer: str | None


def read_omics(
    path: str | os.PathLike[str] | Any,
    *,
    modality: str | Modality | None = None,
    unit: str | None = None,
    samples_in: Literal["rows", "columns"] | None = None,
    layer: str | None = None,
) -> anndata.AnnData:
    """Read a table of one modality.

    Format, compression, encoding, delimiter, modality, orientation and unit are
    recognised by content; each finding and its evidence is kept with the table.
    HDF5 files are read in a process of their own, as damage in them can make HDF5 hang.
    Samples that are repeated with the same values are merged; features that are
    repeated are averaged (counts are summed).

    Parameters
    ----------
    path : path, AnnData or MuData
        CSV, TSV or GCT, plain or packed as gzip, bzip2, xz or zip; Parquet; ``.h5ad``
        or ``.h5mu``; a file of one sample from the GDC (STAR gene counts, SeSAMe
        betas), a folder of such files, or the sample sheet in it; or an object in
        memory.
    modality : str, Modality or None, default: None
        ``rna``, ``methylation`` or ``clinical``; None recognises it.
    unit : str or None, default: None
        Overrules the detected unit: ``counts``, ``tpm``, ``fpkm``, ``log2(tpm+1)``,
        ``z-score``, ``beta``, ``m-value`` and others of `units.UNITS`. Of STAR files it
        chooses the column, ``tpm_unstranded`` by default.
    samples_in : {"rows", "columns"} or None, default: None
        Overrules the detected orientation of a plain table.
    layer : str or None, default: None
        Layer of an AnnData, or ``"raw"``; None takes ``X``.

    Returns
    -------
    AnnData
        Samples × features. ``X`` float32, NaN where missing; for clinical tables shape
        (sample, 0) with the columns as text in ``obs``. ``obs["sample"]`` holds the
        identifiers as written, ``var`` the features' ``symbol``, ``ensembl`` and
        ``entrez``. ``uns["mmsubtype"]`` has ``modality``, ``unit``, ``source`` and
        ``steps``.

    Raises
    ------
    TableReadError
        If the file is no such table; the message says what was found.
    ConfigurationError
        If `modality`, `unit`, `samples_in` or `layer` is not known, or does not apply.

    Examples
    --------
    >>> table = read_omics("rna.csv.gz")  # doctest: +SKIP
    >>> table.uns["mmsubtype"]["unit"]  # doctest: +SKIP
    'log2(x+1)'
    """
    options: dict[str, Any] = {"unit": unit, "samples_in": samples_in, "layer": layer}
    options["modality"] = None if modality is None else str(modality)
    if isinstance(path, str | os.PathLike) and is_hdf5(Path(path)):
        here = partial(read_here, path, **options)
        return run_to_end(read_apart(os.fspath(path), options, here))
    return read_here(path, **options)


def read_here(
    path: str | os.PathLike[str] | Any,
    *,
    modality: str | Modality | None = None,
    unit: str | None = None,
    samples_in: Literal["rows", "columns"] | None = None,
    layer: str | None = None,
) -> anndata.AnnData:
    """Read a table as `read_omics` does, always in this process.

    Parameters
    ----------
    path : path, AnnData or MuData
        As `read_omics`.
    modality : str, Modality or None, default: None
        As `read_omics`.
    unit : str or None, default: None
        As `read_omics`.
    samples_in : {"rows", "columns"} or None, default: None
        As `read_omics`.
    layer : str or None, default: None
        As `read_omics`.

    Returns
    -------
    AnnData
        As `read_omics`, whose errors it raises too.
    """
    kind = None if modality is None else _modality(modality)
    if samples_in is not None and samples_in not in _AXES:
        msg = f"samples_in is {samples_in!r}; expected 'rows', 'columns' or None"
        raise ConfigurationError(msg)
    if not isinstance(path, str | os.PathLike):
        asked = _Request(_MEMORY, _MEMORY, kind, unit, samples_in, layer)
        return _from_annotated(take_annotated(path, kind), asked)
    source = Path(path)
    asked = _Request(str(source), source.name, kind, unit, samples_in, layer)
    found = recognize(source)
    if found is FileKind.HDF5:
        return _from_annotated(open_annotated(source, kind), asked)
    _refuse_option("layer", layer, found, "AnnData and MuData")
    if found in _GDC:
        return _from_gdc(source, found, asked)
    if found is FileKind.QUANTIFIER:
        return _from_quantifier(source, found, asked)
    if found is FileKind.GCT:
        _refuse_option("samples_in", samples_in, found, "plain tables")
        _refuse_clinical(asked, found)
        asked = replace(asked, modality=kind or Modality.RNA)
        return _finished(read_gct(source), asked)
    return _from_plain(source, found, asked)


def _modality(modality: str | Modality) -> Modality:
    """Check that a modality comes as a table."""
    known = [m.value for m in Modality if m is not Modality.IMAGE]
    if str(modality) not in known:
        msg = f"modality {str(modality)!r} is no table; expected {', '.join(known)}"
        raise ConfigurationError(msg)
    return Modality(str(modality))


def _refuse_option(name: str, value: object, found: FileKind, where: str) -> None:
    """Refuse an option that would be without effect."""
    if value is not None:
        advice = leave_out(name, str(value))
        msg = f"{advice}: it applies to {where}, and the file is {found}"
        raise ConfigurationError(msg)


def _refuse_clinical(asked: _Request, found: FileKind) -> None:
    """Refuse to look for clinical variables where there are none."""
    if asked.modality is Modality.CLINICAL:
        msg = (
            f"{asked.name!r} is {found}: it holds no clinical table; give one as CSV, "
            "TSV or Parquet"
        )
        raise TableReadError(msg)


def _from_annotated(found: Annotated, asked: _Request) -> anndata.AnnData:
    """Read AnnData: our own as it is, others like any table."""
    _refuse_option("samples_in", asked.samples_in, FileKind.HDF5, "plain tables")
    if has_record(found.data) and asked.unit is None and asked.layer is None:
        return restore(found.data, asked.name, asked.modality)
    if asked.modality is Modality.CLINICAL:
        return _clinical(clinical_columns(found), asked, found.steps)
    reading = read_annotated(found, asked.name, asked.layer)
    recorded = found.data.uns.get(RECORD, {}).get("modality")
    if asked.modality is None and recorded is not None:
        asked = replace(asked, modality=_modality(recorded))
        reading = _noted(reading, f"{asked.modality} (uns[{RECORD!r}] says so)")
    elif asked.modality is None:
        finding = _detected(asked, reading.features, reading.samples, reading.values)
        asked = replace(asked, modality=finding.modality)
        reading = _noted(reading, f"{finding.modality} ({finding.evidence})")
    return _finished(reading, asked)


def _from_gdc(path: Path, found: FileKind, asked: _Request) -> anndata.AnnData:
    """Read files of the GDC."""
    _refuse_option("samples_in", asked.samples_in, found, "plain tables")
    _refuse_clinical(asked, found)
    files = find_gdc_files(path, asked.modality)
    reading = read_gdc(files, asked.unit)
    if reading.unit is not None:
        # It chose the column, which says its own unit.
        asked = replace(asked, unit=None)
    return _finished(reading, replace(asked, modality=files.modality))


def _from_quantifier(path: Path, found: FileKind, asked: _Request) -> anndata.AnnData:
    """Read the output of a program that quantifies one sample."""
    _refuse_option("samples_in", asked.samples_in, found, "plain tables")
    _refuse_clinical(asked, found)
    reading = read_quantifier(path, asked.unit)
    asked = replace(asked, unit=None, modality=asked.modality or Modality.RNA)
    return _finished(reading, asked)


def _from_plain(path: Path, found: FileKind, asked: _Request) -> anndata.AnnData:
    """Read delimited text or Parquet."""
    notes: tuple[str, ...] = ()
    columns = _column_names(path, found)
    check_foreign(asked.name, columns)
    if asked.modality is None:
        named = detect_by_names(columns)
        if named is not None and named.modality is Modality.CLINICAL:
            # Its columns may mix numbers and words, which a table of numbers may not.
            asked = replace(asked, modality=named.modality)
            notes = (f"{named.modality} ({named.evidence})",)
    if asked.modality is Modality.CLINICAL:
        raw = _read_raw(path, found, numeric=False)
        return _clinical(raw.text, asked, (*raw.notes, *notes))
    raw = _read_raw(path, found, numeric=True)
    rows = [str(label) for label in raw.text.iloc[:, 0]]
    for labels in (raw.columns, rows):
        check_foreign_names(asked.name, labels)
    if asked.modality is None:
        finding = _detected(asked, raw.columns, rows, raw.values)
        asked = replace(asked, modality=finding.modality)
        raw = replace(
            raw, notes=(*raw.notes, f"{finding.modality} ({finding.evidence})")
        )
        if finding.modality is Modality.CLINICAL:
            return _clinical(raw.text, asked, raw.notes)
    kind = asked.modality or Modality.RNA
    if not raw.columns:
        msg = (
            f"{asked.name!r} holds no column of numbers; expected samples and "
            f"{kind.value} features (a clinical table is given as clinical)"
        )
        raise TableReadError(msg)
    return _finished(arrange(raw, asked.name, kind, asked.samples_in), asked)


def _detected(
    asked: _Request,
    columns: Sequence[str],
    rows: Sequence[str],
    values: np.ndarray[Any, Any],
) -> ModalityFinding:
    """Recognise the modality; where that fails, say of which file."""
    try:
        return detect_modality(columns, rows, values)
    except TableReadError as err:
        msg = f"{asked.name!r}: {err}"
        raise TableReadError(msg) from err


def _column_names(path: Path, found: FileKind) -> list[str]:
    """List the columns of a plain table without reading its rows."""
    if found is FileKind.PARQUET:
        return read_parquet_names(path)
    return read_header(path)


def _read_raw(path: Path, found: FileKind, *, numeric: bool) -> RawTable:
    """Read a plain table in its own orientation."""
    if found is FileKind.PARQUET:
        return read_parquet(path, numeric=numeric)
    return read_delimited(path, numeric=numeric)


def _noted(reading: Reading, note: str) -> Reading:
    """Add a step."""
    return replace(reading, steps=(*reading.steps, note))


def _clinical(
    text: pd.DataFrame, asked: _Request, steps: tuple[str, ...]
) -> anndata.AnnData:
    """Bring a clinical table to one row of text per patient."""
    frame, gathered = gather_patients(text, asked.name)
    obs = frame.reset_index(drop=True)
    obs.index = pd.Index([str(name) for name in frame.index], dtype=object)
    obs.insert(0, "sample", obs.index.to_numpy(), allow_duplicates=True)
    obs = obs.loc[:, ~obs.columns.duplicated()]
    record = {
        "modality": str(asked.modality),
        "unit": CLINICAL_UNIT,
        "source": asked.source,
        "steps": [*steps, *gathered],
    }
    return anndata.AnnData(
        X=np.zeros((len(obs), 0), dtype=np.float32), obs=obs, uns={RECORD: record}
    )


def _finished(reading: Reading, asked: _Request) -> anndata.AnnData:
    """Check the features and the unit, and put the parts together."""
    check_foreign_names(asked.name, reading.features)
    return finish_table(
        reading,
        modality=asked.modality or Modality.RNA,
        unit=asked.unit,
        source=asked.source,
        name=asked.name,
    )
