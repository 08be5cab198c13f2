"""How the stores of a slide are named, and what is left of those never finished."""

from __future__ import annotations

import glob
import logging
import shutil
from typing import TYPE_CHECKING

from napari_mmsubtype.results import schema
from napari_mmsubtype.slides.slide_name import file_stem

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


def existing_stores(folder: Path, slide_name: str) -> list[Path]:
    """List the stores of a slide in a folder, the unnumbered one first.

    Parameters
    ----------
    folder : Path
        Where results are kept.
    slide_name : str
        Name of the slide without its suffix.

    Returns
    -------
    list of Path
        Store folders that exist.
    """
    found = []
    number = 1
    while (path := store_path(folder, slide_name, number)).exists():
        found.append(path)
        number += 1
    return found


def store_path(folder: Path, slide_name: str, number: int = 1) -> Path:
    """Give the path of a slide's store.

    Parameters
    ----------
    folder : Path
        Where results are kept.
    slide_name : str
        Name of the slide without its suffix.
    number : int, default: 1
        Later requests for the same slide are numbered so that nothing is overwritten.

    Returns
    -------
    Path
        ``<folder>/<slide>.mmsubtype.zarr``, or ``<slide>-2...`` and so on; characters
        that some file systems refuse become ``_``, and a very long name is cut.
    """
    tail = "" if number == 1 else f"-{number}"
    return folder / f"{file_stem(slide_name)}{tail}{schema.SUFFIX}"


def remove_drafts(path: Path) -> None:
    """Remove what killed processes left of a store they were laying out.

    Parameters
    ----------
    path : Path
        The store; the caller holds its lock, so nobody is laying it out now.
    """
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        shutil.rmtree(draft, ignore_errors=True)


def remove_half_written(folder: Path) -> None:
    """Remove the files that killed processes were writing when they ended.

    zarr writes a file under another name and renames it, so these are read by nobody;
    they only take room.

    Parameters
    ----------
    folder : Path
        A store, or a group of it; the caller holds the lock of the store.
    """
    for draft in folder.rglob("*.partial"):
        try:
            draft.unlink()
        except OSError as err:
            logger.debug("cannot remove %s: %s", draft, err)
