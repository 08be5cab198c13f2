"""Resamples of patients as weights of rows, so that metrics come in one sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.evaluation.metrics import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    RowWeights = NDArray[np.float64]
    Sweep = Callable[[RowWeights], dict[str, NDArray[np.float64]]]

REPEATS = 2000
"""Resamples behind an interval, unless another number is asked for."""

_MOST_CELLS = 2_000_000


def patient_weights(
    patients: Sequence[str],
    strata: ArrayLike,
    *,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Iterator[NDArray[np.float64]]:
    """Draw patients with replacement within strata, again and again.

    Parameters
    ----------
    patients : sequence of str, length n
        Patient of each row; all rows of a patient are drawn together.
    strata : array_like, shape (n,) or (n, k)
        What each resample holds as often as the rows do, such as class and fold; the
        patient's first row decides.
    repeats : int, default: 2000
        Number of resamples.
    seed : int, default: 0
        Of the draws.

    Yields
    ------
    ndarray of float64, shape (b, n)
        How often each row is in each of the next b resamples; b adds up to `repeats`
        and keeps the memory small.
    """
    named = np.asarray(patients, dtype=str)
    kinds = np.asarray(strata)
    kinds = kinds.reshape(len(kinds), -1)
    if len(named) != len(kinds) or not len(named):
        msg = f"{len(kinds)} rows need as many patients, found {len(named)}"
        raise ValueError(msg)
    names, first, member = np.unique(named, return_index=True, return_inverse=True)
    _, stratum = np.unique(kinds[first], axis=0, return_inverse=True)
    groups = [np.flatnonzero(stratum == s) for s in range(int(stratum.max()) + 1)]
    rng = np.random.default_rng(seed)
    at_once = max(1, min(repeats, _MOST_CELLS // len(named)))
    for start in range(0, repeats, at_once):
        count = min(at_once, repeats - start)
        times = np.empty((count, len(names)))
        for group in groups:
            size = len(group)
            drawn = rng.integers(size, size=(count, size))
            drawn += size * np.arange(count)[:, None]
            times[:, group] = np.bincount(
                drawn.ravel(), minlength=count * size
            ).reshape(count, size)
        yield times[:, member]


def estimates(
    sweep: Sweep,
    patients: Sequence[str],
    strata: ArrayLike,
    *,
    repeats: int = REPEATS,
    level: float = 0.95,
    seed: int = 0,
    biased: Collection[str] = (),
) -> dict[str, Estimate | None]:
    """Give metrics their percentile intervals from resampled patients.

    Parameters
    ----------
    sweep : callable
        Row weights (b, n) to metrics by name, each (b,); NaN where a metric cannot be
        computed.
    patients : sequence of str, length n
        Patient of each row.
    strata : array_like, shape (n,) or (n, k)
        As in `patient_weights`.
    repeats : int, default: 2000
        Number of resamples.
    level : float, default: 0.95
        Coverage of the intervals.
    seed : int, default: 0
        Of the draws.
    biased : collection of str, default: ()
        Metrics from 0 up that resamples raise by themselves, as rows that are drawn
        twice do to a calibration error: their draws are moved so that the median is
        the value found, and none is below 0.

    Returns
    -------
    dict of str to Estimate or None
        None where the metric cannot be computed on the rows as they are. Resamples in
        which it cannot are left out of its interval.
    """
    values = sweep(np.ones((1, len(patients))))
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in values}
    drawn = patient_weights(patients, strata, repeats=repeats, seed=seed)
    for weights in drawn:
        for name, draws in sweep(weights).items():
            found[name].append(draws)
    return {
        name: _estimate(
            float(values[name][0]),
            np.concatenate(draws),
            level,
            is_biased=name in biased,
        )
        for name, draws in found.items()
    }


def _estimate(
    value: float, draws: NDArray[np.float64], level: float, *, is_biased: bool
) -> Estimate | None:
    if not np.isfinite(value):
        return None
    kept = draws[np.isfinite(draws)]
    if not len(kept):
        return Estimate(value, value, value, level)
    if is_biased:
        kept = np.maximum(kept - np.median(kept) + value, 0.0)
    tail = (1 - level) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), level)
