"""Training patches that a bundle may carry, for maps of what patches look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.subtypes import UNKNOWN_CLASS
from napari_mmsubtype.errors import (
    BundleError,
    BundleIntegrityError,
    ConfigurationError,
)
from napari_mmsubtype.models.bundle_files import opened, sha256_file
from napari_mmsubtype.models.bundle_manifest import find_bundle, read_description
from napari_mmsubtype.models.bundle_schema import MANIFEST, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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


def load_reference(
    source: str | Path, digest: str, *, dim: int, classes: int
) -> tuple[NDArray[np.float16], NDArray[np.uint8]] | None:
    """Load the training patches of a bundle, and no networks, hence no PyTorch.

    Parameters
    ----------
    source : str or Path
        As `bundle.load_bundle` takes it.
    digest : str
        Of the bundle that is meant; another one is refused.
    dim : int
        Length of an embedding.
    classes : int
        How many the model tells apart.

    Returns
    -------
    embeddings, classes : ndarray
        As `read_reference` gives them; None where the bundle carries none.

    Raises
    ------
    ConfigurationError
        If the bundle is another one.
    BundleError
        If there is no bundle, or its arrays do not fit the model.
    BundleIntegrityError
        If a file was changed, is missing or cannot be read.
    """
    path = find_bundle(source)
    try:
        with opened(path) as folder:
            manifest, _ = read_description(folder, path)
            if sha256_file(folder / MANIFEST) != digest:
                msg = f"bundle {str(source)!r} is no longer the one that is meant"
                raise ConfigurationError(msg)
            arrays = read_arrays(folder / REFERENCE, manifest["files"])
    except OSError as err:
        msg = f"bundle {str(path)!r} cannot be read ({err}); check its permissions"
        raise BundleError(msg) from err
    return read_reference(arrays, dim=dim, classes=classes)


def read_arrays(
    path: Path, listed: Mapping[str, str]
) -> dict[str, NDArray[np.generic]]:
    """Read the statistics of the training data, if the bundle has them.

    Parameters
    ----------
    path : Path
        ``reference.npz`` of an unpacked bundle.
    listed : mapping of str to str
        Files of the bundle, all checked, with their hashes.

    Returns
    -------
    dict of str to ndarray
        By name; empty where the bundle has none.

    Raises
    ------
    BundleIntegrityError
        If the file holds anything else than plain arrays.
    """
    if path.name not in listed:
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, AttributeError) as err:
        msg = (
            f"{path.name!r} in bundle {path.parent.name!r} does not hold plain arrays "
            f"({err}); arrays of Python objects are refused"
        )
        raise BundleIntegrityError(msg) from err


def _are_classes(known: NDArray[Any], count: int) -> bool:
    """Tell whether these are indices of classes, or unknown."""
    return bool(((known < count) | (known == UNKNOWN_CLASS)).all())
