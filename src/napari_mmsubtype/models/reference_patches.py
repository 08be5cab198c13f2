"""Training patches that a bundle may carry, for maps of what patches look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.subtypes import UNKNOWN_CLASS
from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle_schema import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

EMBEDDING = "patches.embedding"
CLASS = "patches.class"
"""Names of the arrays in ``reference.npz``."""


def pack_reference(
    embeddings: ArrayLike, classes: ArrayLike | None = None
) -> dict[str, NDArray[np.generic]]:
    """Make training patches part of the reference of a bundle.

    Parameters
    ----------
    embeddings : array-like of float, shape (k, d)
        Of patches of training slides, a few thousand at most.
    classes : array-like of int, shape (k,), optional
        Index of each patch's class, usually that of its patient; 255 where not known.

    Returns
    -------
    dict of str to ndarray
        For the ``reference`` of `save_bundle`.
    """
    rows = np.asarray(embeddings, np.float16)
    known = (
        np.full(len(rows), UNKNOWN_CLASS) if classes is None else np.asarray(classes)
    )
    return {EMBEDDING: rows, CLASS: known.astype(np.uint8)}


def read_reference(
    reference: Mapping[str, NDArray[np.generic]], *, dim: int, classes: int
) -> tuple[NDArray[np.float16], NDArray[np.uint8]] | None:
    """Read the training patches of a bundle.

    Parameters
    ----------
    reference : mapping of str to ndarray
        Arrays of ``reference.npz``.
    dim : int
        Length of an embedding.
    classes : int
        How many the model tells apart.

    Returns
    -------
    embeddings : ndarray of float16, shape (k, d)
        Of the patches.
    classes : ndarray of uint8, shape (k,)
        Theirs; `subtypes.UNKNOWN_CLASS` where not known.

    Raises
    ------
    BundleError
        If the arrays do not fit the model. None is returned where there are none.
    """
    if EMBEDDING not in reference:
        return None
    rows = reference[EMBEDDING]
    known = reference.get(CLASS, np.full(len(rows), UNKNOWN_CLASS, np.uint8))
    fits = (
        rows.ndim == 2
        and rows.shape[1] == dim
        and np.issubdtype(rows.dtype, np.floating)
        and known.shape == (len(rows),)
        and _are_classes(known, classes)
    )
    if not fits:
        msg = (
            f"{REFERENCE}: {EMBEDDING} has shape {rows.shape} and {CLASS} shape "
            f"{known.shape}; expected (k, {dim}) numbers and (k,) classes below "
            f"{classes}, or {UNKNOWN_CLASS}: write the bundle again with save_bundle "
            "and pack_reference"
        )
        raise BundleError(msg)
    return rows.astype(np.float16), known.astype(np.uint8)


def _are_classes(known: NDArray[Any], count: int) -> bool:
    """Tell whether these are indices of classes, or unknown."""
    return bool(((known < count) | (known == UNKNOWN_CLASS)).all())
