"""The kinds of files that tables come in, and how they are usually called.

What a file is, its content says; names serve dialogs and help texts only. A kind that
is added to `FileKind` gets its endings here, and every door offers them.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class FileKind(StrEnum):
    """A way to keep a table, with its name in words."""

    FOLDER = "folder"
    HDF5 = "HDF5"
    PARQUET = "Parquet"
    GCT = "GCT"
    STAR = "GDC STAR gene counts"
    PAIRS = "two columns without header"
    SAMPLE_SHEET = "GDC sample sheet"
    QUANTIFIER = "values of one sample"
    DELIMITED = "delimited text"


ENDINGS = MappingProxyType(
    {
        FileKind.DELIMITED: (".csv", ".tsv", ".txt"),
        FileKind.PARQUET: (".parquet",),
        FileKind.GCT: (".gct",),
        FileKind.HDF5: (".h5ad", ".h5mu"),
        FileKind.STAR: (".tsv",),
        FileKind.PAIRS: (".txt", ".counts"),
        FileKind.SAMPLE_SHEET: (".tsv",),
        FileKind.QUANTIFIER: (".results", ".sf", ".tab", ".tsv"),
        FileKind.FOLDER: (),
    }
)
"""How files of each kind are called."""

PACKED = (".gz", ".bz2", ".xz", ".zip")
"""How packed files are called."""

IN_WORDS = (
    "CSV, TSV, GCT or Parquet, also packed (gz, bz2, xz, zip), h5ad, h5mu, or a folder "
    "of GDC files"
)
"""What may be given as a table, for help texts."""


def table_endings() -> tuple[str, ...]:
    """List the endings of every file that may be a table.

    Returns
    -------
    tuple of str
        Each once, with its dot, those of packed files last.
    """
    found = (ending for endings in ENDINGS.values() for ending in endings)
    return tuple(dict.fromkeys((*found, *PACKED)))
