"""Tests of two models on the same patients or the same folds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest, norm, rankdata
from scipy.stats import t as student

from napari_mmsubtype.evaluation.verdict import Verdict

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_mmsubtype.evaluation.metrics import Metric

PERMUTATIONS = 1999
"""Swaps behind a permutation test: its smallest p-value is 0.0005."""

_FEW = 10


def delong(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> Verdict:
    """Compare the areas under the ROC curves of two models on the same patients.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes of patients, each patient once.
    first, second : array_like of float, shape (n, c)
        Probabilities by either model.

    Returns
    -------
    Verdict
        Of z, positive where the first is better. Where there are more than two
        classes, of the mean area of each class against the rest.

    References
    ----------
    .. [1] DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more
       correlated receiver operating characteristic curves", Biometrics 1988.
    .. [2] Sun and Xu, "Fast implementation of DeLong's algorithm", IEEE Signal
       Processing Letters 2014.
    """
    truth = np.asarray(labels, dtype=np.int64)
    scores = [np.asarray(values, dtype=np.float64) for values in (first, second)]
    count = scores[0].shape[1]
    classes = [1] if count == 2 else list(range(count))
    rarest = min(min(int((truth == c).sum()), int((truth != c).sum())) for c in classes)
    if rarest < 2:
        return Verdict(
            "delong", None, None, n=len(truth), note="a class has fewer than 2 patients"
        )
    areas, parts = zip(*(_area(truth, s, classes) for s in scores), strict=True)
    error = math.sqrt(float(((parts[0] - parts[1]) ** 2).sum()))
    difference = areas[0] - areas[1]
    note = "" if rarest >= _FEW else f"a rough guess: {rarest} patients in a class"
    if error == 0:
        # Equal rankings; or perfect ones, whose error cannot be told.
        p = 1.0 if difference == 0 else None
        note = note if p else "the rankings do not vary"
        return Verdict("delong", 0.0 if p else None, p, n=len(truth), note=note)
    z = difference / error
    return Verdict("delong", z, float(2 * norm.sf(abs(z))), n=len(truth), note=note)


def _area(
    truth: NDArray[np.int64], scores: NDArray[np.float64], classes: list[int]
) -> tuple[float, NDArray[np.float64]]:
    """Give an area and what each patient adds to its error, by midranks."""
    area, parts = 0.0, np.zeros(len(truth))
    for value in classes:
        member = truth == value
        score = scores[:, value]
        m, n = int(member.sum()), int((~member).sum())
        ranks = rankdata(score)
        plus = (ranks[member] - rankdata(score[member])) / n
        minus = 1 - (ranks[~member] - rankdata(score[~member])) / m
        own = float(plus.mean())
        parts[member] += (plus - own) / math.sqrt(m * (m - 1))
        parts[~member] += (minus - own) / math.sqrt(n * (n - 1))
        area += own
    return area / len(classes), parts / len(classes)


def mcnemar(first: ArrayLike, second: ArrayLike) -> Verdict:
    """Compare how often two models are right, by the exact test of McNemar.

    Parameters
    ----------
    first, second : array_like of bool, shape (n,)
        Whether either model is right about each patient.

    Returns
    -------
    Verdict
        Of the patients that only the first gets right minus those that only the second
        does; `n` is their sum. With k of them no p-value is below ``2 / 2**k``.
    """
    one, other = (np.asarray(right, dtype=bool) for right in (first, second))
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    discordant = gained + lost
    if not discordant:
        note = "both models are right and wrong about the same patients"
        return Verdict("mcnemar", 0.0, 1.0, 1.0, 0, note)
    p = float(binomtest(gained, discordant).pvalue)
    least = min(1.0, 2 * 0.5**discordant)
    return Verdict("mcnemar", float(gained - lost), p, least, discordant)


def corrected_t(differences: ArrayLike, test_to_train: float) -> Verdict:
    """Test fold-wise differences, mindful that folds share training patients.

    Parameters
    ----------
    differences : array_like of float, shape (j,)
        Metric of the first model minus that of the second, one per fold and repeat.
    test_to_train : float
        Test patients per training patient of a fold: 1/4 for five folds.

    Returns
    -------
    Verdict
        Of t with j - 1 degrees of freedom.

    References
    ----------
    .. [1] Nadeau and Bengio, "Inference for the generalization error", Machine
       Learning 2003.
    .. [2] Bouckaert and Frank, "Evaluating the replicability of significance tests for
       comparing learning algorithms", PAKDD 2004.
    """
    values = np.asarray(differences, dtype=np.float64)
    count = len(values)
    if count < 2:
        note = f"{count} folds; it needs 2"
        return Verdict("corrected_t", None, None, n=count, note=note)
    spread = float(values.var(ddof=1))
    center = float(values.mean())
    if spread <= np.finfo(np.float64).eps * max(center**2, 1e-30):
        if center == 0:
            return Verdict("corrected_t", 0.0, 1.0, n=count, note="no fold differs")
        note = "all folds differ by the same"
        return Verdict("corrected_t", None, None, n=count, note=note)
    t = center / math.sqrt((1 / count + test_to_train) * spread)
    return Verdict("corrected_t", t, float(2 * student.sf(abs(t), count - 1)), n=count)


def wilcoxon(differences: ArrayLike) -> Verdict:
    """Test fold-wise differences by their signed ranks, exactly.

    Parameters
    ----------
    differences : array_like of float, shape (j,)
        Metric of the first model minus that of the second, one per fold; folds that do
        not differ are left out.

    Returns
    -------
    Verdict
        Of the rank sum of the folds in which the first is better. With k folds that
        differ no p-value is below ``2 / 2**k``: 0.0625 for five.

    Notes
    -----
    The distribution is that of all sign patterns of the ranks found, so that ties are
    exact as well.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    count = len(values)
    if not count:
        return Verdict("wilcoxon", 0.0, 1.0, 1.0, 0, "no fold differs")
    # Midranks are halves at worst: doubled, they are whole.
    ranks = np.rint(2 * rankdata(np.abs(values))).astype(np.int64)
    law = np.ones(1)
    for rank in ranks:
        wider = np.zeros(len(law) + rank)
        wider[: len(law)] += law / 2
        wider[rank:] += law / 2
        law = wider
    found = int(ranks[values > 0].sum())
    off = np.abs(2 * np.arange(len(law)) - ranks.sum())
    p = float(law[off >= abs(2 * found - int(ranks.sum()))].sum())
    least = min(1.0, 2 * 0.5**count)
    return Verdict("wilcoxon", found / 2, min(max(p, least), 1.0), least, count)


def permutation(
    metric: Metric,
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    is_ranking: bool = False,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Verdict:
    """Swap the answers of two models patient by patient, and see what chance does.

    Parameters
    ----------
    metric : callable
        Labels (n,) and probabilities (n, c) to float.
    labels : array_like of int, shape (n,)
        True classes of patients, each patient once.
    first, second : array_like of float, shape (n, c)
        Probabilities by either model.
    is_ranking : bool, default: False
        Whether the metric depends on the order of patients only, as `roc_auc`; answers
        are then swapped as ranks, for models differ in how sure they are.
    permutations : int, default: 1999
        Number of random swaps.
    seed : int, default: 0
        Of the swaps.

    Returns
    -------
    Verdict
        Of the difference of the metric, first minus second.
    """
    truth = np.asarray(labels, dtype=np.int64)
    prepare = _ranked if is_ranking else _unchanged
    one, other = (
        prepare(np.asarray(values, dtype=np.float64)) for values in (first, second)
    )
    found = metric(truth, one) - metric(truth, other)
    rng = np.random.default_rng(seed)
    beyond = 0
    for _ in range(permutations):
        swapped = rng.random(len(truth))[:, None] < 0.5
        drawn = metric(truth, np.where(swapped, other, one)) - metric(
            truth, np.where(swapped, one, other)
        )
        beyond += abs(drawn) >= abs(found) - 1e-12
    least = 1 / (permutations + 1)
    p = (1 + beyond) / (permutations + 1)
    return Verdict("permutation", found, p, least, permutations)


def effect_size(differences: ArrayLike) -> float | None:
    """Give Cohen's d_z: the mean difference in its own standard deviations.

    Parameters
    ----------
    differences : array_like of float, shape (j,)
        One per fold; folds vary little, so values above 1 are common.

    Returns
    -------
    float or None
        None where the differences do not vary.
    """
    values = np.asarray(differences, dtype=np.float64)
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    if spread <= 1e-12 * float(np.abs(values).max(initial=1.0)):
        return None
    return float(values.mean()) / spread


def _unchanged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values


def _ranked(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn probabilities into ranks between 0 and 1, class by class."""
    ranks = rankdata(values, axis=0) / (len(values) + 1)
    if values.shape[1] == 2:
        ranks[:, 0] = 1 - ranks[:, 1]
    found: NDArray[np.float64] = ranks
    return found
