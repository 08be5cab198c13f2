from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from builders.training import make_answers, make_fusion, make_heads
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.survival_heads import HazardHead
from napari_mmsubtype.training.config import FusionTrainingConfig
from napari_mmsubtype.training.head_targets import (
    calibrate_heads,
    center_risks,
    check_targets,
    class_weights,
    fit_hazard_head,
)

CONFIG = FusionTrainingConfig(head_weights={"risk": 0.5})
NAN = float("nan")


@pytest.fixture
def cases():
    return make_answers(20)


def check(cases, validation=None, config=CONFIG, classes=None):
    heads = make_heads()
    model = make_fusion(classes=classes or heads.size)
    check_targets(heads, model, cases, validation or cases, config)


def changed(cases, name, values):
    return replace(cases, targets={**cases.targets, name: np.asarray(values)})


def test_targets_that_fit_pass(cases):
    check(cases)
    stage = np.full(20, NAN)
    stage[3] = 1
    check(changed(cases, "stage", stage))


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("stage", np.full((20, 2), 1.0), r"'stage' have shape \(20, 2\), expected"),
        ("stage", np.full(20, 4.0), "must be 0 to 3 for I, II, III, IV, found 4"),
        ("stage", np.full(20, 0.5), "found 0.5"),
        ("stage", np.full(20, NAN), "no training case has a known target of 'stage'"),
        ("risk", np.full((20, 2), -1.0), "times that are finite and not negative"),
        ("risk", np.full((20, 2), 2.0), "1 for an event and 0 for censoring"),
        ("grade", np.zeros(20), r"targets for \['grade', 'risk', 'stage', 'surv"),
    ],
)
def test_targets_that_do_not_fit_are_named(cases, name, values, says):
    with pytest.raises(ConfigurationError, match=says):
        check(changed(cases, name, values))


def test_everything_that_does_not_fit_is_named_at_once(cases):
    config = FusionTrainingConfig(batch_size=1, head_weights={"grade": 1.0})
    with pytest.raises(ConfigurationError) as caught:
        check(cases, config=config, classes=3)
    for words in (
        "heads take 9 logits, the model gives 3",
        "head_weights names ['grade']",
        "'risk' compares the patients of a batch with each other, but batch_size is 1",
    ):
        assert words in str(caught.value)


def test_classes_weigh_the_same_together(cases):
    cases.labels[:] = [0] * 12 + [1] * 6 + [-1] * 2
    weights = class_weights(cases, 3, balance=True)
    torch.testing.assert_close(weights, torch.tensor([0.75, 1.5, 9.0]))
    assert torch.equal(class_weights(cases, 3, balance=False), torch.ones(3))
    cases.labels[:] = -1
    assert torch.equal(class_weights(cases, 3, balance=True), torch.ones(3))


def test_intervals_are_divided_by_the_known_events():
    targets = np.array([[t, 1.0] for t in range(1, 9)] + [[90, 0], [NAN, 1], [3, NAN]])
    head = fit_hazard_head(targets, 4, unit="years", event="death", alpha=0.1)
    expected = tuple(np.quantile(np.arange(1, 9), [0.25, 0.5, 0.75]))
    assert head == HazardHead(expected, unit="years", event="death", alpha=0.1)
    with pytest.raises(ConfigurationError, match="9 intervals need"):
        fit_hazard_head(targets, 9)


def test_risks_are_centered_on_the_training_cases():
    heads = make_heads()
    logits = np.random.default_rng(0).normal(size=(7, heads.size))
    fitted = center_risks(heads, logits)
    column = heads.columns("risk").start
    assert fitted.heads["risk"].center == pytest.approx(logits[:, column].mean())
    unchanged = {**heads.heads, "risk": fitted.heads["risk"]}
    assert fitted.heads == unchanged


def drawn(heads, logits, seed=0):
    """Stages and years of death that follow the answers exactly."""
    rng = np.random.default_rng(seed)
    answers = heads.answers(torch.from_numpy(logits))
    draw = rng.random((2, len(logits), 1))
    stage = (answers["stage"].numpy().cumsum(axis=1) < draw[0]).sum(axis=1)
    # Past the last interval nobody died: followed to its end.
    interval = (answers["survival"].numpy() > draw[1]).sum(axis=1)
    time = np.array([1.0, 5.0, 20.0, 20.0])[interval]
    follow_up = np.stack([time, interval < 3], axis=1).astype(float)
    return {"stage": stage.astype(float), "survival": follow_up}


def test_temperatures_undo_overconfidence(cases):
    heads = make_heads()
    honest = np.random.default_rng(1).normal(size=(6000, heads.size))
    targets = {**drawn(heads, honest), "risk": np.full((6000, 2), NAN)}
    targets["stage"][::7] = NAN
    many = replace(cases.take(np.zeros(6000, int)), targets=targets)
    fitted = calibrate_heads(heads, 3 * honest, many)
    assert fitted.heads["stage"].temperature == pytest.approx(3, rel=0.1)
    assert fitted.heads["survival"].temperature == pytest.approx(3, rel=0.1)
    assert fitted.heads["risk"] == heads.heads["risk"]
    assert fitted.classes == heads.classes
    expected = heads.answers(torch.from_numpy(honest))
    found = fitted.answers(torch.from_numpy(3 * honest))
    for name in ("stage", "survival"):
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=0.03)


def test_censored_cases_count_in_full_where_chances_are_fitted(cases):
    heads = make_heads()
    honest = np.random.default_rng(2).normal(size=(3000, heads.size))
    targets = {**drawn(heads, honest), "risk": np.full((3000, 2), NAN)}
    many = replace(cases.take(np.zeros(3000, int)), targets=targets)
    tilted = replace(heads.heads["survival"], alpha=0.9)
    fitted = [
        calibrate_heads(Heads({**heads.heads, "survival": head}), honest, many)
        for head in (heads.heads["survival"], tilted)
    ]
    first, second = (f.heads["survival"] for f in fitted)
    assert first.temperature == second.temperature == pytest.approx(1, rel=0.15)
    assert second.alpha == 0.9


def test_what_nobody_knows_is_not_fitted(cases):
    heads = make_heads()
    unknown = {name: np.full_like(v, NAN) for name, v in cases.targets.items()}
    logits = np.zeros((20, heads.size))
    fitted = calibrate_heads(heads, logits, replace(cases, targets=unknown))
    assert fitted.heads == heads.heads
