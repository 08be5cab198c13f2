"""Which files a bundle may hold, and which names of files are refused."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import BundleIntegrityError
from napari_mmsubtype.models.bundle_address import is_device
from napari_mmsubtype.models.bundle_schema import (
    CALIBRATION,
    CARD,
    FEATURES,
    MANIFEST,
    REFERENCE,
    SELFTEST,
    WEIGHTS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

HUB_CARD = "README.md"
"""The card once more, under the name that model hubs show.

We do not list it: a card that is edited on a hub must not make the model unusable.
"""

ORIGIN = "origin.json"
"""Where a bundle of the library came from; no part of the bundle itself."""

_TOP = frozenset({MANIFEST, WEIGHTS, SELFTEST, CALIBRATION, REFERENCE, CARD, HUB_CARD})
_TABLE = re.compile(rf"{FEATURES}/[a-z0-9_]+(\.[a-z0-9_]+)?\.parquet")

# What version control, hubs and desktops leave in a folder: neither read nor copied.
_LEFT_BEHIND = frozenset(
    {
        ORIGIN, HUB_CARD, ".gitattributes", ".gitignore", ".DS_Store", "Thumbs.db",
        "desktop.ini",
    }
)  # fmt: skip
_LEFT_FOLDERS = frozenset({".git", ".cache", "__MACOSX"})

_MAX_PATH = 200


def is_bundle_file(name: str) -> bool:
    """Tell whether a file is one that bundles are made of.

    Parameters
    ----------
    name : str
        Path inside the bundle, with forward slashes.

    Returns
    -------
    bool
        True for the manifest and for what it may list.
    """
    return name in _TOP or _TABLE.fullmatch(name) is not None


def is_left_behind(name: str) -> bool:
    """Tell whether a file belongs to version control, a hub or a desktop.

    Parameters
    ----------
    name : str
        Path inside the bundle, with forward slashes.

    Returns
    -------
    bool
        True where the file may lie beside a bundle without being part of it.
    """
    parts = PurePosixPath(name).parts
    return parts[-1] in _LEFT_BEHIND or parts[0] in _LEFT_FOLDERS


def is_left_folder(name: str) -> bool:
    """Tell whether a folder belongs to version control, a hub or a desktop.

    Parameters
    ----------
    name : str
        Of the folder alone.

    Returns
    -------
    bool
        True where nothing in it is part of a bundle.
    """
    return name in _LEFT_FOLDERS


def refuse_outside(name: str, source: str) -> None:
    """Refuse a path that could leave the folder it belongs in, or name a device.

    Parameters
    ----------
    name : str
        Path as written in a zip or manifest.
    source : str
        Where it was found, for the message.

    Raises
    ------
    BundleIntegrityError
        If the path is absolute, has a drive, a backslash or a ``..``, or if a system
        would take it for another file or a device.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or set("\\:\0") & set(name):
        msg = (
            f"{source} names the file {name!r}, which would lie outside the bundle; "
            "do not use this file"
        )
        raise BundleIntegrityError(msg)
    reason = _strange(name, parts)
    if reason:
        msg = (
            f"{source} names the file {name[:_MAX_PATH]!r}, which {reason}; ask its "
            "author for one with plain names"
        )
        raise BundleIntegrityError(msg)


def refuse_collisions(names: Iterable[str], source: str) -> None:
    """Refuse names that some systems take for one and the same file.

    Parameters
    ----------
    names : iterable of str
        Paths of files, with forward slashes.
    source : str
        Where they were found, for the message.

    Raises
    ------
    BundleIntegrityError
        If two names are equal but for case or the way accents are written, or if one
        is a file and also the folder of another.
    """
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        key = _folded(name)
        for parent in PurePosixPath(key).parents:
            folders[str(parent)] = name
        if key in seen:
            _refuse_pair(seen[key], name, source)
        seen[key] = name
    for key, name in seen.items():
        if key in folders:
            _refuse_pair(name, folders[key], source)


def _strange(name: str, parts: tuple[str, ...]) -> str:
    """Say why some system would take a relative path for something else."""
    if len(name) > _MAX_PATH:
        return f"has {len(name)} characters, more than {_MAX_PATH}"
    if any(unicodedata.category(letter).startswith("C") for letter in name):
        return "has control characters"
    for part in parts:
        if part != part.rstrip(". "):
            return "ends in a dot or a space"
        if is_device(part):
            return "is a device on Windows"
    return ""


def _folded(name: str) -> str:
    """Bring a name into the form in which systems may compare it."""
    return unicodedata.normalize("NFC", name).casefold()


def _refuse_pair(one: str, other: str, source: str) -> None:
    what = "twice" if one == other else f"and {other!r}, the same name on some systems"
    msg = (
        f"{source} lists {one!r} {what}; expected different files: pack the bundle "
        "again"
    )
    raise BundleIntegrityError(msg)
