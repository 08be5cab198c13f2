"""The bundles at hand: the one that ships and those of the user's library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle_address import DEMO, library_folder
from napari_mmsubtype.models.bundle_manifest import find_bundle
from napari_mmsubtype.models.bundle_names import library_name_problem
from napari_mmsubtype.models.bundle_summary import BundleSummary, summarize_bundle

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class LibraryEntry:
    """A place where a bundle should be, and what was found there.

    Attributes
    ----------
    name : str
        To give to `analyze`, `load_bundle` and the panels.
    path : Path or None
        Folder or zip; None where the shipped one is not installed.
    summary : BundleSummary or None
        What it is; None where it cannot be used.
    problem : str
        Why it cannot be used, in one sentence; empty where it can.
    """

    name: str
    path: Path | None
    summary: BundleSummary | None
    problem: str = ""


def list_bundles() -> list[LibraryEntry]:
    """List the bundles at hand, broken ones with what is wrong with them.

    Returns
    -------
    list of LibraryEntry
        The shipped one, then those of the library by name. Only manifests are read.

    Raises
    ------
    BundleError
        If the folder of the library cannot be read.
    """
    entries = [_entry(DEMO, None)]
    folder = library_folder()
    try:
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as err:
        msg = f"the library of bundles {str(folder)!r} cannot be read ({err})"
        raise BundleError(msg) from err
    for path in paths:
        is_zip = path.suffix.lower() == ".zip" and path.is_file()
        if path.name.startswith(".") or not (path.is_dir() or is_zip):
            continue
        name = path.stem if is_zip else path.name
        if is_zip and path.with_suffix("").is_dir():
            problem = f"the folder {name!r} beside it has the same name; rename one"
            entries.append(LibraryEntry(path.name, path, None, problem))
        else:
            entries.append(_entry(name, path))
    return entries


def _entry(name: str, path: Path | None) -> LibraryEntry:
    """Look at one bundle; the shipped one is found by its name."""
    try:
        place = path or find_bundle(name)
        problem = library_name_problem(name) if path else ""
        if path is not None and name == DEMO:
            problem = f"{DEMO!r} is the name of the bundle that ships; rename it"
        summary = None if problem else summarize_bundle(place)
    except BundleError as err:
        return LibraryEntry(name, path, None, str(err))
    return LibraryEntry(name, place, summary, problem)
