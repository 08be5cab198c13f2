"""Files and folders that appear whole or not at all, whatever kills the process."""

from __future__ import annotations

import glob
import os
import shutil
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SUFFIX = ".draft"
_LOADED = time.time()


@contextmanager
def draft_folder(path: Path) -> Iterator[Path]:
    """Give a folder for what is not complete yet, and remove it afterwards.

    Parameters
    ----------
    path : Path
        What will be there in the end: a file or a folder. Its parent is made if needed.

    Yields
    ------
    Path
        An empty hidden folder beside it. Those of killed processes are removed once
        the block has ended well.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{_SUFFIX}")
    draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _remove_left_behind(path)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a file to write, which takes its place when it is complete.

    Parameters
    ----------
    path : Path
        Its folder is made if needed; an older file is replaced.

    Yields
    ------
    Path
        A file of the same suffix that is not there yet, in a `draft_folder`: what a
        library writes beside it before it renames is not left either.
    """
    with draft_folder(path) as folder:
        # Short, because Windows limits the length of a path.
        draft = folder / f"new{path.suffix}"
        yield draft
        with draft.open("rb+") as stream:
            os.fsync(stream.fileno())
        draft.replace(path)


def _remove_left_behind(path: Path) -> None:
    """Remove what killed processes began; another process may be writing just now."""
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*{_SUFFIX}"):
        try:
            old = draft.stat().st_mtime < _LOADED
        except FileNotFoundError:
            continue
        if old:
            shutil.rmtree(draft, ignore_errors=True)
