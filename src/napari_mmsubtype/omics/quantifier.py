"""Genes of one sample, as RSEM, Salmon, kallisto, StringTie and STAR write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.delimited import read_rows
from napari_mmsubtype.omics.packed_file import read_head
from napari_mmsubtype.omics.reading import Reading
from napari_mmsubtype.omics.text_layout import Layout
from napari_mmsubtype.omics.unit_detection import UnitFinding
from napari_mmsubtype.omics.units import UNITS, parse_unit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TRANSCRIPT = re.compile(r"ENST[0-9]{11}")
_ENDINGS = re.compile(
    r"\.(genes\.results|quant\.genes\.sf|quant\.sf|sf|ReadsPerGene\.out\.tab|tab|tsv|txt"
    r"|gz|bz2|xz)$",
    re.IGNORECASE,
)
_OWN_NAMES = {"quant", "quant.genes", "abundance", "gene_abund", "gene_abundance"}
_STAR_HEADER = ("gene", "unstranded", "stranded_first", "stranded_second")


@dataclass(frozen=True, slots=True)
class Quantifier:
    """A program, and the columns that it writes.

    Attributes
    ----------
    name : str
        Of the program.
    marks : tuple of str
        Columns that no other kind of table has together.
    gene : str
        Column of the genes.
    columns : mapping of str to str
        Column by unit; the first is taken by default.
    symbol : str or None
        Column of gene symbols.
    """

    name: str
    marks: tuple[str, ...]
    gene: str
    columns: Mapping[str, str]
    symbol: str | None = None


_STAR = Quantifier("STAR", (), "gene", {"counts": "unstranded"})
_QUANTIFIERS = (
    Quantifier(
        "RSEM",
        ("gene_id", "effective_length", "expected_count", "TPM"),
        "gene_id",
        {"tpm": "TPM", "fpkm": "FPKM", "counts": "expected_count"},
    ),
    Quantifier(
        "Salmon",
        ("Name", "EffectiveLength", "TPM", "NumReads"),
        "Name",
        {"tpm": "TPM", "counts": "NumReads"},
    ),
    Quantifier(
        "kallisto",
        ("target_id", "eff_length", "est_counts", "tpm"),
        "target_id",
        {"tpm": "tpm", "counts": "est_counts"},
    ),
    Quantifier(
        "StringTie",
        ("Gene ID", "Gene Name", "Coverage", "FPKM", "TPM"),
        "Gene ID",
        {"tpm": "TPM", "fpkm": "FPKM"},
        "Gene Name",
    ),
)


def find_quantifier(line: str) -> Quantifier | None:
    """Recognise a program by the first line of its output.

    Parameters
    ----------
    line : str
        Without its end.

    Returns
    -------
    Quantifier or None
        None where it is no such output.
    """
    cells = [cell.strip() for cell in line.split("\t")]
    if cells[0] == "N_unmapped" and len(cells) == len(_STAR_HEADER):
        return _STAR
    fitting = (q for q in _QUANTIFIERS if set(q.marks) <= set(cells))
    return next(fitting, None)


def read_quantifier(path: Path, unit: str | None) -> Reading:
    """Read the genes of one sample.

    Parameters
    ----------
    path : Path
        Begins as `find_quantifier` knows.
    unit : str or None
        ``tpm``, ``fpkm`` or ``counts``, where the program writes it; None takes the
        first of these.

    Returns
    -------
    Reading
        One sample, named by the file, or by its folder where programs call every file
        alike (``quant.sf``).

    Raises
    ------
    TableReadError
        If the file is damaged or lists transcripts.
    ConfigurationError
        If the program does not write this unit.
    """
    first = read_head(path).decode("utf-8", "replace").partition("\n")[0].rstrip("\r")
    program = find_quantifier(first)
    if program is None:
        msg = f"{path.name!r} is no output of a program that quantifies genes"
        raise TableReadError(msg)
    wanted = (
        next(iter(program.columns))
        if unit is None
        else parse_unit(unit, Modality.RNA).name
    )
    column = program.columns.get(wanted)
    if column is None:
        msg = (
            f"{path.name!r} is the output of {program.name}, which has no {wanted}; "
            f"{pass_option('unit', *program.columns)}"
        )
        raise ConfigurationError(msg)
    header = tuple(cell.strip() for cell in first.split("\t"))
    skip = 1
    if program is _STAR:
        header, skip = _STAR_HEADER, 0
    text = [header.index(program.gene)]
    if program.symbol is not None:
        text.append(header.index(program.symbol))
    raw = read_rows(
        path, Layout("utf-8", "\t", header, skip, ()), text, [header.index(column)]
    )
    labels = raw.text.iloc[:, 0].fillna("")
    kept = ~labels.str.startswith("N_").to_numpy(dtype=bool)
    genes = labels[kept].tolist()
    if any(_TRANSCRIPT.match(gene) for gene in genes[:50]):
        msg = (
            f"{path.name!r} lists transcripts (such as {genes[0]!r}), not genes; sum "
            "them by gene (tximport, or --geneMap of Salmon) and give that table"
        )
        raise TableReadError(msg)
    beside = None
    if program.symbol is not None:
        symbols = raw.text.iloc[:, 1].fillna("").to_numpy(dtype=object)
        beside = pd.DataFrame({"symbol": np.where(symbols == "-", "", symbols)[kept]})
    name = _sample_name(path)
    return Reading(
        [name],
        genes,
        np.ascontiguousarray(raw.values[kept].T),
        (f"{program.name}, one sample, named {name!r} by its file",),
        beside,
        unit=UnitFinding(UNITS[wanted], f"column {column!r}"),
        hint=path.name,
    )


def _sample_name(path: Path) -> str:
    """Name a sample by its file without what programs append."""
    name = path.name
    while (shorter := _ENDINGS.sub("", name)) not in {name, ""}:
        name = shorter
    return path.absolute().parent.name if name.casefold() in _OWN_NAMES else name
