"""What a model would call if one patch were the whole slide, as an array of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import zarr

from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store_chunks import WHOLE, read_whole
from napari_mmsubtype.results.store_damage import holds

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_CHUNK = 4096


def write_patch_calls(
    path: Path, used: NDArray[np.bool_], calls: NDArray[np.float32]
) -> None:
    """Write the call from each patch alone.

    Parameters
    ----------
    path : Path
        A store; what an earlier run left there is replaced.
    used : ndarray of bool, shape (n,)
        Patches that enter the call of the slide; the others get NaN.
    calls : ndarray of float32, shape (k, c)
        Probabilities of the used patches, in their order.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    every = np.full((len(used), calls.shape[1]), np.nan, np.float32)
    every[used] = calls
    try:
        root = zarr.open_group(path, mode="r+")
        root.create_array(
            schema.PATCH_CALL,
            data=every,
            chunks=(min(_CHUNK, max(len(every), 1)), every.shape[1]),
            overwrite=True,
            **WHOLE,
        )
    except OSError as err:
        msg = (
            f"writing to {str(path)!r} failed: {err.strerror or err}; what was written "
            "so far is kept, and the same request resumes there once there is room"
        )
        raise StoreError(msg) from err


def read_patch_calls(path: Path) -> NDArray[np.float32] | None:
    """Read what `write_patch_calls` wrote.

    Parameters
    ----------
    path : Path
        A store.

    Returns
    -------
    ndarray of float32, shape (n, c), or None
        None in stores of earlier versions, and where the model does not look at the
        image.
    """
    root = zarr.open_group(path, mode="r")
    if not holds(root, schema.PATCH_CALL):
        return None
    return np.asarray(read_whole(root, schema.PATCH_CALL), np.float32)
