"""Gene sets: lists of genes under a name, in GMT files."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import TableReadError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

_GZIP_MAGIC = b"\x1f\x8b"
# Enrichr writes a weight behind each gene: "ESR1,1.0".
_WEIGHT = re.compile(r",-?[0-9.]+$")
_MIN_FIELDS = 3


@dataclass(frozen=True, slots=True)
class GeneSet:
    """Genes that belong together.

    Attributes
    ----------
    name : str
        Unique in its file, for example ``"HALLMARK_ESTROGEN_RESPONSE_EARLY"``.
    description : str
        Often an address; may be empty.
    genes : tuple of str
        Symbols, or Ensembl or Entrez identifiers, each once.
    """

    name: str
    description: str
    genes: tuple[str, ...]


def read_gmt(path: str | os.PathLike[str]) -> tuple[GeneSet, ...]:
    """Read a GMT file, as MSigDB, Reactome and Enrichr give.

    Each line is a set: name, description and genes, separated by tabs.

    Parameters
    ----------
    path : str or path-like
        Plain or gzipped text.

    Returns
    -------
    tuple of GeneSet
        In the order of the file; a gene that a line repeats is kept once.

    Raises
    ------
    TableReadError
        If the file cannot be read, is no GMT, or names a set twice.
    """
    source = Path(path)
    sets: dict[str, GeneSet] = {}
    for number, line in enumerate(_read_lines(source), start=1):
        if not line.strip():
            continue
        fields = line.rstrip("\r\n").split("\t")
        name = fields[0].strip()
        genes = tuple(
            dict.fromkeys(
                gene for cell in fields[2:] if (gene := _WEIGHT.sub("", cell.strip()))
            )
        )
        if len(fields) < _MIN_FIELDS or not name or not genes:
            msg = (
                f"line {number} of {source.name!r} is no gene set ({line[:60]!r}); "
                "expected a name, a description and at least one gene, separated by "
                "tabs (GMT)"
            )
            raise TableReadError(msg)
        if name in sets:
            msg = (
                f"{source.name!r} holds gene set {name!r} twice (again on line "
                f"{number}); rename one of them"
            )
            raise TableReadError(msg)
        sets[name] = GeneSet(name, fields[1].strip(), genes)
    if not sets:
        msg = f"{source.name!r} holds no gene set; expected a GMT file"
        raise TableReadError(msg)
    return tuple(sets.values())


def write_gmt(path: str | os.PathLike[str], sets: Iterable[GeneSet]) -> Path:
    """Write gene sets as a GMT file.

    Parameters
    ----------
    path : str or path-like
        Plain text, or gzipped where it ends in ``.gz``; replaced if it exists.
    sets : iterable of GeneSet
        Names, descriptions and genes without tabs and line breaks.

    Returns
    -------
    Path
        The file; equal sets give equal bytes.

    Raises
    ------
    ValueError
        If a set has no gene, or a text holds a tab or a line break.
    """
    target = Path(path)
    lines = []
    for entry in sets:
        fields = (entry.name, entry.description, *entry.genes)
        if not entry.genes or any(re.search(r"[\t\r\n]", text) for text in fields):
            msg = (
                f"gene set {entry.name!r} is empty or holds a tab or a line break; "
                "GMT cannot keep it"
            )
            raise ValueError(msg)
        lines.append("\t".join(fields) + "\n")
    content = "".join(lines).encode()
    if target.suffix == ".gz":
        # Without a fixed time, gzip would make equal sets differ.
        content = gzip.compress(content, mtime=0)
    target.write_bytes(content)
    return target


def _read_lines(source: Path) -> list[str]:
    """Read a file as lines of text."""
    try:
        content = source.read_bytes()
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
        return content.decode("utf-8-sig").splitlines()
    except (OSError, EOFError) as err:
        reason = getattr(err, "strerror", None) or str(err)
        msg = f"gene sets {str(source)!r} cannot be read ({reason}); give a GMT file"
        raise TableReadError(msg) from err
    except UnicodeDecodeError as err:
        msg = f"{source.name!r} is not text; expected a GMT file, plain or gzipped"
        raise TableReadError(msg) from err
