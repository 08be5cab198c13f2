"""The bundles at hand: the one that ships and those of the user's library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle_address import (
    DEMO,
    library_name_problem,
    library_places,
)
from napari_mmsubtype.models.bundle_manifest import find_bundle
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
    return entries + [_entry(name, path) for name, path in library_places()]


def _entry(name: str, path: Path | None) -> LibraryEntry:
    """Look at one bundle; the shipped one is found by its name."""
    try:
        place = path or find_bundle(name)
        problem = "" if path is None else _name_problem(name, path)
        summary = None if problem else summarize_bundle(place)
    except BundleError as err:
        return LibraryEntry(name, path, None, str(err))
    return LibraryEntry(name, place, summary, problem)


def _name_problem(name: str, path: Path) -> str:
    """Say why a bundle of the library cannot be reached by its name."""
    if name == DEMO:
        return f"{DEMO!r} is the name of the bundle that ships; rename it"
    if path.is_file() and name != path.stem:
        return f"the folder {path.stem!r} beside it has the same name; rename one"
    return library_name_problem(name)
