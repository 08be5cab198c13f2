"""Read a table as a job, which can be stopped at any time."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.omics.file_kind import is_small_text
from napari_mmsubtype.omics.reader_process import read_apart
from napari_mmsubtype.omics.table import read_here

if TYPE_CHECKING:
    import anndata

    from napari_mmsubtype.core.cases import Modality


def read_table_job(
    path: str | os.PathLike[str],
    *,
    modality: str | Modality | None = None,
    **reading: Any,
) -> Job[anndata.AnnData]:
    """Read a table as `table.read_omics` does; closing the job stops it at once.

    A short text is read in this process, within a moment. Anything else is read in a
    process of its own: that one can be ended, and while it reads, a window is drawn.

    Parameters
    ----------
    path : path
        File or folder.
    modality : str, Modality or None, default: None
        As `table.read_omics`.
    **reading : object
        ``unit``, ``samples_in`` and ``layer``, as `table.read_omics`.

    Yields
    ------
    Progress
        At least ten times a second while another process reads.

    Returns
    -------
    AnnData
        As `table.read_omics`, whose errors it raises too.
    """
    yield Progress("read", message=f"reading {Path(path).name}")
    options = {**reading, "modality": None if modality is None else str(modality)}
    here = partial(read_here, path, **options)
    if is_small_text(Path(path)) or not Path(path).exists():
        return here()
    return (yield from read_apart(os.fspath(path), options, here))
