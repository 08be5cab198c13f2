from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from builders.training import make_answers, make_fusion, make_heads
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.survival_heads import HazardHead
from napari_mmsubtype.training.config import FusionTrainingConfig
from napari_mmsubtype.training.head_targets import (
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
