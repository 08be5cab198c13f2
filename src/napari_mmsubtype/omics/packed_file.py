"""Files as they come: checked before they are read, unpacked as they are read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, cast

from napari_mmsubtype.errors import TableReadError

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer

MAX_UNPACKED_BYTES = 8 * 2**30
"""A packed file that declares or turns out to hold more than this is refused."""

UNPACKING_FAULTS = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,
    struct.error,
)
"""What a damaged file raises while it is read."""

EXCEL_ADVICE = (
    "open it in Excel, choose File > Save As > 'CSV UTF-8 (comma delimited)' for the "
    "sheet with the table, and give that file"
)
"""How to bring a workbook's sheet into a file that can be read."""

_HEAD_BYTES = 2**16


def check_file(path: Path) -> None:
    """Refuse what is no file that may hold a table.

    Parameters
    ----------
    path : Path
        Named by the user.

    Raises
    ------
    TableReadError
        If the path is missing, a folder, empty, unreadable or an old Excel workbook.
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
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        msg = f"{path.name!r} is an Excel workbook (xls); {EXCEL_ADVICE}"
        raise TableReadError(msg)


def read_head(path: Path) -> bytes:
    """Read the first bytes of a file, unpacked.

    Parameters
    ----------
    path : Path
        Passed `check_file`.

    Returns
    -------
    bytes
        At most 64 KiB.

    Raises
    ------
    TableReadError
        If the file is damaged, or an archive that is refused.
    """
    try:
        with open_packed(path) as stream:
            return stream.read(_HEAD_BYTES)
    except UNPACKING_FAULTS as err:
        raise TableReadError(damaged(path, err)) from err


def damaged(path: Path, error: BaseException) -> str:
    """Say that a file cannot be unpacked.

    Parameters
    ----------
    path : Path
        The file.
    error : BaseException
        One of `UNPACKING_FAULTS`.

    Returns
    -------
    str
        One sentence.
    """
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return (
        f"{path.name!r} cannot be unpacked or read ({reason}); it may be truncated, "
        "fetch it again"
    )


def open_packed(path: Path) -> IO[bytes]:
    """Open a file for reading, unpacking what its first bytes say is packed.

    Parameters
    ----------
    path : Path
        Plain, or packed as gzip, bzip2, xz, or zip with one file.

    Returns
    -------
    binary file
        The unpacked content; reading it may raise one of `UNPACKING_FAULTS`, or a
        `TableReadError` once it gives more than `MAX_UNPACKED_BYTES`.

    Raises
    ------
    TableReadError
        If an archive is a workbook, holds several files, or declares too much.
    """
    with path.open("rb") as stream:
        head = stream.read(6)
    if head.startswith(b"\x1f\x8b"):
        return _bounded(gzip.open(path, "rb"), path)
    if head.startswith(b"BZh"):
        return _bounded(bz2.open(path, "rb"), path)
    if head.startswith(b"\xfd7zXZ"):
        return _bounded(lzma.open(path, "rb"), path)
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
        msg = f"{path.name!r} is an Excel workbook (xlsx); {EXCEL_ADVICE}"
        raise TableReadError(msg)
    if len(names) != 1:
        archive.close()
        listed = ", ".join(repr(entry.filename) for entry in names[:5]) or "none"
        msg = f"{path.name!r} holds {len(names)} files ({listed}); zip one table alone"
        raise TableReadError(msg)
    if names[0].file_size > MAX_UNPACKED_BYTES:
        archive.close()
        msg = (
            f"{path.name!r} declares {names[0].file_size / 2**30:.1f} GiB unpacked "
            f"(at most {_limit()}); unpack it, and see whether it is the table meant"
        )
        raise TableReadError(msg)
    if names[0].flag_bits & 1:
        archive.close()
        msg = f"{path.name!r} is locked by a password; unpack it and give the table"
        raise TableReadError(msg)
    stream = archive.open(names[0])
    # The member keeps the file open by itself; the archive object may go.
    archive.close()
    return stream


def _bounded(stream: object, path: Path) -> IO[bytes]:
    """Stop a stream that unpacks to more than any table needs."""
    return cast(
        "IO[bytes]", io.BufferedReader(_Bounded(cast("IO[bytes]", stream), path))
    )


class _Bounded(io.RawIOBase):
    """A stream of bytes that ends in an error once it grows too long."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path
        self._given = 0

    def readable(self) -> bool:
        """Tell that bytes can be read.

        Returns
        -------
        bool
            Always True.
        """
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Fill a buffer with the next bytes.

        Parameters
        ----------
        buffer : buffer
            Receives the bytes.

        Returns
        -------
        int
            How many there were; 0 at the end.
        """
        view = memoryview(buffer)
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self._given += len(data)
        if self._given > MAX_UNPACKED_BYTES:
            msg = (
                f"{self._path.name!r} unpacks to more than {_limit()}; unpack it, and "
                "see whether it is the table meant"
            )
            raise TableReadError(msg)
        return len(data)

    def close(self) -> None:
        """Close the file below."""
        self._stream.close()
        super().close()


def _limit() -> str:
    """Write the limit in words."""
    return f"{MAX_UNPACKED_BYTES / 2**30:.0f} GiB"
