"""Survival heads are judged on the scale of the training patients."""

from dataclasses import replace

import numpy as np
import torch

from builders.training import make_answers, make_heads
from napari_mmsubtype.evaluation.survival_brier import FollowUp, brier_parts
from napari_mmsubtype.models.survival_heads import CoxHead, HazardHead
from napari_mmsubtype.workflows.fold_survival import (
    SurvivalScale,
    risks,
    survival_columns,
    survival_scales,
)


def follow_up(n, seed=0):
    """Draw patients whose log-risk is known."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    dies, lost = rng.exponential(20 * np.exp(-risk)), rng.exponential(60, n)
    targets = np.stack([np.minimum(dies, lost), (dies <= lost).astype(float)], axis=1)
    return risk, targets


def scale_of(risk, targets, last=30.0):
    training = FollowUp(targets[:, 0], targets[:, 1] > 0)
    return SurvivalScale(float(np.median(risk)), training, risk,
                         np.linspace(0, last, 51))  # fmt: skip


def test_risks_grow_with_danger():
    logits = np.array([[-2.0], [0.5], [3.0]])
    np.testing.assert_array_equal(risks(CoxHead(), logits), [-2.0, 0.5, 3.0])
    hazard = HazardHead((10.0,))
    rising = risks(hazard, np.array([[-3.0, -3.0], [0.0, 0.0], [3.0, 3.0]]))
    assert (np.diff(rising) > 0).all()
    assert np.isclose(rising[1], -(0.5 + 0.25))


def test_scales_come_from_training_patients_of_known_follow_up():
    cases, heads = make_answers(10), make_heads()
    cases.targets["risk"][3] = np.nan
    logits = np.random.default_rng(0).normal(size=(10, heads.size))
    found = survival_scales(heads, logits, cases, cases)
    assert set(found) == {"risk", "survival"}
    own = logits[:, heads.columns("risk")][:, 0]
    assert found["risk"].limit == np.median(own)
    known = np.arange(10) != 3
    np.testing.assert_array_equal(found["risk"].risk, own[known])
    np.testing.assert_allclose(
        found["risk"].training.time, cases.targets["risk"][known, 0]
    )
    edge = heads.heads["survival"].edges[-1]
    assert found["survival"].times[-1] <= edge
    # Where the limit is and where patients are, temperatures count alike.
    warm = dict(heads.heads)
    warm["survival"] = replace(warm["survival"], temperature=3.0)
    other = survival_scales(type(heads)(warm), logits, cases, cases)
    columns = logits[:, heads.columns("survival")]
    assert other["survival"].limit == np.median(risks(warm["survival"], columns))


def test_a_model_that_knows_the_risk_beats_the_curve_of_all():
    risk, targets = follow_up(300)
    scale = scale_of(risk[:200], targets[:200])
    found = survival_columns(CoxHead(), risk[200:, None], targets[200:], scale)
    assert found["brier"].mean() < 0.85 * found["brier_reference"].mean()
    blind = survival_columns(CoxHead(), np.zeros((100, 1)), targets[200:],
                             scale_of(np.zeros(200), targets[:200]))  # fmt: skip
    # Equal risks: Nelson-Aalen, which is almost Kaplan-Meier.
    np.testing.assert_allclose(blind["brier"], blind["brier_reference"], atol=0.02)


def test_hazards_are_chances_between_the_edges():
    _, targets = follow_up(40)
    head = HazardHead((10.0, 20.0))
    logits = np.random.default_rng(1).normal(size=(40, 3))
    scale = scale_of(np.zeros(40), targets, last=20.0)
    found = survival_columns(head, logits, targets, scale)
    stay = 1 - torch.sigmoid(torch.from_numpy(logits)).numpy()
    known = np.stack([np.ones(40), stay[:, 0], stay[:, 0] * stay[:, 1]], axis=1)
    part = scale.times[None] / 10
    lower = np.clip(np.floor(part).astype(int), 0, 1)
    rows = np.arange(40)[:, None]
    chances = known[rows, lower] * (1 - part + lower) + known[rows, lower + 1] * (
        part - lower
    )
    expected = brier_parts(
        targets[:, 0], targets[:, 1] > 0, chances, scale.times, scale.training
    )
    np.testing.assert_allclose(found["brier"], expected)


def test_what_is_not_known_is_not_judged():
    risk, targets = follow_up(20)
    scale = scale_of(risk, targets)
    unknown = np.full((5, 2), np.nan)
    assert "brier" not in survival_columns(CoxHead(), np.zeros((5, 1)), unknown, scale)
    some = np.concatenate([targets[:3], unknown[:2]])
    found = survival_columns(CoxHead(), np.zeros((5, 1)), some, scale)
    assert np.isnan(found["brier"]).tolist() == [False] * 3 + [True] * 2
    assert found["high_risk"].tolist() == [float(scale.limit < 0)] * 5
