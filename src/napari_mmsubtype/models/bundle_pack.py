"""A bundle folder as a zip: the same files give the same bytes."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from napari_mmsubtype.core.whole_file import whole_file
from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models.bundle_address import is_remote
from napari_mmsubtype.models.bundle_files import opened
from napari_mmsubtype.models.bundle_manifest import (
    find_bundle,
    read_description,
    read_manifest,
    read_modalities,
)
from napari_mmsubtype.models.bundle_names import (
    is_bundle_file,
    is_left_behind,
    refuse_outside,
)
from napari_mmsubtype.models.bundle_schema import MANIFEST
from napari_mmsubtype.models.bundle_summary import readable

if TYPE_CHECKING:
    from collections.abc import Mapping

# The first moment that a zip can name; the time of packing is nobody's concern.
_MOMENT = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_STEP = 2**20


def pack_bundle(folder: str | Path, target: str | Path | None = None) -> Path:
    """Write a bundle folder as a zip, after checking every file of it.

    Parameters
    ----------
    folder : str or Path
        The bundle: a folder, ``"demo"``, or the name of one of the library.
    target : str or Path, optional
        The zip; ``<name>-<version>.zip`` in the current folder by default.

    Returns
    -------
    Path
        The zip. Only what belongs to the bundle is in it.

    Raises
    ------
    BundleError
        If the folder holds no bundle, or the zip exists.
    BundleIntegrityError
        If the folder holds links, pickles or files that are not listed, or a file was
        changed.
    """
    source = Path(folder) if is_remote(folder) else find_bundle(folder)
    if not source.is_dir():
        msg = f"{str(source)!r} is not a folder; give the folder of a bundle"
        raise BundleError(msg)
    with opened(source) as place, readable(source):
        described, _ = read_description(place, source)
        read_modalities(place, described)
        manifest = read_manifest(place, source)
        names = own_files(place, manifest["files"])
        fallback = (
            f"{plain_name(manifest['name'])}-{plain_name(manifest['version'])}.zip"
        )
        goal = Path(target or fallback).expanduser()
        if goal.exists():
            msg = f"{str(goal)!r} exists; remove it, or give another name with --out"
            raise BundleError(msg)
        with whole_file(goal) as fresh:
            _write(fresh, place, names)
    return goal


def own_files(folder: Path, listed: Mapping[str, str]) -> list[str]:
    """Name the files of a bundle, and refuse a folder that holds others.

    Parameters
    ----------
    folder : Path
        An unpacked bundle.
    listed : mapping of str to str
        Hashes by name, as the manifest has them.

    Returns
    -------
    list of str
        The manifest, then the listed files, sorted; with forward slashes.

    Raises
    ------
    BundleIntegrityError
        If the manifest lists a file that is none of a bundle, or the folder holds one
        that the manifest does not list.
    """
    for name in listed:
        refuse_outside(name, f"{MANIFEST} of bundle {folder.name!r}")
        if not is_bundle_file(name) or name == MANIFEST:
            msg = (
                f"{MANIFEST} of bundle {folder.name!r} lists {name!r}, which is no "
                "file of a bundle; write the bundle again with save_bundle"
            )
            raise BundleIntegrityError(msg)
    names = [MANIFEST, *sorted(listed)]
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in names and not is_left_behind(name):
            msg = (
                f"{name!r} in bundle {folder.name!r} is not listed by its {MANIFEST}, "
                "so nothing vouches for it; remove it"
            )
            raise BundleIntegrityError(msg)
    return names


def _write(path: Path, folder: Path, names: list[str]) -> None:
    """Write files in their order, without times and rights of their own."""
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.create_system = _UNIX
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            file = folder.joinpath(*PurePosixPath(name).parts)
            entry.file_size = file.stat().st_size
            with file.open("rb") as read, archive.open(entry, "w") as write:
                shutil.copyfileobj(read, write, _STEP)


def plain_name(text: object) -> str:
    """Bring a name into letters that every system takes in a file name.

    Parameters
    ----------
    text : object
        A name as its author wrote it.

    Returns
    -------
    str
        Letters, digits, dots, dashes and underscores; never empty.
    """
    kept = "".join(
        c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in str(text)
    )
    return kept.strip(".-") or "bundle"
