from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from napari_mmsubtype.models.survival_losses import (
    cox_loss,
    hazard_loss,
    interval_edges,
    survival_curve,
)


def cases(count=40, seed=0):
    rng = np.random.default_rng(seed)
    # Whole months: many ties.
    times = rng.integers(1, 8, count).astype(float)
    return rng.normal(size=count), times, rng.random(count) < 0.6


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_partial_likelihood_and_gradient_are_those_of_statsmodels(ties):
    phreg = pytest.importorskip("statsmodels.duration.hazard_regression")
    risks, times, events = cases()
    model = phreg.PHReg(times, risks[:, None], status=events, ties=ties)
    scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    loss = cox_loss(
        scale * torch.from_numpy(risks),
        torch.from_numpy(times),
        torch.from_numpy(events),
        ties=ties,
    )
    loss.backward()
    one = np.ones(1)
    assert loss.item() == pytest.approx(-model.loglike(one) / events.sum())
    assert scale.grad.item() == pytest.approx(-model.score(one)[0] / events.sum())


def test_the_fitted_coefficients_are_those_of_lifelines():
    lifelines = pytest.importorskip("lifelines")
    rng = np.random.default_rng(3)
    features = rng.normal(size=(80, 2))
    hazard = np.exp(features @ [0.8, -0.5])
    # Whole months: ties, which lifelines handles as Efron did.
    times = np.ceil(rng.exponential(6 / hazard))
    events = rng.random(80) < 0.7
    table = pd.DataFrame(features, columns=["a", "b"]).assign(t=times, e=events)
    fitted = lifelines.CoxPHFitter().fit(table, "t", "e")
    weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=50, tolerance_grad=1e-9)
    data = [torch.from_numpy(x) for x in (features, times, events)]

    def loss():
        optimizer.zero_grad()
        value = cox_loss(data[0] @ weights, data[1], data[2])
        value.backward()
        return value

    optimizer.step(loss)
    np.testing.assert_allclose(weights.detach(), fitted.params_, rtol=1e-4)
    found = -cox_loss(data[0] @ weights, *data[1:]).item() * events.sum()
    assert found == pytest.approx(fitted.log_likelihood_, rel=1e-6)


def test_ties_follow_the_textbook():
    risks = torch.tensor([0.3, -0.2, 0.5, 1.0])
    times = torch.tensor([2.0, 2.0, 3.0, 1.0])
    events = torch.tensor([True, True, False, False])
    a, b, c = (math.exp(x) for x in (0.3, -0.2, 0.5))
    both = 0.3 - 0.2
    breslow = (2 * math.log(a + b + c) - both) / 2
    efron = (math.log(a + b + c) + math.log((a + b) / 2 + c) - both) / 2
    found = [
        cox_loss(risks, times, events, ties=t).item() for t in ("breslow", "efron")
    ]
    assert found == pytest.approx([breslow, efron], rel=1e-5)


def test_large_risks_do_not_overflow_and_a_constant_changes_nothing():
    risks, times, events = (torch.from_numpy(x) for x in cases(12))
    loss = cox_loss(risks, times, events)
    torch.testing.assert_close(cox_loss(risks + 700, times, events), loss)
    far = (1000 * risks).float().requires_grad_()
    cox_loss(far, times.float(), events).backward()
    assert torch.isfinite(far.grad).all()


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_the_order_of_cases_does_not_matter_and_many_are_no_burden(ties):
    rng = np.random.default_rng(0)
    risks = torch.from_numpy(rng.normal(size=50_000)).float().requires_grad_()
    times = torch.from_numpy(rng.integers(1, 500, 50_000)).float()
    events = torch.from_numpy(rng.random(50_000) < 0.3)
    loss = cox_loss(risks, times, events, ties=ties)
    (gradient,) = torch.autograd.grad(loss, risks)
    assert gradient.isfinite().all()
    shuffle = torch.from_numpy(rng.permutation(50_000))
    again = cox_loss(risks[shuffle], times[shuffle], events[shuffle], ties=ties)
    torch.testing.assert_close(again, loss, rtol=1e-5, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(again, risks)[0], gradient, rtol=1e-3, atol=1e-7
    )


def test_a_batch_without_event_costs_nothing():
    risks = torch.randn(3, requires_grad=True)
    loss = cox_loss(risks, torch.ones(3), torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert loss == 0
    assert not risks.grad.any()
    with pytest.raises(ValueError, match="'efron' or 'breslow', found 'exact'"):
        cox_loss(risks, torch.ones(3), torch.ones(3).bool(), ties="exact")


def test_hazards_follow_the_formula():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    intervals = torch.tensor([0, 2, 1, 2])
    events = torch.tensor([True, True, False, False])
    h = 1 / (1 + np.exp(-logits.numpy().astype(float)))
    terms = -np.log(
        [
            h[0, 0],
            (1 - h[1, 0]) * (1 - h[1, 1]) * h[1, 2],
            (1 - h[2, 0]) * (1 - h[2, 1]),
            (1 - h[3]).prod(),
        ]
    )
    found = hazard_loss(logits, intervals, events).item()
    assert found == pytest.approx(terms.mean(), rel=1e-5)
    weighted = (terms * [1, 1, 0.6, 0.6]).mean()
    found = hazard_loss(logits, intervals, events, alpha=0.4).item()
    assert found == pytest.approx(weighted, rel=1e-5)
    np.testing.assert_allclose(
        survival_curve(logits).numpy(), np.cumprod(1 - h, axis=1), rtol=1e-5
    )


def test_shared_hazards_fit_the_life_table():
    _, times, events = cases(60)
    intervals = torch.from_numpy(times).long().clamp(max=4) - 1
    dead = torch.from_numpy(events)
    hazards = torch.tensor(
        [((intervals == k) & dead).sum() / (intervals >= k).sum() for k in range(4)]
    )
    logits = torch.logit(hazards).requires_grad_()
    hazard_loss(logits.expand(60, -1), intervals, dead).backward()
    torch.testing.assert_close(logits.grad, torch.zeros(4), atol=1e-6, rtol=0)


def test_intervals_hold_as_many_events():
    times = torch.arange(1.0, 17.0)
    events = torch.ones(16, dtype=torch.bool)
    times, events = torch.cat([times, times + 90]), torch.cat([events, ~events])
    edges = interval_edges(times, events, 4)
    assert torch.bucketize(times[:16], edges).bincount().tolist() == [4, 4, 4, 4]
    assert interval_edges(times, events, 1).shape == (0,)


@pytest.mark.parametrize("events", [[False] * 4, [True] * 4])
def test_too_few_times_of_events_are_refused(events):
    with pytest.raises(ValueError, match="3 intervals need as many distinct times"):
        interval_edges(torch.ones(4), torch.tensor(events), 3)


@pytest.mark.parametrize(
    ("interval", "alpha", "message"),
    [(3, 0.0, "from 0 to 2, found 3"), (0, 1.5, "alpha must be from 0 to 1")],
)
def test_what_is_out_of_range_is_named(interval, alpha, message):
    with pytest.raises(ValueError, match=message):
        hazard_loss(
            torch.zeros(1, 3),
            torch.tensor([interval]),
            torch.ones(1).bool(),
            alpha=alpha,
        )
