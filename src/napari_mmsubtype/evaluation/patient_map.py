"""A map of patients: near each other where their data are alike, labels unseen."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LEAST_PATIENTS = 10
"""Fewer patients have no map worth a look."""

_COMPONENTS = 50
_NEIGHBORS = 15


def patient_map(values: ArrayLike, *, seed: int = 0) -> NDArray[np.float64]:
    """Lay patients out in a plane by UMAP, after a principal component analysis.

    Parameters
    ----------
    values : array_like of float, shape (n, d)
        One row per patient, such as the mean embedding of its slides; gaps (NaN) count
        as the mean of their column.
    seed : int, default: 0
        Of the layout.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        The same for the same rows and seed. Distances between groups mean little.

    Raises
    ------
    ValueError
        If there are fewer than `LEAST_PATIENTS` patients, or no column varies.

    References
    ----------
    .. [1] McInnes, Healy and Melville, "UMAP: uniform manifold approximation and
       projection for dimension reduction", 2018.
    """
    rows = np.array(values, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < LEAST_PATIENTS:
        msg = f"a map needs {LEAST_PATIENTS} patients, found values {rows.shape}"
        raise ValueError(msg)
    known = np.isfinite(rows)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, rows, 0.0).sum(axis=0) / count
    rows = np.where(known, rows - mean, 0.0)
    if not rows.any():
        msg = "a map needs values that differ between patients, found none"
        raise ValueError(msg)
    parts = min(_COMPONENTS, len(rows) - 1, rows.shape[1])
    reduced = PCA(parts, random_state=seed).fit_transform(rows)
    with warnings.catch_warnings():
        # UMAP remarks that a seed takes one thread, and that few rows need dense
        # linear algebra; neither is news to a caller.
        warnings.simplefilter("ignore")
        from umap import UMAP

        layout = UMAP(
            n_neighbors=min(_NEIGHBORS, len(rows) - 1), random_state=seed, n_jobs=1
        )
        return np.asarray(layout.fit_transform(reduced), dtype=np.float64)
