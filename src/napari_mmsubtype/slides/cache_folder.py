"""Where computed pieces of slides are kept between sessions, and how much of them."""

from __future__ import annotations

import logging
import os
import tempfile
import uuid
from functools import lru_cache
from pathlib import Path

import platformdirs

from napari_mmsubtype.core.environment import read_mebibytes

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "MMSUBTYPE_CACHE_DIR"
"""Environment variable with the folder to use instead of the user's cache folder."""

LIMIT_VARIABLE = "MMSUBTYPE_CACHE_MIB"
"""Environment variable with the disk space of the cache in MiB; 0 turns it off."""

DEFAULT_LIMIT_BYTES = 2 * 1024**3


def cache_folder() -> Path | None:
    """Find the folder for what can be computed again, and make it.

    Returns
    -------
    Path or None
        The first that can be written to: the folder that `FOLDER_VARIABLE` names, else
        the user's cache folder; one of this user's in the folder for temporary files.
        None, logged once, where there is none; callers then work without a cache.
    """
    return _find_folder(os.environ.get(FOLDER_VARIABLE, "").strip())


def cache_limit() -> int:
    """Give the disk space that the environment allows the cache.

    Returns
    -------
    int
        Bytes; 0 for no cache, `DEFAULT_LIMIT_BYTES` where `LIMIT_VARIABLE` is not set.

    Raises
    ------
    ConfigurationError
        If the variable is no whole number of MiB.
    """
    return read_mebibytes(LIMIT_VARIABLE, DEFAULT_LIMIT_BYTES)


@lru_cache(maxsize=8)
def _find_folder(asked: str) -> Path | None:
    """Try the folders in their order, once for every value of the variable."""
    # Files of other users must not be taken for ours where all share one folder.
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    wanted = Path(asked or platformdirs.user_cache_dir("napari-mmsubtype")).expanduser()
    spare = Path(tempfile.gettempdir()) / f"napari-mmsubtype-{user}"
    reasons = []
    for folder in (wanted, spare):
        try:
            _probe(folder)
        except OSError as err:
            reasons.append(f"{folder}: {err.strerror or err}")
            continue
        if reasons:
            logger.warning("computed levels are kept in %s (%s)", folder, reasons[0])
        return folder
    logger.warning(
        "no folder to keep computed levels in, so they are computed in every session "
        "(%s); set %s to a folder that can be written to",
        "; ".join(reasons),
        FOLDER_VARIABLE,
    )
    return None


def _probe(folder: Path) -> None:
    """Make a folder of this user alone and write to it, or raise OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise PermissionError(None, "belongs to another user")
    trial = folder / f".trial-{uuid.uuid4().hex}"
    trial.write_bytes(b"")
    trial.unlink()
