"""Files that appear whole or not at all, whatever kills the process."""

from __future__ import annotations

import json
import os
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    import pandas as pd
    from numpy.typing import NDArray


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Write a file under another name, and rename it when it is complete.

    Parameters
    ----------
    path : Path
        Its folder is made if needed; an older file is replaced.
    write : callable
        Receives the open file.

    Returns
    -------
    Path
        The same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with draft.open("wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def write_json(path: Path, content: Any) -> Path:
    """Write JSON, whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    content : object
        Plain types; numbers that are not finite become null.

    Returns
    -------
    Path
        The same.
    """
    text = json.dumps(finite(content), indent=1, ensure_ascii=False, allow_nan=False)
    return write_whole(path, lambda stream: stream.write(f"{text}\n".encode()))


def finite(content: Any) -> Any:
    """Replace what JSON does not have.

    Parameters
    ----------
    content : object
        Mappings, sequences, numbers of Python and NumPy, text.

    Returns
    -------
    object
        Plain types; None for numbers that are not finite.
    """
    if isinstance(content, dict):
        return {str(key): finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    if isinstance(content, np.ndarray):
        return finite(content.tolist())
    if isinstance(content, np.bool_):
        return bool(content)
    if isinstance(content, np.integer):
        return int(content)
    if isinstance(content, float | np.floating):
        return float(content) if np.isfinite(content) else None
    return content


def write_array(path: Path, values: NDArray[Any]) -> Path:
    """Write an array that can be mapped from disk, whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.npy``.
    values : ndarray
        Not of objects.

    Returns
    -------
    Path
        The same.
    """
    return write_whole(path, lambda stream: np.save(stream, values, allow_pickle=False))


def write_parquet(path: Path, frame: pd.DataFrame) -> Path:
    """Write a table, whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.parquet``.
    frame : DataFrame
        Its index is not kept.

    Returns
    -------
    Path
        The same.
    """
    return write_whole(path, lambda stream: frame.to_parquet(stream, index=False))
