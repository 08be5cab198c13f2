"""Numbers of a model: ranks, gaps filled, z-scores, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from napari_mmsubtype.omics.modality_spec import ModalitySpec

# Blom's plotting positions: nearly unbiased for a normal distribution.
_BLOM = 0.375


def rank_normal(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Replace each sample's values by the normal quantiles of their ranks.

    What remains is the order of the features within the sample: nothing that is the
    same for all of them, such as depth or the unit, matters.

    Parameters
    ----------
    values : ndarray of float, shape (sample, feature)
        NaN where missing.

    Returns
    -------
    ndarray of float64, shape (sample, feature)
        ``Phi^-1((rank - 3/8) / (n + 1/4))`` over the ``n`` values a sample has, equal
        values sharing the mean of their ranks; NaN where missing.
    """
    # Slow to import, and needed by few.
    from scipy.stats import rankdata

    given = np.asarray(values, dtype=np.float64)
    out = np.full(given.shape, np.nan)
    for source, target in zip(given, out, strict=True):
        seen = np.isfinite(source)
        count = int(seen.sum())
        if count:
            ranks = rankdata(source[seen])
            target[seen] = ndtri((ranks - _BLOM) / (count + 1 - 2 * _BLOM))
    return out


def impute_neighbors(
    scaled: NDArray[np.floating], reference: pd.DataFrame, neighbors: int
) -> NDArray[np.float64]:
    """Fill gaps by the mean of the most similar training patients.

    Similarity is the Euclidean distance over the features that both have; each gap is
    filled from the nearest patients that have this feature [1]_.

    Parameters
    ----------
    scaled : ndarray of float, shape (sample, feature)
        Z-scores, NaN where missing.
    reference : DataFrame of float32, shape (training patient, feature)
        Z-scores of the training patients, NaN where missing.
    neighbors : int
        How many of them are averaged.

    Returns
    -------
    ndarray of float64, shape (sample, feature)
        NaN stays in rows without any value, and where no patient who has the feature
        shares another one with the row.

    References
    ----------
    .. [1] Troyanskaya et al., "Missing value estimation methods for DNA microarrays",
       Bioinformatics 17:520, 2001.
    """
    out = np.array(scaled, dtype=np.float64)
    known = reference.to_numpy(dtype=np.float64)
    has = np.isfinite(known)
    known = np.where(has, known, 0.0)
    for row in out:
        seen = np.isfinite(row)
        if seen.all() or not seen.any():
            continue
        both = has[:, seen]
        with np.errstate(invalid="ignore", divide="ignore"):
            # Scaled up to all features, so that few in common do not look near.
            square = ((known[:, seen] - row[seen]) ** 2 * both).sum(axis=1)
            distance = square * row.size / both.sum(axis=1)
        order = np.argsort(distance, kind="stable")
        order = order[np.isfinite(distance[order])]
        gaps = np.flatnonzero(~seen)
        donors = has[np.ix_(order, gaps)]
        chosen = donors & (np.cumsum(donors, axis=0) <= neighbors)
        total = (known[np.ix_(order, gaps)] * chosen).sum(axis=0)
        count = chosen.sum(axis=0)
        row[gaps[count > 0]] = total[count > 0] / count[count > 0]
    return out


def scale_values(
    values: NDArray[np.floating], spec: ModalitySpec, *, as_it_is: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bring values in the model's unit to the model's scale.

    Parameters
    ----------
    values : ndarray of float, shape (sample, feature)
        In the model's unit and order, NaN where missing.
    spec : ModalitySpec
        RNA or methylation, as fitted.
    as_it_is : bool, default: False
        The values are z-scores already.

    Returns
    -------
    scaled : ndarray of float32, shape (sample, feature)
        Ranked if the model is, z-scored by training, clipped, gaps filled.
    clipped : ndarray of bool, shape (sample, feature)
        What was clipped.
    """
    mean, std, fill = (
        spec.features[name].to_numpy(np.float64) for name in ("mean", "std", "fill")
    )
    if spec.rank_normal:
        values = rank_normal(values)
    scaled = np.asarray(values if as_it_is else (values - mean) / std, np.float64)
    scaled = np.where(np.isfinite(values), scaled, np.nan)
    with np.errstate(invalid="ignore"):
        clipped = np.abs(scaled) > spec.clip
    scaled = np.clip(scaled, -spec.clip, spec.clip)
    if spec.reference is not None:
        scaled = impute_neighbors(scaled, spec.reference, spec.neighbors)
    default = np.clip((fill - mean) / std, -spec.clip, spec.clip)
    return np.where(np.isnan(scaled), default, scaled).astype(np.float32), clipped
