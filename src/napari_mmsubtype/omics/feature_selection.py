"""Which features of the training patients are worth keeping."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 4096


def expressed_share(
    values: NDArray[np.floating], threshold: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Say in how many patients each feature is expressed.

    Parameters
    ----------
    values : ndarray of float, shape (patient, feature)
        TPM, FPKM, counts or their logarithms, NaN where missing.
    threshold : float, or ndarray of float64, shape (patient, 1)
        A value of at least this counts.

    Returns
    -------
    ndarray of float64, shape (feature,)
        Share of all patients, 0 to 1; a missing value is not expressed.
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(np.mean(np.asarray(values) >= threshold, axis=0), np.float64)


def missing_share(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Say in how many patients each feature is missing.

    Parameters
    ----------
    values : ndarray of float, shape (patient, feature)
        NaN where missing.

    Returns
    -------
    ndarray of float64, shape (feature,)
        Share of all patients, 0 to 1.
    """
    return np.asarray(np.mean(~np.isfinite(values), axis=0), np.float64)


def spread(
    values: NDArray[np.floating], measure: Literal["variance", "mad"]
) -> NDArray[np.float64]:
    """Measure how much each feature varies between patients.

    Parameters
    ----------
    values : ndarray of float, shape (patient, feature)
        NaN where missing.
    measure : {"variance", "mad"}
        Variance, or the median absolute deviation from the median, which a few
        outliers do not move.

    Returns
    -------
    ndarray of float64, shape (feature,)
        0 where a feature has no values.
    """
    found = np.zeros(values.shape[1])
    # In blocks: whole arrays of methylation would not fit twice.
    for start in range(0, values.shape[1], _BLOCK):
        block = np.array(values[:, start : start + _BLOCK], dtype=np.float64)
        block[~np.isfinite(block)] = np.nan
        with warnings.catch_warnings():
            # A feature without values is answered below.
            warnings.simplefilter("ignore", RuntimeWarning)
            if measure == "variance":
                score = np.nanvar(block, axis=0)
            else:
                center = np.nanmedian(block, axis=0)
                score = np.nanmedian(np.abs(block - center), axis=0)
        found[start : start + _BLOCK] = np.nan_to_num(score)
    return found


def keep_top(scores: NDArray[np.floating], top: int) -> NDArray[np.bool_]:
    """Mark the features with the highest scores.

    Parameters
    ----------
    scores : ndarray of float, shape (feature,)
        What they are judged by.
    top : int
        How many are kept, at most.

    Returns
    -------
    ndarray of bool, shape (feature,)
        True for the kept ones; of equal scores the earlier features are.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    kept = np.zeros(len(scores), dtype=bool)
    kept[order[:top]] = True
    return kept
