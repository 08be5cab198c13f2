from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar

from napari_mmsubtype.evaluation.metrics import balanced_accuracy, roc_auc
from napari_mmsubtype.evaluation.paired_tests import (
    corrected_t,
    delong,
    effect_size,
    mcnemar,
    permutation,
    wilcoxon,
)


def two_models(seed: int, n: int = 80, classes: int = 2, skills=(1.0, 1.0)):
    """Make two models that err together in part."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate(
        [np.arange(classes).repeat(2), rng.integers(classes, size=n)]
    )
    shared = rng.normal(size=(len(labels), classes))
    scores = []
    for skill in skills:
        own = rng.normal(size=shared.shape)
        logits = (shared + own + skill * np.eye(classes)[labels]).round(1)
        values = np.exp(logits)
        scores.append(values / values.sum(axis=1, keepdims=True))
    return labels, *scores


def brute_delong(labels, *models):
    """Follow the definition of DeLong: all pairs, sample covariances."""
    plus, minus = [], []
    for scores in models:
        x, y = scores[labels == 1, 1][:, None], scores[labels == 0, 1][None, :]
        psi = (x > y) + 0.5 * (x == y)
        plus.append(psi.mean(axis=1))
        minus.append(psi.mean(axis=0))
    cov = np.cov(plus) / len(plus[0]) + np.cov(minus) / len(minus[0])
    areas = [v.mean() for v in plus]
    z = (areas[0] - areas[1]) / np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    return z, 2 * stats.norm.sf(abs(z))


@pytest.mark.parametrize("seed", range(4))
def test_delong_follows_its_definition(seed):
    labels, one, other = two_models(seed, skills=(1.5, 0.7))
    found = delong(labels, one, other)
    assert (found.statistic, found.p) == pytest.approx(brute_delong(labels, one, other))
    assert delong(labels, other, one).statistic == pytest.approx(-found.statistic)


def test_error_of_delong_is_that_published_for_109_ct_images():
    # Ratings 1 to 5 of 58 normal and 51 abnormal images: Hanley and McNeil, Radiology
    # 1982, area 0.893. Its error by DeLong is 0.0307, as roctab of Stata gives it.
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    labels = np.repeat([0] * 5 + [1] * 5, normal + abnormal)
    rating = np.repeat([1.0, 2, 3, 4, 5] * 2, normal + abnormal)
    blind = np.full((109, 2), 0.5)
    area = roc_auc(labels, np.stack([-rating, rating], axis=1))
    found = delong(labels, np.stack([-rating, rating], axis=1), blind)
    assert area == pytest.approx(0.8932, abs=5e-5)
    # A model that says the same of everyone has an area of 0.5 without error.
    assert (area - 0.5) / found.statistic == pytest.approx(0.0307, abs=5e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_error_of_delong_is_that_of_the_bootstrap(classes):
    labels, one, other = two_models(1, n=250, classes=classes, skills=(1.6, 0.9))
    found = delong(labels, one, other)
    difference = roc_auc(labels, one) - roc_auc(labels, other)
    rng = np.random.default_rng(0)
    strata = [np.flatnonzero(labels == c) for c in range(classes)]
    draws = []
    for _ in range(600):
        rows = np.concatenate([rng.choice(s, len(s)) for s in strata])
        areas = [roc_auc(labels[rows], scores[rows]) for scores in (one, other)]
        draws.append(areas[0] - areas[1])
    assert difference / found.statistic == pytest.approx(np.std(draws), rel=0.12)


@pytest.mark.parametrize("classes", [2, 3])
def test_p_of_delong_is_uniform_where_models_are_alike(classes):
    p = [delong(*two_models(s, 120, classes)).p for s in range(250)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_delong_says_where_it_cannot_tell():
    labels = np.array([0, 0, 0, 1, 1])
    perfect = np.eye(2)[labels]
    assert delong(labels, perfect, perfect).p == 1
    assert delong(labels, perfect, perfect[::-1][[4, 3, 2, 1, 0]]).p == 1
    reverse = delong(labels, perfect, 1 - perfect)
    assert reverse.p is None
    assert "do not vary" in reverse.words()
    lone = delong([0, 0, 0, 1], np.eye(2)[[0, 0, 0, 1]], np.eye(2)[[0, 1, 0, 1]])
    assert lone.words() == "not made: a class has fewer than 2 patients"
    assert "rough guess" in delong(*two_models(0, 12)).note


@pytest.mark.parametrize(("gained", "lost"), [(0, 5), (7, 2), (3, 3), (12, 1), (0, 6)])
def test_mcnemar_agrees_with_statsmodels(gained, lost):
    first = np.array([True] * gained + [False] * lost + [True] * 4 + [False] * 3)
    second = np.array([False] * gained + [True] * lost + [True] * 4 + [False] * 3)
    found = mcnemar(first, second)
    expected = reference_mcnemar([[4, gained], [lost, 3]], exact=True)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.statistic, found.n) == (gained - lost, gained + lost)
    assert found.smallest_p == pytest.approx(2 / 2 ** (gained + lost))
    assert found.p >= found.smallest_p * (1 - 1e-12)


def test_mcnemar_of_equal_models_is_one():
    assert mcnemar([True, False], [True, False]).p == 1


def test_mcnemar_is_never_too_sure():
    rng = np.random.default_rng(0)
    p = np.array([mcnemar(*(rng.random((2, 60)) < 0.7)).p for _ in range(800)])
    for level in (0.01, 0.05, 0.2):
        assert (p <= level).mean() <= level + 2 * np.sqrt(level / 800)


def test_corrected_t_is_the_plain_one_without_correction():
    values = np.random.default_rng(0).normal(0.1, 0.2, 10)
    found = corrected_t(values, 0.0)
    expected = stats.ttest_1samp(values, 0)
    assert (found.statistic, found.p) == pytest.approx(tuple(expected))


def test_correction_for_five_folds_by_hand():
    values = [0.02, 0.04, 0.03, 0.05, 0.01]
    # mean .03, variance .00025; factor 1/5 + 1/4.
    t = 0.03 / np.sqrt(0.45 * 0.00025)
    found = corrected_t(values, 1 / 4)
    assert found.statistic == pytest.approx(t)
    assert found.p == pytest.approx(2 * stats.t.sf(t, 4))
    assert corrected_t(values, 0).p < found.p


def test_p_of_corrected_t_is_uniform_where_folds_correlate_as_it_assumes():
    # Correlation rho between folds: Var(mean) = s²(1/J + rho/(1-rho)).
    rng, j, rho = np.random.default_rng(3), 5, 0.2
    shared, own = rng.normal(size=(400, 1)), rng.normal(size=(400, j))
    values = np.sqrt(rho) * shared + np.sqrt(1 - rho) * own
    p = [corrected_t(row, rho / (1 - rho)).p for row in values]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    naive = [corrected_t(row, 0).p for row in values]
    assert np.mean(np.array(naive) < 0.05) > 0.08


def test_folds_that_differ_by_the_same_or_not_at_all():
    assert corrected_t([0.1, 0.1, 0.1], 0.25).p is None
    assert corrected_t([0.0, 0.0], 0.25).p == 1
    assert "it needs 2" in corrected_t([0.1], 0.25).words()


@pytest.mark.parametrize("seed", range(5))
def test_wilcoxon_agrees_with_scipy(seed):
    values = np.random.default_rng(seed).normal(0.3, 1, 9)
    found = wilcoxon(values)
    expected = stats.wilcoxon(values, method="exact")
    assert found.p == pytest.approx(expected.pvalue)
    assert min(found.statistic, 45 - found.statistic) == expected.statistic


def test_wilcoxon_counts_all_sign_patterns_where_ranks_tie():
    values = np.array([0.1, 0.1, -0.2, 0.3, 0.3, 0.3, -0.1])
    ranks = stats.rankdata(np.abs(values))
    sums = [ranks[np.array(s)].sum() for s in product([True, False], repeat=7)]
    off = abs(ranks[values > 0].sum() - ranks.sum() / 2)
    expected = np.mean(np.abs(np.array(sums) - ranks.sum() / 2) >= off - 1e-9)
    assert wilcoxon(values).p == pytest.approx(expected)


@pytest.mark.parametrize(
    ("folds", "least"), [(5, 0.0625), (6, 0.03125), (10, 2 / 1024)]
)
def test_smallest_p_of_wilcoxon_is_reached_and_printed(folds, least):
    found = wilcoxon(np.linspace(0.1, 0.2, folds))
    assert found.p == pytest.approx(least)
    assert found.smallest_p == pytest.approx(least)
    assert ("cannot show a difference" in found.words()) == (folds == 5)


def test_folds_without_a_difference_raise_the_smallest_p():
    assert wilcoxon([0.1, 0.2, 0.3, 0, 0]).smallest_p == pytest.approx(0.25)
    assert wilcoxon([0.0, 0.0]).p == 1


def test_permutation_agrees_with_all_swaps():
    labels, one, other = two_models(2, n=6, skills=(2, 0))
    found = balanced_accuracy(labels, one) - balanced_accuracy(labels, other)
    beyond = []
    for swap in product([False, True], repeat=len(labels)):
        s = np.array(swap)[:, None]
        drawn = balanced_accuracy(labels, np.where(s, other, one)) - balanced_accuracy(
            labels, np.where(s, one, other)
        )
        beyond.append(abs(drawn) >= abs(found) - 1e-12)
    verdict = permutation(balanced_accuracy, labels, one, other, permutations=999)
    assert verdict.p == pytest.approx(np.mean(beyond), abs=0.04)
    assert verdict.statistic == pytest.approx(found)
    assert verdict.smallest_p == pytest.approx(0.001)


def test_p_of_permutation_is_uniform_where_models_are_alike():
    p = []
    for seed in range(150):
        labels, one, other = two_models(seed, n=30)
        # The second is as good but far surer: ranks must not care.
        sure = other**4 / (other**4).sum(axis=1, keepdims=True)
        verdict = permutation(
            roc_auc, labels, one, sure, is_ranking=True, permutations=99, seed=seed
        )
        p.append(verdict.p)
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_effect_size_by_hand():
    assert effect_size([0.1, 0.2, 0.3]) == pytest.approx(0.2 / 0.1)
    assert effect_size([0.1, 0.1]) is None
    assert effect_size([0.1]) is None
