from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import RAPSConformityScore
from scipy.stats import betabinom
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedShuffleSplit

from napari_mmsubtype.evaluation.conformal import (
    METHODS,
    ConformalRule,
    class_scores,
    conformal_quantile,
    fit_conformal,
    needed,
)

ROW = [[0.2, 0.5, 0.3]]


def patients(n: int, rng: np.random.Generator, classes: int = 3, rare: bool = False):
    """Labels, and probabilities that know something of them but not honestly."""
    share = np.array([0.75, 0.2, 0.05]) if rare else np.full(classes, 1 / classes)
    labels = rng.choice(classes, size=n, p=share)
    logits = rng.normal(0, 1, (n, classes))
    logits[np.arange(n), labels] += 1.2
    odds = np.exp(2 * logits)  # boasting: sets must hold in spite of it
    return labels, odds / odds.sum(axis=1, keepdims=True)


def rebuilt_scores(p, method, u, penalty, free):
    """Walk down the list of classes, as the papers describe it."""
    out = np.empty_like(p)
    for i, row in enumerate(p):
        ranked = sorted(range(len(row)), key=lambda c: -row[c])
        for place, c in enumerate(ranked):
            if method == "lac":
                out[i, c] = 1 - row[c]
                continue
            total = sum(row[other] for other in ranked[: place + 1])
            total -= (1 - u[i]) * row[c]
            if method == "raps":
                total += penalty * max(0, place + 1 - free)
            out[i, c] = total
    return out


def test_scores_closed_forms() -> None:
    assert class_scores(ROW) == pytest.approx(np.array([[0.8, 0.5, 0.7]]))
    assert class_scores(ROW, "aps") == pytest.approx(np.array([[1.0, 0.5, 0.8]]))
    half = class_scores(ROW, "aps", noise=[0.5])
    assert half == pytest.approx(np.array([[0.9, 0.25, 0.65]]))
    raps = class_scores(ROW, "raps", penalty=0.1, free_classes=1)
    assert raps == pytest.approx(np.array([[1.2, 0.5, 0.9]]))


@pytest.mark.parametrize("method", METHODS)
def test_scores_agree_with_the_papers_step_by_step(method: str) -> None:
    rng = np.random.default_rng(1)
    _, p = patients(60, rng, classes=5)
    u = rng.random(60)
    found = class_scores(p, method, noise=u, penalty=0.05, free_classes=2)
    assert found == pytest.approx(rebuilt_scores(p, method, u, 0.05, 2))


def test_quantile_is_the_finite_sample_one() -> None:
    scores = np.arange(1.0, 20.0)  # 19 of them
    assert conformal_quantile(scores, 0.9) == 18.0  # ceil(20 * 0.9)
    assert conformal_quantile(scores, 0.95) == 19.0
    assert conformal_quantile(scores, 0.96) is None
    assert conformal_quantile([], 0.5) is None


@pytest.mark.parametrize("n", [9, 29, 69, 99, 999])
def test_quantile_is_not_pushed_up_by_rounding(n: int) -> None:
    # (n + 1) * 0.9 is whole here, and its float may lie a hair above it.
    assert conformal_quantile(np.arange(1, n + 1), 0.9) == round((n + 1) * 0.9)


@pytest.mark.parametrize(
    ("coverage", "count"), [(0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)]
)
def test_least_number_of_patients(coverage: float, count: int) -> None:
    assert needed(coverage) == count
    assert conformal_quantile(np.zeros(count), coverage) == 0
    assert conformal_quantile(np.zeros(count - 1), coverage) is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_new_patients_are_covered_as_promised(method, noisy, coverage) -> None:
    n, fresh, repeats = 99, 200, 30
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(repeats):
        labels, p = patients(n + fresh, rng)
        u = rng.random(n + fresh) if noisy else None
        old, new = slice(0, n), slice(n, None)
        rule = fit_conformal(
            labels[old],
            p[old],
            method=method,
            coverages=(coverage,),
            noise=None if u is None else u[old],
        )
        inside = rule.sets(
            p[new], coverage, noise=None if u is None else u[new], allow_empty=True
        )
        hits += int(inside[np.arange(fresh), labels[new]].sum())
    # Each repeat covers a beta-binomial number of patients, exactly; 30 of them make
    # it nearly normal.
    place = math.ceil((n + 1) * coverage - 1e-9)
    law = betabinom(fresh, place, n + 1 - place)
    error = (hits / repeats - law.mean()) / (law.std() / math.sqrt(repeats))
    assert error > -3.5
    # Without noise, the last class of every list scores 1: ties cover more.
    assert error < 3.5 or (method != "lac" and not noisy)


def test_each_class_is_covered_where_asked_for_and_only_then() -> None:
    rng = np.random.default_rng(3)
    labels, p = patients(40_000, rng, rare=True)
    p = p * [1.0, 0.5, 0.1]  # a model that hardly believes in the rare class
    p /= p.sum(axis=1, keepdims=True)
    old, new = slice(0, 20_000), slice(20_000, None)
    for by_class, lowest in ((False, 0.0), (True, 0.88)):
        rule = fit_conformal(labels[old], p[old], by_class=by_class, coverages=(0.9,))
        inside = rule.sets(p[new], 0.9)
        covered = inside[np.arange(20_000), labels[new]]
        rates = [covered[labels[new] == c].mean() for c in range(3)]
        assert covered.mean() > 0.89
        assert min(rates) >= lowest
        assert by_class or rates[2] < 0.8


def test_order_of_calibration_patients_does_not_matter() -> None:
    labels, p = patients(80, np.random.default_rng(5))
    order = np.random.default_rng(6).permutation(80)
    for by_class in (False, True):
        first = fit_conformal(labels, p, by_class=by_class)
        assert first == fit_conformal(labels[order], p[order], by_class=by_class)


def test_sets_grow_with_the_coverage_and_hold_the_most_probable_class() -> None:
    rng = np.random.default_rng(8)
    labels, p = patients(400, rng)
    rule = fit_conformal(labels[:200], p[:200], coverages=(0.5, 0.8, 0.95))
    smaller = np.zeros((200, 3), bool)
    for coverage in sorted(rule.quantiles):
        inside = rule.sets(p[200:], coverage)
        assert (inside | ~smaller).all()
        assert inside[np.arange(200), p[200:].argmax(axis=1)].all()
        smaller = inside
    empty = rule.sets(p[200:], 0.5, allow_empty=True)
    assert not empty.any(axis=1).all()
    filled = rule.sets(p[200:], 0.5)
    assert (filled == empty)[empty.any(axis=1)].all()
    assert (filled.sum(axis=1) == 1)[~empty.any(axis=1)].all()


def test_too_few_patients_are_named_instead_of_a_set() -> None:
    labels, p = [0] * 12 + [1] * 5, np.tile([0.6, 0.4], (17, 1))
    rule = fit_conformal(labels, p, by_class=True)
    assert rule.problem(0.8, ["A", "B"]) == ""
    assert rule.problem(0.9, ["A", "B"]) == (
        "90% coverage takes at least 9 calibration patients of each class, the model "
        "has 5 of B"
    )
    with pytest.raises(ValueError, match=r"no set at 0\.9 coverage"):
        rule.sets([[0.5, 0.5]], 0.9)
    whole = fit_conformal(labels, p)
    assert "at least 19 calibration patients, the model has 17" in whole.problem(
        0.95, ["A", "B"]
    )
    assert "calibrated for 80%, 90%, 95%, 99% coverage" in whole.problem(0.5, "AB")


def test_rule_survives_json() -> None:
    labels, p = patients(30, np.random.default_rng(2))
    rule = fit_conformal(labels, p, method="raps", by_class=True, penalty=0.2)
    assert None in rule.quantiles[0.99]
    again = ConformalRule.from_dict(json.loads(json.dumps(rule.to_dict())))
    assert again == rule


@pytest.mark.parametrize(
    ("key", "value"),
    [("method", "guess"), ("n", [1]), ("quantiles", None), ("n", "many")],
)
def test_damaged_rules_are_refused(key, value) -> None:
    labels, p = patients(30, np.random.default_rng(2))
    entry = fit_conformal(labels, p).to_dict() | {key: value}
    with pytest.raises(ValueError, match=r"not understood|invalid literal"):
        ConformalRule.from_dict(entry)
    del entry[key]
    with pytest.raises(ValueError, match="not understood"):
        ConformalRule.from_dict(entry)


@pytest.mark.parametrize(
    ("labels", "probabilities", "more", "message"),
    [
        ([0], [[0.5, 0.5], [0.5, 0.5]], {}, "do not fit"),
        ([2], [[0.5, 0.5]], {}, "labels must be 0 to 1"),
        ([0], [[0.5, 0.5]], {"coverages": (1.0,)}, "between 0 and 1"),
        ([0], [[0.5, 0.5]], {"method": "best"}, "unknown method 'best'"),
        ([0], [[0.5, float("nan")]], {}, "finite probabilities"),
    ],
)
def test_unusable_input_is_refused(labels, probabilities, more, message) -> None:
    with pytest.raises(ValueError, match=message):
        fit_conformal(labels, probabilities, **more)


SEED = 11
PROMISED = (0.8, 0.9, 0.95)


class Told(ClassifierMixin, BaseEstimator):
    """A classifier for MAPIE whose probabilities are given as its features."""

    def fit(self, features, labels):
        self.classes_ = np.unique(labels)
        return self

    def predict_proba(self, features):
        return np.asarray(features)

    def predict(self, features):
        return np.asarray(features).argmax(axis=1)


def told_patients(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Six classes; labels are drawn from probabilities that nearly are true."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.full(6, 0.4), n).clip(1e-6)
    chances /= chances.sum(axis=1, keepdims=True)
    labels = (rng.random(n)[:, None] > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)
    labels[:6] = range(6)
    return labels, chances


def mapie_sets(score, last_label, coverages):
    """Calibrate MAPIE on 300 patients and ask it for the sets of 400 others."""
    labels, chances = told_patients(300, 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        told = Told().fit(chances, labels)
        peer = SplitConformalClassifier(
            told,
            confidence_level=list(coverages),
            conformity_score=score,
            prefit=True,
            random_state=SEED,
        ).conformalize(chances, labels)
        options = {} if last_label is None else {"include_last_label": last_label}
        _, inside = peer.predict_set(
            told_patients(400, 2)[1], conformity_score_params=options
        )
    return inside


@pytest.mark.parametrize("method", ["lac", "aps"])
def test_sets_are_those_of_mapie(method) -> None:
    last_label = "randomized" if method == "aps" else None
    expected = mapie_sets(method, last_label, PROMISED)
    labels, chances = told_patients(300, 1)
    _, fresh = told_patients(400, 2)
    # MAPIE takes off what ours leaves, and draws both streams from one seed.
    noise = [
        1 - np.random.RandomState(SEED).uniform(size=n) if method == "aps" else None
        for n in (300, 400)
    ]
    rule = fit_conformal(
        labels, chances, method=method, coverages=PROMISED, noise=noise[0]
    )
    for place, coverage in enumerate(PROMISED):
        found = rule.sets(fresh, coverage, noise=noise[1], allow_empty=True)
        assert np.array_equal(found, expected[:, :, place])
        assert 1.0 < found.sum(axis=1).mean() < 5.0


def test_ours_without_noise_are_larger_than_those_of_mapie() -> None:
    labels, chances = told_patients(300, 1)
    _, fresh = told_patients(400, 2)
    rule = fit_conformal(labels, chances, method="aps", coverages=PROMISED)
    expected = mapie_sets("aps", "randomized", PROMISED)
    for place, coverage in enumerate(PROMISED):
        ours = rule.sets(fresh, coverage).sum(axis=1).mean()
        assert ours > expected[:, :, place].sum(axis=1).mean()


def test_raps_is_that_of_mapie_where_its_penalty_is_ours() -> None:
    score = RAPSConformityScore()
    (expected,) = np.moveaxis(mapie_sets(score, False, (0.9,)), 2, 0)
    # MAPIE spends some patients on the choice of penalty and free classes.
    penalty = float(np.ravel(score.lambda_star)[0])
    free = int(np.ravel(score.k_star)[0])
    assert penalty > 0
    labels, chances = told_patients(300, 1)
    split = StratifiedShuffleSplit(1, test_size=len(score.y_raps), random_state=SEED)
    ((rows, _),) = split.split(chances, labels)
    noise = 1 - np.random.RandomState(SEED).uniform(size=len(rows))
    shape = {"method": "raps", "penalty": penalty, "free_classes": free}
    rule = fit_conformal(
        labels[rows], chances[rows], coverages=(0.9,), noise=noise, **shape
    )
    # Without its last label MAPIE draws for calibration patients and not for new ones.
    found = rule.sets(told_patients(400, 2)[1], 0.9)
    assert np.array_equal(found, expected)
