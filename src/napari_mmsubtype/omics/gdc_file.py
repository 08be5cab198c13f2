"""Files of one sample from the GDC portal: STAR gene counts, SeSAMe betas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.core.table_files import FileKind
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.delimited import read_rows
from napari_mmsubtype.omics.feature_names import is_probe
from napari_mmsubtype.omics.packed_file import read_head
from napari_mmsubtype.omics.text_layout import Layout
from napari_mmsubtype.omics.unit_detection import UnitFinding
from napari_mmsubtype.omics.units import UNITS, parse_unit

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

STAR_COLUMNS = {
    "tpm_unstranded": "tpm",
    "fpkm_unstranded": "fpkm",
    "fpkm_uq_unstranded": "fpkm",
    "unstranded": "counts",
    "stranded_first": "counts",
    "stranded_second": "counts",
}
"""Columns of values in a STAR file and their units; the first is taken by default."""


@dataclass(frozen=True, slots=True, eq=False)
class OneSample:
    """The values of one sample.

    Attributes
    ----------
    features : ndarray of str, shape (m,)
        Ensembl identifiers or probes, as written.
    symbols : ndarray of str or None, shape (m,)
        Gene symbols, where the file gives them.
    values : ndarray of float32, shape (m,)
        NaN where missing.
    """

    features: NDArray[np.object_]
    symbols: NDArray[np.object_] | None
    values: NDArray[np.float32]


def star_column(unit: str | None) -> tuple[str, UnitFinding]:
    """Choose the column of STAR files.

    Parameters
    ----------
    unit : str or None
        A unit (``tpm``, ``fpkm``, ``fpkm-uq``, ``counts``) or a column's own name;
        None takes ``tpm_unstranded``.

    Returns
    -------
    column : str
        A key of `STAR_COLUMNS`.
    finding : UnitFinding
        Its unit.

    Raises
    ------
    ConfigurationError
        If the files have no such column.
    """
    wanted = "tpm_unstranded" if unit is None else unit.strip().casefold()
    column = {"fpkm-uq": "fpkm_uq_unstranded"}.get(wanted, wanted)
    if column not in STAR_COLUMNS:
        known = parse_unit(wanted, Modality.RNA).name
        fitting = [c for c, name in STAR_COLUMNS.items() if name == known]
        if not fitting:
            units = tuple(dict.fromkeys(STAR_COLUMNS.values()))
            msg = (
                f"GDC STAR files have no column in {unit!r}; "
                f"{pass_option('unit', *units)}"
            )
            raise ConfigurationError(msg)
        column = fitting[0]
    return column, UnitFinding(UNITS[STAR_COLUMNS[column]], f"column {column!r}")


def read_one_sample(path: Path, kind: FileKind, column: str) -> OneSample:
    """Read a file of one sample.

    Parameters
    ----------
    path : Path
        Plain or packed.
    kind : FileKind
        ``STAR`` or ``PAIRS``.
    column : str
        Column of a STAR file.

    Returns
    -------
    OneSample
        Without the summary rows (``N_unmapped``, ``__no_feature`` …).

    Raises
    ------
    TableReadError
        If the file is damaged or lacks the column.
    """
    if kind is FileKind.STAR:
        layout = _star_layout(path, column)
        numbers = [layout.header.index(column)]
        raw = read_rows(path, layout, [0, 1], numbers)
    else:
        raw = read_rows(path, Layout("utf-8", "\t", ("feature", "value"), 0, ()), [0])
    labels = raw.text.iloc[:, 0].fillna("").to_numpy(dtype=object)
    kept = np.array([bool(n) and not n.startswith(("N_", "__")) for n in labels])
    if not kept.any():
        msg = f"{path.name!r} has no gene or probe; fetch it again"
        raise TableReadError(msg)
    symbols = None
    if kind is FileKind.STAR:
        symbols = raw.text.iloc[:, 1].fillna("").to_numpy(dtype=object)[kept]
    return OneSample(labels[kept], symbols, raw.values[kept, 0])


def modality_of(path: Path, kind: FileKind) -> Modality:
    """Tell RNA from methylation by the first feature of a file.

    Parameters
    ----------
    path : Path
        The file.
    kind : FileKind
        ``STAR`` or ``PAIRS``.

    Returns
    -------
    Modality
        Methylation where features are probes.
    """
    if kind is FileKind.STAR:
        return Modality.RNA
    first = read_head(path).decode("latin-1").partition("\t")[0]
    return Modality.METHYLATION if is_probe(first) else Modality.RNA


def _star_layout(path: Path, column: str) -> Layout:
    """Find the header of a STAR file, below its comments."""
    lines = read_head(path).decode("utf-8", "replace").splitlines()
    skip = next(i for i, line in enumerate(lines) if line.startswith("gene_id\t"))
    header = tuple(cell.strip() for cell in lines[skip].split("\t"))
    if column not in header:
        there = [name for name in header if name in STAR_COLUMNS]
        msg = f"{path.name!r} has no column {column!r}; {pass_option('unit', *there)}"
        raise TableReadError(msg)
    return Layout("utf-8", "\t", header, skip + 1, ())
