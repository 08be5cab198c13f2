"""What a slide is called in layers, stores and messages."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

# Not allowed in names on Windows; addresses of synthetic slides hold colons.
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
LONGEST_BYTES = 160
"""File systems allow 255 for a name with all that is added while it is written."""

_SYNTHETIC = re.compile(r"synthetic:(?:.*\bseed=(\d+))?")


def slide_name(path: str) -> str:
    """Shorten a path or address to the name of the slide.

    Parameters
    ----------
    path : str
        Path of a file or folder, or an address with a scheme.

    Returns
    -------
    str
        Last part of the path without format endings such as ``.ome.tif``; of a
        synthetic slide its seed.
    """
    address = _SYNTHETIC.match(path)
    if address:
        return f"synthetic-{address.group(1) or 0}"
    name = Path(path).name
    for ending in (".zip", ".zarr", ".tif", ".tiff", ".ome"):
        stem = name[: -len(ending)]
        if name.lower().endswith(ending) and stem:
            name = stem
    stem, dot, ending = name.rpartition(".")
    known = ending.isalpha() and len(ending) <= 6
    return stem if dot and stem and known else name


def file_stem(name: str) -> str:
    """Make the name of a slide fit for a file of its own.

    Parameters
    ----------
    name : str
        As `slide_name` gives it.

    Returns
    -------
    str
        The same name; characters that some file systems refuse become ``_``, and a
        very long name is cut.
    """
    safe = _UNSAFE.sub("_", name)
    encoded = os.fsencode(safe)
    if len(encoded) <= LONGEST_BYTES:
        return safe
    # Slides whose names differ only in what is cut off must not share a file.
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    kept = encoded[: LONGEST_BYTES - len(digest) - 1]
    return f"{kept.decode(errors='ignore')}-{digest}"
