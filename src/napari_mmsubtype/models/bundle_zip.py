"""Unpacking the zip of a bundle: its table of contents is checked before any file."""

from __future__ import annotations

import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models.bundle_content import check_content
from napari_mmsubtype.models.bundle_disguise import NO_PICKLE, disguise
from napari_mmsubtype.models.bundle_names import (
    is_bundle_file,
    refuse_collisions,
    refuse_outside,
)
from napari_mmsubtype.models.bundle_schema import MANIFEST

MAX_MEMBERS = 1_000
MAX_MEMBER_BYTES = 8 * 2**30
MAX_TOTAL_BYTES = 10 * 2**30
MAX_RATIO = 200
"""How many times larger than the zip its files may be together."""

_SMALL = 64 * 2**20
_STEP = 2**20


def unpack(source: Path, folder: Path) -> None:
    """Extract a zip into a folder, after checking all of its files where they lie.

    Parameters
    ----------
    source : Path
        The zip.
    folder : Path
        An empty folder. Nothing is written to it where something is refused.

    Raises
    ------
    BundleIntegrityError
        If the zip holds what is refused, or is damaged or encrypted.
    BundleError
        If there is no room for its files.
    """
    label = f"zip {str(source)!r}"
    try:
        with zipfile.ZipFile(source) as archive:
            members = checked_members(archive, source.stat().st_size, label)
            top = top_folder(members)
            for member in members:
                _check_member(archive, member, top, label)
            for member in members:
                _extract(archive, member, folder, label)
    except (
        zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error
    ) as err:  # fmt: skip
        msg = f"{label} is damaged or encrypted ({err}); copy or download it again"
        raise BundleIntegrityError(msg) from err
    except OSError as err:
        msg = f"{label} could not be unpacked into {tempfile.gettempdir()!r} ({err})"
        raise BundleError(msg) from err


def checked_members(
    archive: zipfile.ZipFile, size: int, label: str
) -> list[zipfile.ZipInfo]:
    """Check a zip by its table of contents.

    Parameters
    ----------
    archive : ZipFile
        Open for reading.
    size : int
        Bytes of the zip.
    label : str
        Names the zip, for messages.

    Returns
    -------
    list of ZipInfo
        Its files, without folders.

    Raises
    ------
    BundleIntegrityError
        At the first name, kind or size that is refused.
    """
    entries = archive.infolist()
    members = [entry for entry in entries if not entry.is_dir()]
    names = [member.filename for member in members]
    if len(names) > MAX_MEMBERS or len(set(names)) != len(names):
        msg = (
            f"{label} lists {len(names)} files, {len(set(names))} of them different; "
            f"expected at most {MAX_MEMBERS} different ones"
        )
        raise BundleIntegrityError(msg)
    for entry in entries:
        # The name as stored: reading cuts it at a zero byte.
        refuse_outside(entry.orig_filename, label)
        _refuse_kind(entry, label)
    refuse_collisions(names, label)
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        msg = (
            f"{label} would unpack to {total} bytes; expected at most {MAX_TOTAL_BYTES}"
        )
        raise BundleIntegrityError(msg)
    if total > max(_SMALL, MAX_RATIO * size):
        msg = (
            f"{label} has {size} bytes and would unpack to {total}; expected at most "
            f"{MAX_RATIO} times its size: weights do not shrink so far"
        )
        raise BundleIntegrityError(msg)
    return members


def _refuse_kind(entry: zipfile.ZipInfo, label: str) -> None:
    """Refuse links, devices, encrypted and oversized members."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        word = "link" if kind == stat.S_IFLNK else "special file"
        msg = (
            f"{label} holds the {word} {entry.filename!r}; a bundle holds only "
            f"plain files: pack it again without {word}s"
        )
        raise BundleIntegrityError(msg)
    if entry.flag_bits & 0x1:
        msg = f"{label} holds {entry.filename!r} encrypted; pack it without a password"
        raise BundleIntegrityError(msg)
    if entry.file_size > MAX_MEMBER_BYTES:
        msg = (
            f"{entry.filename!r} in {label} would unpack to {entry.file_size} "
            f"bytes; expected at most {MAX_MEMBER_BYTES}"
        )
        raise BundleIntegrityError(msg)


def top_folder(members: list[zipfile.ZipInfo]) -> str:
    """Find where in a zip the manifest is.

    Parameters
    ----------
    members : list of ZipInfo
        As `checked_members`.

    Returns
    -------
    str
        Its folder with a slash at the end; empty for the top, or where there is none.
    """
    paths = [m.filename for m in members if m.filename.count("/") <= 1]
    places = [
        p.removesuffix(MANIFEST) for p in paths if p.rpartition("/")[2] == MANIFEST
    ]
    return min(places, key=len, default="")


def _check_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, top: str, label: str
) -> None:
    """Look into a file without unpacking it."""
    where = f"{member.filename!r} in {label}"
    name = member.filename.removeprefix(top)
    with archive.open(member) as stream:
        reason = disguise(name, stream)
        if reason:
            msg = f"{where} {reason} and is refused; {NO_PICKLE}"
            raise BundleIntegrityError(msg)
        if is_bundle_file(name):
            check_content(name, stream, member.file_size, where)


def _extract(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, label: str
) -> None:
    """Write one file, and not a byte more than the table of contents says."""
    target = folder.joinpath(*PurePosixPath(member.filename).parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with archive.open(member) as read, target.open("xb") as write:
        while block := read.read(_STEP):
            left -= len(block)
            if left < 0:
                msg = (
                    f"{member.filename!r} in {label} holds more than the "
                    f"{member.file_size} bytes it lists; do not use this file"
                )
                raise BundleIntegrityError(msg)
            write.write(block)
