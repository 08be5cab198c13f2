"""A download from the GDC: one file per sample, named by the sample sheet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.core.table_files import FileKind
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.file_kind import recognize
from napari_mmsubtype.omics.gdc_file import (
    OneSample,
    modality_of,
    read_one_sample,
    star_column,
)
from napari_mmsubtype.omics.gdc_replicates import mark_replicates
from napari_mmsubtype.omics.gdc_sheet import find_sheet, name_files
from napari_mmsubtype.omics.methylation_probes import recognize_platform
from napari_mmsubtype.omics.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_SUFFIXES = (".tsv", ".txt", ".gz", ".bz2", ".xz", ".zip")
_NOT_DATA = ("manifest", "annotations", "gdc_sample_sheet", "gdc_manifest")
_LISTS = ("gdc_sample_sheet", "gdc_manifest", "manifest")
# A project's folder, the download in it, one folder per file.
_DEPTHS = ("*", "*/*", "*/*/*")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class GdcFiles:
    """The files of one modality.

    Attributes
    ----------
    modality : Modality
        RNA or methylation.
    kind : FileKind
        ``STAR`` or ``PAIRS``.
    files : tuple of Path
        In the order of their names.
    sheet : Path or None
        The sample sheet.
    is_named : bool
        The caller named the sheet, or it lies among the files.
    """

    modality: Modality
    kind: FileKind
    files: tuple[Path, ...]
    sheet: Path | None
    is_named: bool = True


def find_gdc_files(path: Path, modality: Modality | None) -> GdcFiles:
    """Find the files of a download and its sample sheet.

    Parameters
    ----------
    path : Path
        A folder (its sub-folders are searched too), the sample sheet in such a folder,
        or one file.
    modality : Modality or None
        Chooses where the folder holds both RNA and methylation.

    Returns
    -------
    GdcFiles
        The sheet is looked for in the folder, then beside it.

    Raises
    ------
    TableReadError
        If there is no such file, or several sheets.
    ConfigurationError
        If it holds RNA and methylation and none was chosen.
    """
    if path.is_dir():
        folder, sheet = path, None
    else:
        is_sheet = recognize(path) is FileKind.SAMPLE_SHEET
        folder, sheet = path.parent, path if is_sheet else None
    candidates = _candidates(folder) if path.is_dir() or sheet else [path]
    found: dict[tuple[Modality, FileKind], list[Path]] = {}
    for file in candidates:
        kind = recognize(file)
        if kind in {FileKind.STAR, FileKind.PAIRS}:
            found.setdefault((modality_of(file, kind), kind), []).append(file)
    if modality is not None:
        found = {key: files for key, files in found.items() if key[0] is modality}
    if not found:
        raise TableReadError(_nothing(folder, modality, candidates))
    if len(found) > 1:
        listed = "; ".join(f"{len(f)} of {m} ({k})" for (m, k), f in found.items())
        kinds = dict.fromkeys(str(m) for m, _ in found)
        msg = (
            f"{str(folder)!r} holds files of several kinds: {listed}; "
            f"{pass_option('modality', *kinds)}, or give a folder with one kind alone"
        )
        raise ConfigurationError(msg)
    ((chosen, kind), files), *_ = found.items()
    if sheet is not None:
        return GdcFiles(chosen, kind, tuple(files), sheet)
    sheet = find_sheet([folder, *list(folder.absolute().parents)[: 1 + path.is_file()]])
    named = sheet is not None and sheet.parent == folder
    return GdcFiles(chosen, kind, tuple(files), sheet, named)


def read_gdc(found: GdcFiles, unit: str | None) -> Reading:
    """Read the files of a download as one table.

    Parameters
    ----------
    found : GdcFiles
        As `find_gdc_files`.
    unit : str or None
        Chooses the column of STAR files, see `gdc_file.star_column`.

    Returns
    -------
    Reading
        Samples × all features of any file, NaN where a file lacks one; ``obs`` as
        `gdc_sheet.NamedFiles` and `gdc_replicates.mark_replicates` give it.

    Raises
    ------
    TableReadError
        If a file is damaged, or the sheet lists none of them.
    """
    column, finding = "value", None
    said = "methylation betas" if found.modality is Modality.METHYLATION else "RNA"
    if found.kind is FileKind.STAR:
        column, finding = star_column(unit)
        said = f"STAR gene counts, column {column!r}"
    steps = [f"GDC: {len(found.files)} files of {said}"]
    named = name_files(found.files, found.sheet, is_named=found.is_named)
    steps += named.notes
    files = [file for file in found.files if file in named.samples]
    samples = [read_one_sample(file, found.kind, column) for file in files]
    values, first, compared = _stacked(samples, files, found.modality)
    steps += compared
    names = [named.samples[file] for file in files]
    obs = named.obs
    if obs is not None:
        obs = obs.loc[[str(file) for file in files]].reset_index(drop=True)
        obs, chosen = mark_replicates(names, obs, found.modality)
        steps += chosen
    beside = None
    if first.symbols is not None:
        beside = pd.DataFrame({"symbol": first.symbols}, dtype=object)
    return Reading(
        names,
        first.features.tolist(),
        values,
        tuple(steps),
        beside,
        obs,
        finding,
        files[0].name,
    )


def _candidates(folder: Path) -> list[Path]:
    """List what may be data, in sub-folders too."""
    return [
        file
        for file in sorted(f for depth in _DEPTHS for f in folder.glob(depth))
        if file.suffix.casefold() in _SUFFIXES
        and not file.name.startswith(".")
        and not file.name.casefold().startswith(_NOT_DATA)
        and "logs" not in file.relative_to(folder).parts[:-1]
        and file.is_file()
        and file.stat().st_size
    ]


def _nothing(
    folder: Path, modality: Modality | None, candidates: Sequence[Path]
) -> str:
    """Say that a folder holds nothing that can be read together."""
    there = [file.name for file in candidates] or [p.name for p in folder.iterdir()]
    listed = _listed([repr(name) for name in there]) or "nothing"
    what = f"{modality} " if modality else ""
    lists = [p.name for p in folder.iterdir() if p.name.casefold().startswith(_LISTS)]
    if lists and not candidates:
        return (
            f"{str(folder)!r} holds {_listed([repr(n) for n in lists])} but none of "
            "the files listed there; download the cart itself (or run gdc-client with "
            "the manifest) into this folder"
        )
    return (
        f"{str(folder)!r} is a folder without {what}files of the GDC (STAR gene counts "
        f"*.augmented_star_gene_counts.tsv, *.sesame.level3betas.txt); it holds "
        f"{listed}; pass one table file instead"
    )


def _stacked(
    samples: Sequence[OneSample], files: Sequence[Path], modality: Modality
) -> tuple[NDArray[np.float32], OneSample, list[str]]:
    """Bring samples to the same features, and say where they differ."""
    sizes = Counter(len(sample.features) for sample in samples)
    notes = []
    if modality is Modality.METHYLATION:
        # Files of one size are of one array: half a million names are judged once.
        one = {len(sample.features): sample for sample in samples}
        known = {n: recognize_platform(s.features.tolist()) for n, s in one.items()}
        arrays = Counter(
            known[len(sample.features)].platform or "part of an array"
            for sample in samples
        )
        notes.append(
            "arrays: " + ", ".join(f"{n} {name}" for name, n in arrays.items())
        )
    largest = max(samples, key=lambda sample: len(sample.features))
    if all(np.array_equal(s.features, largest.features) for s in samples):
        return np.stack([sample.values for sample in samples]), largest, notes
    usual = sizes.most_common(1)[0][0]
    odd = [
        f"{file.name} has {len(sample.features)}"
        for file, sample in zip(files, samples, strict=True)
        if len(sample.features) != usual
    ]
    notes.append(
        f"files differ in their features: most have {usual}"
        + (f", {_listed(odd)}" if odd else "")
        + "; what a file lacks counts as missing"
    )
    every = pd.Index(largest.features).drop_duplicates()
    for sample in samples:
        new = pd.Index(sample.features).difference(every, sort=False)
        every = every.append(new.drop_duplicates())
    values = np.full((len(samples), len(every)), np.nan, dtype=np.float32)
    symbols = np.full(len(every), "", dtype=object)
    for row, sample in enumerate(samples):
        place = every.get_indexer(pd.Index(sample.features))
        values[row, place] = sample.values
        if sample.symbols is not None:
            symbols[place] = sample.symbols
    union = OneSample(
        every.to_numpy(dtype=object),
        None if largest.symbols is None else symbols,
        values[0],
    )
    return values, union, notes


def _listed(names: Sequence[str]) -> str:
    """Name the first few."""
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
