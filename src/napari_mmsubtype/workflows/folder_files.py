"""JSON, arrays and tables as files that appear whole or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.whole_file import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray


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
    with whole_file(path) as draft:
        draft.write_text(f"{text}\n", encoding="utf-8", newline="\n")
    return path


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
    with whole_file(path) as draft, draft.open("wb") as file:
        np.save(file, values, allow_pickle=False)
    return path


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
    with whole_file(path) as draft:
        frame.to_parquet(draft, index=False)
    return path
