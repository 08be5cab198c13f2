"""Files as they come: checked before they are read, unpacked as they are read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, cast

from napari_mmsubtype.errors import TableReadError

if TYPE_CHECKING:
    from pathlib import Path

MAX_UNPACKED_BYTES = 16 * 2**30
"""A zip file that declares more than this is refused."""

UNPACKING_FAULTS = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
"""What a damaged file raises while it is read."""


def check_file(path: Path) -> None:
    """Refuse what is no file that may hold text.

    Parameters
    ----------
    path : Path
        Named by the user.

    Raises
    ------
    TableReadError
        If the path is missing, a folder, empty, unreadable or of a known binary format.
    """
    if path.is_dir():
        msg = f"{str(path)!r} is a folder; pass one table file (CSV or TSV, gz too)"
        raise TableReadError(msg)
    if not path.exists():
        msg = f"no table at {str(path)!r}; check the path"
        raise TableReadError(msg)
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError as err:
        msg = f"{str(path)!r} cannot be read ({err.strerror}); check its permissions"
        raise TableReadError(msg) from err
    if size == 0:
        msg = f"{path.name!r} is empty (0 bytes); fetch or export it again"
        raise TableReadError(msg)
    for magic, what in (
        (b"\x89HDF", "an HDF5 file"),
        (b"PAR1", "a Parquet file"),
        (b"\xd0\xcf\x11\xe0", "an Excel workbook"),
    ):
        if head.startswith(magic):
            msg = f"{path.name!r} is {what}; save the table as CSV or TSV"
            raise TableReadError(msg)


def open_packed(path: Path) -> IO[bytes]:
    """Open a file for reading, unpacking what its first bytes say is packed.

    Parameters
    ----------
    path : Path
        Plain, or packed as gzip, bzip2, xz, or zip with one file.

    Returns
    -------
    binary file
        The unpacked content; reading it may raise one of `UNPACKING_FAULTS`.

    Raises
    ------
    TableReadError
        If an archive is a workbook, holds several files, or declares too much.
    """
    with path.open("rb") as stream:
        head = stream.read(6)
    if head.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if head.startswith(b"BZh"):
        return bz2.open(path, "rb")
    if head.startswith(b"\xfd7zXZ"):
        return lzma.open(path, "rb")
    if head.startswith(b"PK\x03\x04"):
        return _open_zip(path)
    return path.open("rb")


def _open_zip(path: Path) -> IO[bytes]:
    """Open the only table inside a zip file."""
    archive = zipfile.ZipFile(path)
    names = [
        entry
        for entry in archive.infolist()
        if not entry.is_dir() and not entry.filename.startswith("__MACOSX")
    ]
    if any(entry.filename == "[Content_Types].xml" for entry in names):
        archive.close()
        msg = f"{path.name!r} is an Excel workbook; save the sheet as CSV or TSV"
        raise TableReadError(msg)
    if len(names) != 1:
        archive.close()
        listed = ", ".join(repr(entry.filename) for entry in names[:5]) or "none"
        msg = f"{path.name!r} holds {len(names)} files ({listed}); zip one table alone"
        raise TableReadError(msg)
    if names[0].file_size > MAX_UNPACKED_BYTES:
        archive.close()
        msg = (
            f"{path.name!r} declares {names[0].file_size / 2**30:.0f} GiB unpacked "
            f"(at most {MAX_UNPACKED_BYTES / 2**30:.0f}); unpack and check it first"
        )
        raise TableReadError(msg)
    stream = archive.open(names[0])
    # The member keeps the file open by itself; the archive object may go.
    archive.close()
    return stream
