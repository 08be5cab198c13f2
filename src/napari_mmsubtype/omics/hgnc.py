"""Gene names of the HGNC: today's symbols, earlier ones, and other identifiers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pooch

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.delimited import read_delimited
from napari_mmsubtype.omics.omics_file import RECORD

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    import anndata

HGNC_ADDRESS = (
    "https://storage.googleapis.com/public-download-files/hgnc/tsv/tsv/"
    "hgnc_complete_set.txt"
)
"""The complete set, renewed by the HGNC every week (CC0)."""

_COLUMNS = ("symbol", "ensembl_gene_id", "entrez_id", "alias_symbol", "prev_symbol")


@dataclass(frozen=True, slots=True, eq=False)
class GeneNames:
    """Every approved gene with its identifiers.

    Attributes
    ----------
    frame : DataFrame of str
        Index the approved symbols; ``ensembl``, ``entrez``, and ``previous`` and
        ``aliases`` joined by ``|``; empty where there is none.
    source : str
        Path or address.
    sha256 : str
        Of the file, to give again as `load_hgnc`'s checksum.
    """

    frame: pd.DataFrame
    source: str
    sha256: str

    def approved(self, name: str) -> str | None:
        """Find the approved symbol of a gene.

        Parameters
        ----------
        name : str
            Approved, previous or alias symbol, Ensembl or Entrez identifier.

        Returns
        -------
        str or None
            None where no gene, or more than one, can be meant.
        """
        return self._approved([name])[0]

    def identifiers(self, names: Sequence[str]) -> pd.DataFrame:
        """Tabulate what a model should know of its genes.

        Parameters
        ----------
        names : sequence of str
            Features' names.

        Returns
        -------
        DataFrame of str
            Index the names; ``ensembl``, ``entrez`` and ``aliases`` (all other symbols
            of the gene, joined by ``|``), for `preprocessing.fit_modality`.
        """
        approved = self._approved(names)
        rows = []
        for name, symbol in zip(names, approved, strict=True):
            if symbol is None:
                rows.append(("", "", ""))
                continue
            gene = {key: str(value) for key, value in self.frame.loc[symbol].items()}
            words = [symbol, *gene["previous"].split("|"), *gene["aliases"].split("|")]
            others = [w for w in dict.fromkeys(words) if w and w != name]
            rows.append((gene["ensembl"], gene["entrez"], "|".join(others)))
        return pd.DataFrame(
            rows,
            index=pd.Index(list(names), dtype=object),
            columns=["ensembl", "entrez", "aliases"],
            dtype=object,
        )

    def complete(self, table: anndata.AnnData) -> anndata.AnnData:
        """Fill the identifiers that a table does not give.

        Parameters
        ----------
        table : AnnData
            As `table.read_omics`; left as it is.

        Returns
        -------
        AnnData
            A copy in which ``var`` has the ``symbol``, ``ensembl`` and ``entrez`` of
            every gene that the HGNC knows; what the table gave is kept.
        """
        filled = table.copy()
        var = pd.DataFrame(filled.var).copy()
        given = [
            next((str(row[c]) for c in ("ensembl", "entrez", "symbol") if row[c]), "")
            for row in var[["symbol", "ensembl", "entrez"]].to_dict("records")
        ]
        symbols = pd.Series(self._approved(given), dtype=object)
        known = symbols.notna().to_numpy()
        genes = self.frame.reindex(symbols[known].tolist())
        found = {"symbol": genes.index, "ensembl": genes["ensembl"]}
        found["entrez"] = genes["entrez"]
        changed = np.zeros(len(var), dtype=bool)
        for column, values in found.items():
            offered = np.full(len(var), "", dtype=object)
            offered[known] = np.asarray(values, dtype=object)
            empty = (var[column].to_numpy() == "") & (offered != "")
            var.loc[empty, column] = offered[empty]
            changed |= empty
        filled.var = var
        record = dict(filled.uns[RECORD])
        record["steps"] = [
            *record["steps"],
            f"identifiers of {int(changed.sum())} genes completed by the HGNC "
            f"({self.source}, sha256 {self.sha256[:12]})",
        ]
        filled.uns[RECORD] = record
        return filled

    def _approved(self, names: Iterable[str]) -> list[str | None]:
        """Find approved symbols; the surer ways come first."""
        ways = (
            {symbol: symbol for symbol in self.frame.index},
            _unambiguous(self.frame["ensembl"]),
            _unambiguous(self.frame["entrez"]),
            _unambiguous(self.frame["previous"]),
            _unambiguous(self.frame["aliases"]),
        )
        return [
            next((way[name] for way in ways if way.get(name)), None) for name in names
        ]


def load_hgnc(
    path: str | os.PathLike[str] | None = None,
    *,
    sha256: str | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> GeneNames:
    """Load the gene names of the HGNC.

    Nothing else in this package needs them, or the network. A download is kept; its
    checksum is written beside it at the first time and must be the same afterwards.

    Parameters
    ----------
    path : path, address or None, default: None
        ``hgnc_complete_set.txt``, or an address that begins with ``https://``; None
        takes the HGNC's own.
    sha256 : str or None, default: None
        Expected checksum of the file; None takes the one of the first download.
    cache : path or None, default: None
        Folder for downloads; None takes the user's cache folder.

    Returns
    -------
    GeneNames
        Approved genes.

    Raises
    ------
    TableReadError
        If the file cannot be fetched, has another checksum, or lacks a column.
    """
    address = HGNC_ADDRESS if path is None else str(path)
    if address.startswith(("http://", "https://")):
        folder = (
            Path(cache)
            if cache is not None
            else Path(pooch.os_cache("napari-mmsubtype"))
        )
        file = _fetch(address, sha256, folder)
    else:
        file = Path(address)
    text = read_delimited(file, numeric=False).text
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if sha256 is not None and digest != sha256.casefold():
        msg = (
            f"{file.name!r} has the checksum {digest}, not {sha256}; fetch the version "
            "meant, or pass its checksum"
        )
        raise TableReadError(msg)
    lacking = [column for column in _COLUMNS if column not in text]
    if lacking:
        msg = (
            f"{file.name!r} has no column {lacking[0]!r}; expected the HGNC's complete "
            f"set ({HGNC_ADDRESS})"
        )
        raise TableReadError(msg)
    rows = text.fillna("").astype(object)
    if "status" in rows:
        rows = rows[rows["status"] == "Approved"]
    frame = pd.DataFrame(
        {
            "ensembl": rows["ensembl_gene_id"].to_numpy(),
            "entrez": rows["entrez_id"].to_numpy(),
            "previous": rows["prev_symbol"].to_numpy(),
            "aliases": rows["alias_symbol"].to_numpy(),
        },
        index=pd.Index(rows["symbol"], dtype=object, name="symbol"),
    )
    return GeneNames(frame[~frame.index.duplicated()], address, digest)


def _fetch(address: str, sha256: str | None, folder: Path) -> Path:
    """Take a file from the cache, or download it, and check it."""
    name = address.rpartition("/")[2]
    note = folder / f"{name}.sha256"
    expected = sha256
    if expected is None and note.is_file():
        expected = note.read_text(encoding="ascii").strip()
    try:
        file = Path(pooch.retrieve(address, expected, fname=name, path=folder))
        if not note.is_file():
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            note.write_text(digest, encoding="ascii")
    except ValueError as err:
        msg = (
            f"{address} does not have the checksum {expected} (any more); if a newer "
            f"version is meant, delete {str(note)!r} and {name!r} beside it"
        )
        raise TableReadError(msg) from err
    except OSError as err:
        reason = (str(err).splitlines() or [type(err).__name__])[0][:120]
        msg = (
            f"cannot fetch {address} ({reason}); download it elsewhere and pass its "
            "path"
        )
        raise TableReadError(msg) from err
    return file


def _unambiguous(column: pd.Series) -> dict[str, str]:
    """Map words, several per cell, to the one symbol they can mean."""
    found: dict[str, str] = {}
    refused = set()
    for symbol, cell in column.items():
        for word in str(cell).split("|"):
            if word and found.setdefault(word, str(symbol)) != symbol:
                refused.add(word)
    return {word: symbol for word, symbol in found.items() if word not in refused}
