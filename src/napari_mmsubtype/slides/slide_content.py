"""Tell from a few bytes whether a file holds the same slide as before."""

from __future__ import annotations

import hashlib
import json
import os
from bisect import bisect_right
from contextlib import suppress
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING

from napari_mmsubtype.slides.dicom_folder import (
    is_whole_slide,
    series_of,
    whole_slide_files,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCKS = 16
BLOCK_BYTES = 64 * 1024
MOST_FILES = 20_000
"""Files of a slide whose names and sizes count; OME-Zarr may have millions."""
NOT_PIXELS = frozenset({"thumbs.db", "desktop.ini"})
"""What a system leaves in folders that are looked at; in lower case."""
_ZARR_DOCUMENTS = frozenset({".zarray", ".zattrs", ".zgroup"})
_LABELS = "labels"
"""Group of an OME-Zarr that others may add to the image."""
INDEX_BYTES = 1024**2
"""Of a file that names those with the pixels, which is far shorter."""


def slide_content(path: Path) -> str:
    """Fingerprint what a slide holds, wherever it lies and whenever it was written.

    Names and sizes of its files count, and blocks spread evenly over all their bytes,
    the first and the last among them: a scan that is as large as another to the byte
    differs from it in every one of its compressed tiles.

    Parameters
    ----------
    path : Path
        A file, with what belongs to it beside it, or a folder.

    Returns
    -------
    str
        SHA-256. The same for a copy; the name of a single file does not count.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    files = list(islice(_files_of(path.resolve(strict=True)), MOST_FILES))
    sizes = [file.stat().st_size for _, file in files]
    names = [os.fsencode(name).hex() for name, _ in files]
    found = hashlib.sha256(json.dumps([names, sizes]).encode())
    for file, start, count in _blocks([file for _, file in files], sizes):
        with file.open("rb") as opened:
            opened.seek(start)
            found.update(opened.read(count))
    return found.hexdigest()


def _blocks(files: list[Path], sizes: list[int]) -> Iterator[tuple[Path, int, int]]:
    """Spread blocks over the bytes of all files: file, first byte, number of bytes."""
    ends = list(accumulate(sizes))
    total = ends[-1] if ends else 0
    if total <= BLOCKS * BLOCK_BYTES:
        yield from ((file, 0, size) for file, size in zip(files, sizes, strict=True))
        return
    for block in range(BLOCKS):
        place = (total - BLOCK_BYTES) * block // (BLOCKS - 1)
        index = bisect_right(ends, place)
        yield files[index], place - (ends[index] - sizes[index]), BLOCK_BYTES


def _files_of(path: Path) -> Iterator[tuple[str, Path]]:
    """List the files that hold the pixels of a slide, in a fixed order, with names."""
    if path.is_dir():
        # Results may be written into a folder of DICOM files.
        images = [(file.name, file) for file in whole_slide_files(path)]
        yield from images or _walk(path)
        return
    yield "", path
    match path.suffix.lower():
        case ".mrxs":
            yield from _walk(path.with_suffix(""))
        case ".dzi":
            yield from _walk(path.with_name(f"{path.stem}_files"))
        case ".vms" | ".vmu":
            with path.open("rb") as opened:
                index = opened.read(INDEX_BYTES)
            yield from _beside(path, lambda file: os.fsencode(file.name) in index)
        case "" | ".dcm" if is_whole_slide(path):
            series = series_of(path)
            yield from _beside(
                path, lambda file: is_whole_slide(file) and series_of(file) == series
            )


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """List the files in a folder and below that may belong to its pixels."""
    for parent, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not _is_beside(name, _LABELS))
        for name in sorted(files):
            if name in _ZARR_DOCUMENTS or not _is_beside(name, *NOT_PIXELS):
                file = Path(parent, name)
                yield file.relative_to(folder).as_posix(), file


def _is_beside(name: str, *known: str) -> bool:
    """Tell a hidden file or folder, or one of some names, from those of a slide."""
    return name.startswith(".") or name.lower() in known


def _beside(path: Path, belongs: Callable[[Path], bool]) -> Iterator[tuple[str, Path]]:
    """List the other files of a folder that belong to one of them."""
    for file in sorted(path.parent.iterdir()):
        # What lies beside a slide and cannot be read is none of its files.
        with suppress(OSError):
            if file != path and file.is_file() and belongs(file):
                yield file.name, file
