"""A cohort as its user writes it down: one row per slide, checked as a whole."""

from __future__ import annotations

import csv
import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.workflows.manifest_faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_mmsubtype.workflows.cohort_targets import Target

NEEDED = ("patient_id", "label")
OWN_COLUMNS = ("slide", "mpp")
"""Columns in which the rows of one patient may differ."""

SPLITS = ("train", "test")
_PLAUSIBLE_MPP = (0.05, 20.0)
_DELIMITERS = (",", "\t", ";")
_SYNTHETIC = "synthetic:"


@dataclass(frozen=True, slots=True)
class SlideEntry:
    """A slide of a manifest.

    Attributes
    ----------
    path : str
        Absolute, or a ``synthetic:`` address.
    mpp : float or None
        Microns per pixel, where the manifest says so.
    line : int
        Of the manifest, from 1.
    """

    path: str
    mpp: float | None
    line: int


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient of a manifest.

    Attributes
    ----------
    id : str
        As written.
    label : str
        Name of the class; empty where not known.
    site : str
        Empty where not known.
    slides : tuple of SlideEntry
        May be empty.
    fold : int or None
        Where the manifest gives folds.
    split : str or None
        ``train`` or ``test``, where the manifest has a fixed test set.
    targets : mapping of str to tuple of float
        Answers to heads other than the classes; NaN where not known.
    line : int
        First line of the patient.
    person : str
        Of whom the case is, where cases are images; empty where they are patients.
    """

    id: str
    label: str
    site: str
    slides: tuple[SlideEntry, ...]
    fold: int | None
    split: str | None
    targets: Mapping[str, tuple[float, ...]]
    line: int
    person: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A cohort.

    Attributes
    ----------
    path : Path
        The file, absolute.
    digest : str
        SHA-256 of its content.
    columns : tuple of str
        Of the file, in lower case.
    patients : tuple of Patient
        In the order in which they first appear.
    """

    path: Path
    digest: str
    columns: tuple[str, ...]
    patients: tuple[Patient, ...] = field(repr=False)

    @property
    def slides(self) -> tuple[SlideEntry, ...]:
        """Every slide, in the order of the file."""
        found = [slide for patient in self.patients for slide in patient.slides]
        return tuple(sorted(found, key=lambda slide: slide.line))


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


def read_manifest(
    path: str | Path,
    *,
    labels: Sequence[str] | None = None,
    questions: Callable[[Sequence[str]], Sequence[Target]] | None = None,
    mpp: float | None = None,
) -> Manifest:
    """Read a manifest and check it as a whole.

    Parameters
    ----------
    path : str or Path
        CSV with commas, semicolons or tabs, UTF-8, with a header.
    labels : sequence of str or None, default: None
        Classes that a label may name; None takes any.
    questions : callable, optional
        Gives the further questions whose answers the manifest must hold, for the
        columns that it has; see `cohort_targets.head_targets`.
    mpp : float or None, default: None
        Microns per pixel of slides whose row has none.

    Returns
    -------
    Manifest
        One entry per patient.

    Raises
    ------
    ConfigurationError
        With every fault and its lines.
    """
    file = Path(path).expanduser().absolute()
    faults = Faults(file)
    content = _read(file)
    columns, rows = _rows(content.decode("utf-8-sig"), faults)
    is_whole = not len(faults)
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        if not row["patient_id"]:
            faults.add("patient_id is empty", row.line)
            continue
        groups.setdefault(row["patient_id"], []).append(row)
    _check_names(groups, faults)
    _check_slides(rows, file.parent, faults)
    targets = () if questions is None else questions(columns)
    for target in targets:
        if absent := [name for name in target.columns if name not in columns]:
            faults.add(
                f"the head {target.name!r} needs the columns "
                f"{', '.join(target.columns)}; {', '.join(absent)} "
                f"{'is' if len(absent) == 1 else 'are'} not there"
            )
    askable = [t for t in targets if all(name in columns for name in t.columns)]
    patients = [
        _patient(name, group, file.parent, columns, labels, askable, mpp, faults)
        for name, group in groups.items()
    ]
    if is_whole:
        # Rows that cannot be read may be those that the cohort would lack.
        _check_groups(patients, columns, faults)
    faults.raise_any()
    return Manifest(
        file, hashlib.sha256(content).hexdigest(), tuple(columns), tuple(patients)
    )


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        msg = f"manifest {str(path)!r} is not text in UTF-8; save it as CSV, UTF-8"
        raise ConfigurationError(msg) from err
    except OSError as err:
        msg = (
            f"manifest {str(path)!r} cannot be read ({err.strerror or err}); give a "
            "CSV file with the columns patient_id, label, slide, site"
        )
        raise ConfigurationError(msg) from err
    return content


def _rows(text: str, faults: Faults) -> tuple[list[str], list[_Row]]:
    """Split the text into rows; blank lines are passed over, and odd ones noted."""
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    columns: list[str] = []
    rows = []
    start = 1
    for cells in reader:
        line, start = start, reader.line_num + 1
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if not columns:
            columns = [cell.lower() for cell in cells]
            continue
        if len(cells) != len(columns):
            faults.add(f"a row needs {len(columns)} cells, as the header has", line)
            continue
        rows.append(_Row(line, dict(zip(columns, cells, strict=True))))
    twice = sorted({c for c in columns if c and columns.count(c) > 1})
    if twice:
        faults.add(f"columns {', '.join(twice)} stand more than once", 1)
    if absent := [name for name in NEEDED if name not in columns]:
        found = ", ".join(filter(None, columns)) or "nothing"
        faults.add(f"the columns {', '.join(absent)} are needed, found {found}", 1)
    elif not rows and not len(faults):
        faults.add("it holds no patient")
    if twice or absent or not rows:
        faults.raise_any()
    return columns, rows


def _check_names(groups: Mapping[str, list[_Row]], faults: Faults) -> None:
    """Look for one patient under two spellings."""
    spellings: dict[str, list[str]] = {}
    for name in groups:
        spellings.setdefault(re.sub(r"\s+", "", name).casefold(), []).append(name)
    for alike in spellings.values():
        if len(alike) > 1:
            lines = [row.line for name in alike for row in groups[name]]
            named = ", ".join(map(repr, alike))
            faults.add(f"{named} differ in case or spaces only; use one of them", lines)


def _check_slides(rows: Sequence[_Row], folder: Path, faults: Faults) -> None:
    """Look for slides that are not there, or there twice."""
    seen: dict[str, list[_Row]] = {}
    for row in rows:
        if not row["slide"]:
            continue
        path = _located(row["slide"], folder)
        seen.setdefault(path, []).append(row)
        if not path.startswith(_SYNTHETIC) and not Path(path).exists():
            faults.add(f"slide {row['slide']!r} is not there", row.line)
    for path, same in seen.items():
        if len(same) > 1:
            faults.add(f"slide {path!r} stands more than once", [r.line for r in same])


def _patient(
    name: str,
    group: Sequence[_Row],
    folder: Path,
    columns: Sequence[str],
    labels: Sequence[str] | None,
    targets: Sequence[Target],
    mpp: float | None,
    faults: Faults,
) -> Patient:
    """Put the rows of one patient together."""
    first, lines = group[0], [row.line for row in group]
    for column in columns:
        if column not in OWN_COLUMNS and len({row[column] for row in group}) > 1:
            found = ", ".join(dict.fromkeys(repr(row[column]) for row in group))
            faults.add(f"rows of {name!r} differ in {column}: {found}", lines)
    bare = [row.line for row in group if not row["slide"]]
    if bare and len(group) > 1:
        faults.add(f"{name!r} has several rows; each must name a slide", bare)
    label = first["label"]
    if labels is not None and label and label not in labels:
        faults.add(
            f"label {label!r} is no class of the preset, which tells apart "
            f"{', '.join(labels)}; leave these patients out, or change the classes",
            lines,
        )
    slides = tuple(
        SlideEntry(_located(row["slide"], folder), _mpp(row, mpp, faults), row.line)
        for row in group
        if row["slide"]
    )
    answers: dict[str, tuple[float, ...]] = {}
    for target in targets:
        try:
            answers[target.name] = target.parse(first.cells)
        except ValueError as err:
            faults.add(str(err), first.line)
    return Patient(
        name,
        label,
        first["site"],
        slides,
        _fold(first, faults),
        _split(first, faults),
        answers,
        first.line,
    )


def _mpp(row: _Row, usual: float | None, faults: Faults) -> float | None:
    text = row["mpp"]
    if not text:
        return usual
    try:
        mpp = float(text)
    except ValueError:
        mpp = math.nan
    low, high = _PLAUSIBLE_MPP
    if not low <= mpp <= high:
        faults.add(f"mpp must be {low} to {high:g} um per pixel, found {text!r}",
                   row.line)  # fmt: skip
        return None
    return mpp


def _fold(row: _Row, faults: Faults) -> int | None:
    text = row["fold"]
    if not text:
        return None
    if not text.isdecimal():
        faults.add(f"fold must be a whole number from 0, found {text!r}", row.line)
        return None
    return int(text)


def _split(row: _Row, faults: Faults) -> str | None:
    text = row["split"].lower()
    if text and text not in SPLITS:
        faults.add(f"split must be train or test, found {row['split']!r}", row.line)
        return None
    return text or None


def _check_groups(
    patients: Sequence[Patient], columns: Sequence[str], faults: Faults
) -> None:
    """Check the folds and the test set of the whole cohort."""
    folds = [p.fold for p in patients]
    splits = [p.split for p in patients]
    given = {
        "fold": any(f is not None for f in folds),
        "split": any(s is not None for s in splits),
    }
    if all(given.values()):
        faults.add("fold and split are both given; remove one of the columns")
    for name, values in (("fold", folds), ("split", splits)):
        if given[name] and None in values:
            lines = [p.line for p, v in zip(patients, values, strict=True) if v is None]
            faults.add(f"{name} must be given for all patients or for none", lines)
    numbers = sorted({f for f in folds if f is not None})
    if given["fold"] and numbers != list(range(max(len(numbers), 2))):
        faults.add(f"folds must be numbered 0, 1, 2, ... without gaps, found {numbers}")
    if given["split"] and {s for s in splits if s} != set(SPLITS):
        faults.add("split needs patients of both train and test")
    if patients and not any(p.label for p in patients):
        faults.add("no patient has a label")


def _located(text: str, folder: Path) -> str:
    """Make a path absolute."""
    if text.startswith(_SYNTHETIC):
        return text
    return str((folder / Path(text).expanduser()).absolute())
