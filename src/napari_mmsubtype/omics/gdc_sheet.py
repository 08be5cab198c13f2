"""The sample sheet of a GDC download: which file is whose sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.delimited import read_delimited
from napari_mmsubtype.omics.gdc_replicates import read_aliquots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SHEETS = "gdc_sample_sheet*.tsv"
_NOT_SAID = frozenset({"not applicable", "not reported", "unknown", "--", "'--"})
_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class NamedFiles:
    """Files and the samples that they hold.

    Attributes
    ----------
    samples : mapping of Path to str
        Identifier by file.
    obs : DataFrame or None
        By file, as text: ``file`` and, where they are known, ``patient``,
        ``sample_type`` and ``aliquot``. None without a sheet.
    notes : tuple of str
        What the user should know.
    """

    samples: Mapping[Path, str]
    obs: pd.DataFrame | None
    notes: tuple[str, ...]


def find_sheet(places: Sequence[Path]) -> Path | None:
    """Find the sample sheet among the files, or near them.

    Parameters
    ----------
    places : sequence of Path
        Folders, in the order in which they are looked through.

    Returns
    -------
    Path or None
        None where no folder has one.

    Raises
    ------
    TableReadError
        If a folder has several.
    """
    for place in places:
        sheets = sorted(place.glob(_SHEETS))
        if len(sheets) > 1:
            msg = (
                f"{str(place)!r} holds {len(sheets)} sample sheets "
                f"({_listed([s.name for s in sheets])}); pass the one meant as the path"
            )
            raise TableReadError(msg)
        if sheets:
            return sheets[0]
    return None


def name_files(
    files: Sequence[Path], sheet: Path | None, *, is_named: bool = True
) -> NamedFiles:
    """Name files by the sheet, or by themselves where there is none.

    Parameters
    ----------
    files : sequence of Path
        Of one kind.
    sheet : Path or None
        The sample sheet; ``metadata.*.json`` beside them tells the aliquots.
    is_named : bool, default: True
        The sheet is meant for these files; otherwise one that lists none of them is
        left aside.

    Returns
    -------
    NamedFiles
        Without the files that the sheet does not list.

    Raises
    ------
    TableReadError
        If the sheet is none, or lists none of the files that it is meant for.
    """
    if sheet is None:
        return _by_file(files, f"no {_SHEETS} in or beside the folder")
    table = read_delimited(sheet, numeric=False).text
    lacking = [c for c in ("File ID", "File Name", "Sample ID") if c not in table]
    if lacking:
        msg = (
            f"{sheet.name!r} has no column {lacking[0]!r}; download the sample "
            "sheet (not the manifest) of the cart from the GDC portal again"
        )
        raise TableReadError(msg)
    rows = table.fillna("").reset_index(drop=True)
    by_id = {name: row for row, name in enumerate(rows["File ID"])}
    by_name = {_bare(name): row for row, name in enumerate(rows["File Name"])}
    places: dict[Path, int] = {}
    for file in files:
        row = by_name.get(_bare(file.name), by_id.get(file.parent.name))
        if row is not None:
            places[file] = row
    if not places and not is_named:
        return _by_file(files, f"{sheet.name!r} lists none of the files")
    if not places:
        msg = (
            f"{sheet.name!r} lists none of the {len(files)} files (such as "
            f"{files[0].name!r}); give the sheet that was downloaded with them"
        )
        raise TableReadError(msg)
    names = {file: _once(str(rows["Sample ID"][row])) for file, row in places.items()}
    kinds = {_bare(file.name).partition(".")[2] for file in files}
    wanted = [
        row
        for row, name in enumerate(rows["File Name"])
        if _bare(name).partition(".")[2] in kinds
    ]
    absent = [str(rows["Sample ID"][r]) for r in wanted if r not in places.values()]
    foreign = [file.name for file in files if file not in places]
    notes = [f"samples named by {sheet.name!r}"]
    if absent:
        notes.append(
            f"{len(absent)} samples of the sheet have no file here ({_listed(absent)})"
        )
    if foreign:
        notes.append(
            f"{len(foreign)} files are not in the sheet and were left aside "
            f"({_listed(foreign)})"
        )
    aliquots = read_aliquots({sheet.parent, *(file.parent for file in files)})
    return NamedFiles(names, _obs(rows, places, aliquots), tuple(notes))


def _by_file(files: Sequence[Path], reason: str) -> NamedFiles:
    """Name the samples by their files, for want of a sheet."""
    note = (
        f"{reason}: samples are named by their files; download the sample sheet of the "
        "cart to name them by barcode"
    )
    names = {file: file.name.partition(".")[0] for file in files}
    return NamedFiles(names, None, (note,))


def _obs(
    rows: pd.DataFrame, places: dict[Path, int], aliquots: Mapping[str, str]
) -> pd.DataFrame:
    """Keep what is known of the samples, by file."""
    taken = rows.iloc[list(places.values())]
    obs = pd.DataFrame(index=pd.Index([str(file) for file in places], dtype=object))
    if "Case ID" in taken:
        obs["patient"] = taken["Case ID"].map(_once).to_numpy(dtype=object)
    if any(column in taken for column in ("Sample Type", "Tissue Type")):
        kinds = [_kind(row) for _, row in taken.iterrows()]
        obs["sample_type"] = np.array(kinds, dtype=object)
    obs["file"] = np.array([_bare(file.name) for file in places], dtype=object)
    found = [aliquots.get(_bare(file.name), "") for file in places]
    if any(found):
        obs["aliquot"] = np.array(found, dtype=object)
    return obs


def _kind(row: pd.Series) -> str:
    """Say what a sample is: newer sheets have tissue and descriptor instead."""
    known = _once(str(row.get("Sample Type", "")))
    if known:
        return known
    tissue = _once(str(row.get("Tissue Type", "")))
    descriptor = _once(str(row.get("Tumor Descriptor", "")))
    if descriptor.casefold() in _NOT_SAID:
        descriptor = ""
    return f"{descriptor} {tissue}".strip()


def _bare(name: str) -> str:
    """Drop the ending of a packed file: the sheet may name it unpacked."""
    for suffix in (".gz", ".bz2", ".xz", ".zip"):
        name = name.removesuffix(suffix)
    return name


def _once(text: str) -> str:
    """Write a name that the sheet repeats once per analyte only once."""
    return ", ".join(dict.fromkeys(part.strip() for part in text.split(",")))


def _listed(names: Sequence[str]) -> str:
    """Name the first few."""
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
