"""Taking a bundle into the library: verified first, there at once or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle_address import (
    DEMO,
    is_remote,
    library_folder,
    library_name_problem,
)
from napari_mmsubtype.models.bundle_download import fetch_bundle
from napari_mmsubtype.models.bundle_files import opened, sha256_file, swap_folder
from napari_mmsubtype.models.bundle_manifest import find_bundle, read_manifest
from napari_mmsubtype.models.bundle_names import ORIGIN
from napari_mmsubtype.models.bundle_pack import own_files, plain_name
from napari_mmsubtype.models.bundle_schema import MANIFEST
from napari_mmsubtype.models.bundle_verify import Verification, verify_bundle

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Imported:
    """A bundle of the library.

    Attributes
    ----------
    name : str
        To give to `analyze`, `load_bundle` and the panels.
    path : Path
        Its folder.
    verification : Verification
        What was found right about it.
    origin : dict
        ``source``, ``revision``, ``digest`` and the time, as kept beside it.
    """

    name: str
    path: Path
    verification: Verification
    origin: dict[str, Any]


def import_bundle(
    source: str | Path,
    *,
    name: str | None = None,
    replace: bool = False,
    tell: Callable[[str], object] | None = None,
) -> Imported:
    """Take a bundle into the user's library.

    Parameters
    ----------
    source : str or Path
        Folder, zip, ``http(s)://`` address of a zip, or ``hf://org/name[@revision]``.
    name : str, optional
        Its name in the library; its own by default.
    replace : bool, default: False
        Put it in the place of another of that name.
    tell : callable, optional
        Receives one sentence before anything is downloaded; by default it is logged.

    Returns
    -------
    Imported
        Where it is, and where it came from.

    Raises
    ------
    BundleError
        If it cannot be had, is no bundle, or the name is taken or impossible.
    BundleIntegrityError
        If anything in it is refused, see `bundle_verify.verify_bundle`.
    """
    if name is not None:
        _check_name(name)
    library = library_folder()
    try:
        library.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library, prefix=".import-") as place:
            return _import(source, name, replace, tell, library, Path(place))
    except OSError as err:
        msg = (
            f"the bundle could not be put into the library {str(library)!r} ({err}); "
            "free space there, or mend its permissions"
        )
        raise BundleError(msg) from err


def _import(
    source: str | Path,
    name: str | None,
    replace: bool,
    tell: Callable[[str], object] | None,
    library: Path,
    place: Path,
) -> Imported:
    """Copy, verify, then move into place."""
    revision = None
    if is_remote(source):
        fetched = fetch_bundle(str(source), folder=place, tell=tell)
        path, revision = fetched.path, fetched.revision
    else:
        path = find_bundle(source)
    with opened(path) as folder:
        manifest = read_manifest(folder, path)
        name = name or plain_name(manifest.get("name"))
        _check_name(name)
        target = library / name
        digest = sha256_file(folder / MANIFEST)
        if not replace:
            _refuse_taken(target, digest)
        fresh = place / name
        _copy(folder, fresh, own_files(folder, manifest["files"]))
    verification = verify_bundle(fresh)
    origin = {
        "source": str(source if is_remote(source) else path.absolute()),
        "revision": revision,
        "digest": verification.digest,
        "imported": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(origin, indent=2, ensure_ascii=False)
    (fresh / ORIGIN).write_text(text + "\n", encoding="utf-8", newline="\n")
    swap_folder(fresh, target)
    target.with_name(f"{name}.zip").unlink(missing_ok=True)
    return Imported(name, target, verification, origin)


def _check_name(name: str) -> None:
    problem = library_name_problem(name)
    if name == DEMO:
        problem = f"{DEMO!r} is the name of the bundle that ships"
    if problem:
        msg = f"{problem}; give another name with --name"
        raise BundleError(msg)


def _refuse_taken(target: Path, digest: str) -> None:
    """Refuse to put a bundle where there is another, or the same."""
    for taken in (target, target.with_name(f"{target.name}.zip")):
        if not taken.exists():
            continue
        same = taken.is_dir() and (taken / MANIFEST).is_file()
        same = same and sha256_file(taken / MANIFEST) == digest
        what = "this very bundle" if same else "another bundle"
        msg = (
            f"the library has {what} as {target.name!r} ({str(taken)!r}); give another "
            "name with --name, or --replace"
        )
        raise BundleError(msg)


def _copy(folder: Path, fresh: Path, names: list[str]) -> None:
    """Copy the content of files; links of a hub's cache are followed."""
    for inside in names:
        parts = PurePosixPath(inside).parts
        target = fresh.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder.joinpath(*parts), target)
