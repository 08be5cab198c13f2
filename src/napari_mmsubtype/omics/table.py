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
from napari_mmsubtype.omics.duplicates import merge_features, merge_samples
from napari_mmsubtype.omics.feature_names import describe_features
from napari_mmsubtype.omics.file_kind import FileKind, is_hdf5, recognize
from napari_mmsubtype.omics.gct import read_gct
from napari_mmsubtype.omics.gdc_folder import find_gdc_files, read_gdc
from napari_mmsubtype.omics.matrix import arrange
from napari_mmsubtype.omics.modality_detection import detect_by_names, detect_modality
from napari_mmsubtype.omics.omics_file import (
    CLINICAL_UNIT,
    RECORD,
    has_record,
    restore,
)
from napari_mmsubtype.omics.parquet_file import read_parquet, read_parquet_names
from napari_mmsubtype.omics.quantifier import read_quantifier
from napari_mmsubtype.omics.reader_process import read_apart, run_to_end
from napari_mmsubtype.omics.unit_detection import UnitFinding, detect_unit
from napari_mmsubtype.omics.units import check_unit, parse_unit
from napari_mmsubtype.omics.units_by_sample import check_samples

if TYPE_CHECKING:
    from napari_mmsubtype.omics.reading import Reading

_DETECTED_VALUES = 4_000_000
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
        msg = f"{name}={value!r} applies to {where}; the file is {found}: leave it out"
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
    if asked.modality is None:
        finding = detect_modality(reading.features, reading.samples, reading.values)
        recorded = found.data.uns.get(RECORD, {}).get("modality", finding.modality)
        asked = replace(asked, modality=_modality(recorded))
        reading = _noted(reading, f"{asked.modality} ({finding.evidence})")
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
    if asked.modality is None:
        named = detect_by_names(_column_names(path, found))
        if named is not None and named.modality is Modality.CLINICAL:
            # Its columns may mix numbers and words, which a table of numbers may not.
            asked = replace(asked, modality=named.modality)
            notes = (f"{named.modality} ({named.evidence})",)
    if asked.modality is Modality.CLINICAL:
        raw = _read_raw(path, found, numeric=False)
        return _clinical(raw.text, asked, (*raw.notes, *notes))
    raw = _read_raw(path, found, numeric=True)
    if asked.modality is None:
        rows = [str(label) for label in raw.text.iloc[:, 0]]
        finding = detect_modality(raw.columns, rows, raw.values)
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
    record = _record(asked, CLINICAL_UNIT, [*steps, *gathered])
    return anndata.AnnData(
        X=np.zeros((len(obs), 0), dtype=np.float32), obs=obs, uns={RECORD: record}
    )


def _finished(reading: Reading, asked: _Request) -> anndata.AnnData:
    """Check the unit, merge repeats, and put the parts together."""
    kind = asked.modality or Modality.RNA
    declared = (
        reading.unit
        if asked.unit is None
        else UnitFinding(parse_unit(asked.unit, kind), "as declared by the caller")
    )
    try:
        finding = declared or detect_unit(
            _some_rows(reading.values), kind, hint=reading.hint
        )
        check_samples(reading.values, reading.samples, finding.unit)
        values, notes = check_unit(reading.values, finding.unit)
    except TableReadError as err:
        msg = f"{asked.name!r}: {err}"
        raise TableReadError(msg) from err
    steps = (*reading.steps, f"unit {finding.unit.name} ({finding.evidence})", *notes)
    reading = replace(reading, values=values, steps=steps)
    reading = merge_features(reading, summed=finding.unit.name == "counts")
    reading = merge_samples(reading)
    var = describe_features(list(reading.features), reading.identifiers)
    return anndata.AnnData(
        X=np.ascontiguousarray(reading.values, dtype=np.float32),
        obs=_obs(reading),
        var=var,
        uns={RECORD: _record(asked, finding.unit.name, list(reading.steps))},
    )


def _some_rows(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Thin out samples, evenly, until detection is quick."""
    step = max(1, -(-values.size // _DETECTED_VALUES))
    return values[::step]


def _obs(reading: Reading) -> pd.DataFrame:
    """Describe the samples under unique row names."""
    samples = list(reading.samples)
    times = pd.Series(samples, dtype=object).groupby(samples, sort=False).cumcount()
    index = [
        name if n == 0 else f"{name} #{n + 1}"
        for name, n in zip(samples, times, strict=True)
    ]
    obs = pd.DataFrame(
        {"sample": np.array(samples, dtype=object)}, index=pd.Index(index, dtype=object)
    )
    if reading.obs is not None:
        for column in reading.obs:
            obs[column] = reading.obs[column].to_numpy()
    return obs


def _record(asked: _Request, unit: str, steps: list[str]) -> dict[str, Any]:
    """Say what was read, and what was done to it."""
    return {
        "modality": str(asked.modality),
        "unit": unit,
        "source": asked.source,
        "steps": steps,
    }
