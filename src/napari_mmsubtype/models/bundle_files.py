"""A bundle's files before anything in them is trusted: unpacking, refusing, hashing."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models.bundle_content import check_content
from napari_mmsubtype.models.bundle_disguise import NO_PICKLE, disguise
from napari_mmsubtype.models.bundle_names import (
    is_bundle_file,
    is_left_folder,
    refuse_collisions,
    refuse_outside,
)
from napari_mmsubtype.models.bundle_schema import MANIFEST
from napari_mmsubtype.models.bundle_zip import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def opened(source: Path) -> Iterator[Path]:
    """Give a bundle as a folder, unpacking a zip into a temporary one.

    Parameters
    ----------
    source : Path
        Folder or zip.

    Yields
    ------
    Path
        Folder that holds ``bundle.json``; a temporary one is gone afterwards.

    Raises
    ------
    BundleError
        If there is no bundle at that place.
    BundleIntegrityError
        If the zip or the folder holds what is refused.
    """
    if source.is_dir():
        refuse_unsafe(source)
        yield _root(source, source)
    elif not source.exists():
        msg = (
            f"bundle {str(source)!r} does not exist; give 'demo', the name of a "
            "bundle of the library (see `napari-mmsubtype bundle list`), or the path "
            "of a folder or zip"
        )
        raise BundleError(msg)
    elif not zipfile.is_zipfile(source):
        msg = (
            f"bundle {str(source)!r} is neither a folder nor a zip "
            f"({source.stat().st_size} bytes); give a bundle folder or its zip"
        )
        raise BundleError(msg)
    else:
        with tempfile.TemporaryDirectory(prefix="mmsubtype-bundle-") as folder:
            unpack(source, Path(folder))
            refuse_unsafe(Path(folder))
            yield _root(Path(folder), source)


def refuse_unsafe(folder: Path) -> None:
    """Look through a folder for links and for files that could run code.

    Folders of version control are passed over: nothing is ever read from them.

    Parameters
    ----------
    folder : Path
        A bundle's folder; nothing in it is loaded.

    Raises
    ------
    BundleIntegrityError
        At the first symbolic link, special file, pickle-like file or archive, and
        where two names are one on some systems.
    """
    names = []
    cache = _hub_cache(folder)
    for parent, folders, files in os.walk(folder, followlinks=False):
        folders[:] = [n for n in folders if not is_left_folder(n)]
        for name in sorted((*folders, *files)):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            inside = path.relative_to(folder).as_posix()
            where = f"{inside!r} in bundle {folder.name!r}"
            if cache is not None and _links_into(path, cache):
                mode = path.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                msg = (
                    f"{where} is a link or special file; a bundle holds only plain "
                    "files: copy the file in its place"
                )
                raise BundleIntegrityError(msg)
            if stat.S_ISREG(mode):
                names.append(inside)
                _refuse_disguise(path, inside, where)
    refuse_collisions(names, f"bundle {folder.name!r}")


def verify_files(folder: Path, expected: Mapping[str, str]) -> None:
    """Compare every listed file with its hash, then look into each.

    Parameters
    ----------
    folder : Path
        The bundle's folder.
    expected : mapping of str to str
        SHA-256 in hexadecimal by path inside the bundle.

    Raises
    ------
    BundleIntegrityError
        If a file is missing, lies outside the folder, has another hash, or does not
        hold what its name says.
    """
    verify_hashes(folder, expected)
    for name in expected:
        if is_bundle_file(name):
            path = folder.joinpath(*PurePosixPath(name).parts)
            where = f"{name!r} in bundle {folder.name!r}"
            with path.open("rb") as stream:
                check_content(name, stream, path.stat().st_size, where)


def verify_hashes(folder: Path, expected: Mapping[str, str]) -> None:
    """Compare every listed file with its hash.

    Parameters
    ----------
    folder : Path
        The bundle's folder.
    expected : mapping of str to str
        SHA-256 in hexadecimal by path inside the bundle.

    Raises
    ------
    BundleIntegrityError
        If a file is missing, lies outside the folder or has another hash.
    """
    for name, digest in expected.items():
        refuse_outside(name, f"{MANIFEST} of bundle {folder.name!r}")
        path = folder.joinpath(*PurePosixPath(name).parts)
        if not path.is_file():
            msg = (
                f"bundle {folder.name!r} lacks {name!r}, which its {MANIFEST} lists; "
                "copy or download the bundle again"
            )
            raise BundleIntegrityError(msg)
        found = sha256_file(path)
        if found != digest:
            msg = (
                f"{name!r} in bundle {folder.name!r} was changed: its SHA-256 is "
                f"{found[:16]}..., {MANIFEST} says {str(digest)[:16]}...; copy or "
                "download the bundle again"
            )
            raise BundleIntegrityError(msg)


def sha256_file(path: Path) -> str:
    """Hash a file.

    Parameters
    ----------
    path : Path
        A readable file.

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def swap_folder(fresh: Path, target: Path) -> None:
    """Put a finished folder in its place; the older one survives a failure.

    Parameters
    ----------
    fresh : Path
        The new folder, beside its place or below a folder beside it.
    target : Path
        Where it goes.
    """
    if not target.exists():
        fresh.rename(target)
        return
    older = fresh.with_name(f"{fresh.name}.old")
    target.rename(older)
    try:
        fresh.rename(target)
    except OSError:
        older.rename(target)
        raise
    shutil.rmtree(older, ignore_errors=True)


def _root(folder: Path, source: Path) -> Path:
    """Find the folder with the manifest: the top, or the only folder in a zip."""
    if (folder / MANIFEST).is_file():
        return folder
    inner = [path for path in folder.iterdir() if path.is_dir()]
    if folder != source and len(inner) == 1 and (inner[0] / MANIFEST).is_file():
        return inner[0]
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
    msg = (
        f"{str(source)!r} is not a bundle: it has no {MANIFEST} (found {found}); give "
        f"the folder that holds {MANIFEST}, or its zip"
    )
    raise BundleError(msg)


def _refuse_disguise(path: Path, name: str, where: str) -> None:
    with path.open("rb") as stream:
        reason = disguise(name, stream)
    if reason:
        msg = f"{where} {reason} and is refused; {NO_PICKLE}"
        raise BundleIntegrityError(msg)


def _hub_cache(folder: Path) -> Path | None:
    """Give the cache of model hubs that a folder is a snapshot in, if it is one.

    There, files are links to one copy of each content: made by the client of the hub,
    never by who wrote the model, whose own links arrive as text.
    """
    snapshots = folder.absolute().parent
    repository = snapshots.parent
    if snapshots.name != "snapshots" or not repository.name.startswith("models--"):
        return None
    return repository.parent.resolve()


def _links_into(path: Path, cache: Path) -> bool:
    return path.is_file() and path.resolve().is_relative_to(cache)
