"""Read a table of omics or clinical values into an AnnData of samples × features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anndata
import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.clinical_table import gather_patients
from napari_mmsubtype.omics.delimited import RawTable, read_delimited
from napari_mmsubtype.omics.feature_names import (
    describe_features,
    is_par_y,
    mangled_by_spreadsheet,
)
from napari_mmsubtype.omics.identifiers import parse_barcode
from napari_mmsubtype.omics.orientation import Orientation, detect_orientation
from napari_mmsubtype.omics.unit_detection import UnitFinding, detect_unit
from napari_mmsubtype.omics.units import check_unit, parse_unit

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

_CLINICAL_UNIT = "raw"
_UNNAMED = "unnamed row "
_DETECTED_VALUES = 4_000_000
_ID_ROLES = {
    "symbol": ("hugo_symbol", "symbol", "gene_symbol", "gene_name"),
    "ensembl": ("ensembl", "ensembl_id", "ensembl_gene_id"),
    "entrez": ("entrez", "entrez_gene_id", "entrez_id", "entrezid"),
}


def read_omics(
    path: str | os.PathLike[str],
    *,
    modality: str | Modality = Modality.RNA,
    unit: str | None = None,
    samples_in: Literal["rows", "columns"] | None = None,
) -> anndata.AnnData:
    """Read a delimited table of one modality.

    Compression, encoding, delimiter, orientation and unit are recognised; each finding
    and its evidence is kept with the table. Samples that are repeated with the same
    values are merged; features that are repeated are averaged (counts are summed).

    Parameters
    ----------
    path : str or path-like
        CSV or TSV, plain or packed as gzip, bzip2, xz or zip.
    modality : str or Modality, default: "rna"
        ``rna``, ``methylation`` or ``clinical``.
    unit : str or None, default: None
        Overrules the detected unit: ``counts``, ``tpm``, ``fpkm``, ``log2(tpm+1)``,
        ``z-score``, ``beta``, ``m-value`` and others of `units.UNITS`.
    samples_in : {"rows", "columns"} or None, default: None
        Overrules the detected orientation.

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
        If `modality`, `unit` or `samples_in` is not known.

    Examples
    --------
    >>> table = read_omics("rna.csv.gz", modality="rna")  # doctest: +SKIP
    >>> table.uns["mmsubtype"]["unit"]  # doctest: +SKIP
    'log2(x+1)'
    """
    source = Path(path)
    kind = _modality(modality)
    if samples_in not in {None, "rows", "columns"}:
        msg = f"samples_in is {samples_in!r}; expected 'rows', 'columns' or None"
        raise ConfigurationError(msg)
    if kind is Modality.CLINICAL:
        return _read_clinical(source)
    declared = (
        None
        if unit is None
        else UnitFinding(parse_unit(unit, kind), "as declared by the caller")
    )
    raw = read_delimited(source)
    if not raw.columns:
        msg = (
            f"{source.name!r} holds no column of numbers; expected samples and "
            f"{kind.value} features (a clinical table is given as clinical)"
        )
        raise TableReadError(msg)
    rows, extra, described = _row_labels(raw)
    found = (
        detect_orientation(rows, raw.columns, raw.corner)
        if samples_in is None
        else Orientation(samples_in, "as declared by the caller")
    )
    steps = [
        f"{raw.delimiter}-separated, samples in {found.samples_in} ({found.evidence})",
        *described,
    ]
    if found.samples_in == "rows":
        samples, features, values = rows, list(raw.columns), raw.values
        extra = None
    else:
        samples, features, values = list(raw.columns), rows, raw.values.T
    try:
        finding = declared or detect_unit(_some_rows(values), kind, hint=source.name)
        checked, notes = check_unit(values, finding.unit)
    except TableReadError as err:
        msg = f"{source.name!r}: {err}"
        raise TableReadError(msg) from err
    steps.append(f"unit {finding.unit.name} ({finding.evidence})")
    steps.extend(notes)
    checked, features, extra, merged = _merge_features(
        checked, features, extra, summed=finding.unit.name == "counts"
    )
    steps.extend(merged)
    checked, samples, repeated = _merge_samples(checked, samples)
    steps.extend(repeated)
    return _assemble(
        checked,
        samples,
        describe_features(features, extra),
        {
            "modality": kind.value,
            "unit": finding.unit.name,
            "source": str(source),
            "steps": steps,
        },
    )


def _modality(modality: str | Modality) -> Modality:
    """Check that a modality comes as a table."""
    known = [m.value for m in Modality if m is not Modality.IMAGE]
    if str(modality) not in known:
        msg = f"modality {str(modality)!r} is no table; expected {', '.join(known)}"
        raise ConfigurationError(msg)
    return Modality(str(modality))


def _read_clinical(source: Path) -> anndata.AnnData:
    """Read a clinical table: one row of text per patient."""
    raw = read_delimited(source, numeric=False)
    frame, steps = gather_patients(raw.text, source.name)
    obs = frame.reset_index(drop=True)
    obs.index = pd.Index([str(name) for name in frame.index], dtype=object)
    obs.insert(0, "sample", obs.index.to_numpy(), allow_duplicates=True)
    obs = obs.loc[:, ~obs.columns.duplicated()]
    return anndata.AnnData(
        X=np.zeros((len(obs), 0), dtype=np.float32),
        obs=obs,
        uns={
            "mmsubtype": {
                "modality": Modality.CLINICAL.value,
                "unit": _CLINICAL_UNIT,
                "source": str(source),
                "steps": [f"{raw.delimiter}-separated", *steps],
            }
        },
    )


def _row_labels(raw: RawTable) -> tuple[list[str], pd.DataFrame | None, list[str]]:
    """Name the rows, and find further identifiers beside the names."""
    text = raw.text
    names = [str(name).strip().casefold() for name in text.columns]
    chosen = _label_column(text)
    roles = {
        role: names.index(name)
        for role, known in _ID_ROLES.items()
        for name in reversed(known)
        if name in names
    }
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
        shown = ", ".join(aside[:5])
        notes.append(f"{len(aside)} columns of text left aside ({shown})")
    extra = pd.DataFrame({role: text.iloc[:, i] for role, i in roles.items()})
    filled = [
        label if isinstance(label, str) else f"{_UNNAMED}{row + 1}"
        for row, label in enumerate(labels)
    ]
    return filled, (extra if roles else None), notes


def _label_column(text: pd.DataFrame) -> int:
    """Choose the first column of text, or a later one that holds TCGA barcodes."""
    for position in range(text.shape[1]):
        head = text.iloc[:50, position].dropna()
        known = sum(parse_barcode(cell) is not None for cell in head)
        if known and known >= len(head) / 2:
            return position
    return 0


def _some_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Thin out samples, evenly, until detection is quick."""
    step = max(1, -(-values.size // _DETECTED_VALUES))
    return values[::step]


def _merge_features(
    values: NDArray[np.float32],
    features: list[str],
    extra: pd.DataFrame | None,
    *,
    summed: bool,
) -> tuple[NDArray[np.float32], list[str], pd.DataFrame | None, list[str]]:
    """Drop what is no feature, and merge features that are repeated."""
    notes = []
    kept = [
        i
        for i, name in enumerate(features)
        if name.strip() and not is_par_y(name) and not name.startswith(_UNNAMED)
    ]
    if len(kept) < len(features):
        notes.append(
            f"{len(features) - len(kept)} features without a name or on the "
            "pseudo-autosomal part of Y dropped"
        )
    names = [features[i].strip() for i in kept]
    dates = mangled_by_spreadsheet(names)
    if dates:
        notes.append(
            f"{len(dates)} features are dates, not genes ({', '.join(dates[:3])}): a "
            "spreadsheet changed them; they match nothing"
        )
    codes, unique = pd.factorize(np.array(names, dtype=object))
    if len(kept) == len(features) and len(unique) == len(names):
        return values, names, extra, notes
    first = pd.Series(np.arange(len(names))).groupby(codes).first().to_numpy()
    picked = values[:, np.asarray(kept)[first]]
    counts = np.bincount(codes)
    for code in np.flatnonzero(counts > 1):
        block = values[:, [kept[i] for i in np.flatnonzero(codes == code)]]
        present = np.isfinite(block)
        total = np.where(present, block, 0.0).sum(axis=1, dtype=np.float64)
        number = present.sum(axis=1)
        merged = total if summed else total / np.maximum(number, 1)
        picked[:, code] = np.where(number > 0, merged, np.nan)
    if (counts > 1).any():
        repeated = [str(unique[i]) for i in np.flatnonzero(counts > 1)]
        notes.append(
            f"{len(repeated)} features stood more than once "
            f"({', '.join(repeated[:3])}) and were "
            + ("summed" if summed else "averaged")
        )
    if extra is not None:
        extra = extra.iloc[np.asarray(kept)[first]].reset_index(drop=True)
    return picked, [str(name) for name in unique], extra, notes


def _merge_samples(
    values: NDArray[np.float32], samples: list[str]
) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """Merge samples repeated with the same values; leave others as they are."""
    codes, unique = pd.factorize(np.array([s.strip() for s in samples], dtype=object))
    counts = np.bincount(codes)
    keep = np.ones(len(samples), dtype=bool)
    differing = []
    for code in np.flatnonzero(counts > 1):
        rows = np.flatnonzero(codes == code)
        alike = [
            np.array_equal(values[rows[0]], values[row], equal_nan=True)
            for row in rows[1:]
        ]
        keep[rows[1:]] = ~np.array(alike)
        if not all(alike):
            differing.append(str(unique[code]))
    notes = []
    if not keep.all():
        notes.append(f"{int((~keep).sum())} samples repeated with equal values dropped")
    if differing:
        notes.append(
            f"{len(differing)} samples stand more than once with different values "
            f"({', '.join(differing[:3])}); they cannot be chosen"
        )
    names = [str(unique[code]) for code, kept in zip(codes, keep, strict=True) if kept]
    return (values if keep.all() else values[keep]), names, notes


def _assemble(
    values: NDArray[np.float32],
    samples: list[str],
    var: pd.DataFrame,
    record: dict[str, Any],
) -> anndata.AnnData:
    """Put the parts together under unique row names."""
    times = pd.Series(samples, dtype=object).groupby(samples, sort=False).cumcount()
    index = [
        name if n == 0 else f"{name} #{n + 1}"
        for name, n in zip(samples, times, strict=True)
    ]
    obs = pd.DataFrame(
        {"sample": np.array(samples, dtype=object)}, index=pd.Index(index, dtype=object)
    )
    return anndata.AnnData(
        X=np.ascontiguousarray(values, dtype=np.float32),
        obs=obs,
        var=var,
        uns={"mmsubtype": record},
    )
