"""Lay patches out on a plane, like beside like: principal components, then UMAP."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_mmsubtype.results.patch_map import MapSpec

    Tell = Callable[[str, int, int], None]

BLOCK = 4096
"""Patches that are read and placed at a time."""

FEWEST = 3
"""Patches that a map needs."""

_FEW = 50
"""Fewer patches than these start from random places: they have no spectrum."""


def lay_out(
    embeddings: Any,
    used: NDArray[np.bool_],
    spec: MapSpec,
    tell: Tell,
    *,
    reference: NDArray[np.floating] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lay the patches of a slide out on a plane.

    Parameters
    ----------
    embeddings : array-like of float, shape (n, d)
        Sliced block by block, never read whole.
    used : ndarray of bool, shape (n,)
        Patches to place, at least `FEWEST`.
    spec : MapSpec
        How.
    tell : callable
        Hears of stage, done and total: ``read``, ``fit`` and ``place``.
    reference : ndarray of float, shape (k, d), optional
        Training patches that the map is laid out from; the slide's are then placed on
        it. Left out, it is laid out from the slide's own, thinned by chance where they
        are more than ``spec.fit_limit``.

    Returns
    -------
    points : ndarray of float32, shape (n, 2)
        NaN where not used.
    reference_points : ndarray of float32, shape (k, 2)
        Places of the reference; empty without one.
    """
    draw = np.random.default_rng(spec.seed)
    every = np.flatnonzero(used)
    points = np.full((len(used), 2), np.nan, np.float32)
    if reference is None:
        chosen = every
        if len(every) > spec.fit_limit:
            chosen = np.sort(draw.choice(every, spec.fit_limit, replace=False))
        base = _gather(embeddings, chosen, tell)
    else:
        chosen, base = every[:0], np.asarray(reference, np.float32)
    project, scores = _principal(base, spec)
    tell("fit", 0, 0)
    model = _fit(scores, spec)
    fitted = np.asarray(model.embedding_, np.float32)
    if reference is None:
        points[chosen] = fitted
    rest = np.setdiff1d(every, chosen, assume_unique=True)
    done = len(chosen)
    for part in _blocks(rest):
        tell("place", done, len(every))
        rows = _rows(embeddings, part)
        points[part] = model.transform(project(rows))
        done += len(part)
    return points, fitted[:0] if reference is None else fitted


def _principal(
    base: NDArray[np.float32], spec: MapSpec
) -> tuple[Callable[[NDArray[np.float32]], NDArray[np.float32]], NDArray[np.float32]]:
    """Learn principal components; give what projects onto them, and the projection."""
    from sklearn.decomposition import PCA

    count = min(spec.components, *base.shape)
    model = PCA(count, svd_solver="full" if len(base) < _FEW else "covariance_eigh")
    scores = model.fit_transform(base)
    return model.transform, np.asarray(scores, np.float32)


def _fit(scores: NDArray[np.float32], spec: MapSpec) -> Any:
    with warnings.catch_warnings():
        # It tells at its import that TensorFlow, which nothing here needs, is missing.
        warnings.simplefilter("ignore", ImportWarning)
        from umap import UMAP

    model = UMAP(
        n_neighbors=max(2, min(spec.neighbors, len(scores) - 1)),
        min_dist=spec.min_dist,
        init="random" if len(scores) < _FEW else "spectral",
        random_state=spec.seed,
        transform_seed=spec.seed,
        n_jobs=1,
    )
    return model.fit(scores)


def _gather(
    embeddings: Any, index: NDArray[np.int64], tell: Tell
) -> NDArray[np.float32]:
    """Read some patches, block by block."""
    parts = []
    done = 0
    for part in _blocks(index):
        tell("read", done, len(index))
        parts.append(_rows(embeddings, part))
        done += len(part)
    return np.concatenate(parts)


def _blocks(index: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Divide sorted patches by the blocks of the store that they lie in."""
    if len(index):
        for number in range(int(index[0]) // BLOCK, int(index[-1]) // BLOCK + 1):
            part = index[index // BLOCK == number]
            if len(part):
                yield part


def _rows(embeddings: Any, part: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read patches of one block."""
    first, last = int(part[0]), int(part[-1])
    block = np.asarray(embeddings[first : last + 1], np.float32)
    return block[part - first]
