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
from napari_mmsubtype.models.bundle_schema import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_MEMBERS = 1_000
MAX_MEMBER_BYTES = 4 * 2**30
MAX_TOTAL_BYTES = 8 * 2**30

PICKLE_SUFFIXES = frozenset(
    {
        ".bin",
        ".ckpt",
        ".dill",
        ".joblib",
        ".npy",
        ".p",
        ".pck",
        ".pickle",
        ".pkl",
        ".pt",
        ".pth",
        ".sav",
    }
)
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_NO_PICKLE = (
    "a bundle holds only JSON, Parquet, safetensors, Markdown and reference.npz; ask "
    "its author for one without it"
)


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
            f"bundle {str(source)!r} does not exist; give 'demo', or the path of a "
            "bundle folder or zip"
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
            _unpack(source, Path(folder))
            refuse_unsafe(Path(folder))
            yield _root(Path(folder), source)


def refuse_unsafe(folder: Path) -> None:
    """Look through a folder for links and for files that could run code.

    Parameters
    ----------
    folder : Path
        A bundle's folder; nothing in it is loaded.

    Raises
    ------
    BundleIntegrityError
        At the first symbolic link, special file or pickle-like file.
    """
    for parent, folders, files in os.walk(folder, followlinks=False):
        for name in sorted((*folders, *files)):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            where = f"{path.relative_to(folder).as_posix()!r} in bundle {folder.name!r}"
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                msg = (
                    f"{where} is a link or special file; a bundle holds only plain "
                    "files: copy the file in its place"
                )
                raise BundleIntegrityError(msg)
            if stat.S_ISREG(mode) and (reason := _pickle_like(path)):
                msg = f"{where} {reason} and is refused; {_NO_PICKLE}"
                raise BundleIntegrityError(msg)


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


def refuse_outside(name: str, source: str) -> None:
    """Refuse a path that could leave the folder it belongs in.

    Parameters
    ----------
    name : str
        Path as written in a zip or manifest.
    source : str
        Where it was found, for the message.

    Raises
    ------
    BundleIntegrityError
        If the path is absolute, has a drive, a backslash or a ``..``.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or set("\\:\0") & set(name):
        msg = (
            f"{source} names the file {name!r}, which would lie outside the bundle; "
            "do not use this file"
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


def _unpack(source: Path, folder: Path) -> None:
    """Extract a zip, member by member, into an empty folder."""
    label = f"zip {str(source)!r}"
    try:
        with zipfile.ZipFile(source) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            _check_members(members, label)
            for member in members:
                target = folder.joinpath(*PurePosixPath(member.filename).parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as read, target.open("xb") as write:
                    shutil.copyfileobj(read, write, 2**20)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as err:
        msg = f"{label} is damaged or encrypted ({err}); copy or download it again"
        raise BundleIntegrityError(msg) from err
    except OSError as err:
        msg = f"{label} could not be unpacked into {tempfile.gettempdir()!r} ({err})"
        raise BundleError(msg) from err


def _check_members(members: list[zipfile.ZipInfo], label: str) -> None:
    """Refuse a zip by its table of contents, before anything is written."""
    names = [member.filename for member in members]
    if len(names) > MAX_MEMBERS or len(set(names)) != len(names):
        msg = (
            f"{label} lists {len(names)} files, {len(set(names))} of them different; "
            f"expected at most {MAX_MEMBERS} different ones"
        )
        raise BundleIntegrityError(msg)
    for member in members:
        refuse_outside(member.filename, label)
        if stat.S_ISLNK(member.external_attr >> 16):
            msg = (
                f"{label} holds the link {member.filename!r}; a bundle holds only "
                "plain files: pack it again without links"
            )
            raise BundleIntegrityError(msg)
        if member.file_size > MAX_MEMBER_BYTES:
            msg = (
                f"{member.filename!r} in {label} would unpack to {member.file_size} "
                f"bytes; expected at most {MAX_MEMBER_BYTES}"
            )
            raise BundleIntegrityError(msg)
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        msg = (
            f"{label} would unpack to {total} bytes; expected at most {MAX_TOTAL_BYTES}"
        )
        raise BundleIntegrityError(msg)


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


def _pickle_like(path: Path) -> str:
    """Say why a file could hold a pickle, or give an empty string."""
    suffix = path.suffix.lower()
    if suffix in PICKLE_SUFFIXES:
        return f"ends in {suffix!r} (a kind of file that can run code)"
    with path.open("rb") as stream:
        head = stream.read(16)
    if suffix == ".safetensors":
        # The header's length comes first and may look like a pickle's first bytes.
        return "" if head[8:9] == b"{" else "is not a safetensors file"
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "is a pickle by its content"
    if head[:4] in _ZIP_MAGIC and suffix != ".npz":
        return "is an archive by its content"
    return ""
