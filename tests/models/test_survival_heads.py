from __future__ import annotations

import math

import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.survival_heads import CoxHead, HazardHead


def test_risk_is_the_logit_itself():
    logits = torch.tensor([[0.5], [-1.0]])
    head = CoxHead()
    assert torch.equal(head.answer(logits), logits)
    # The first event is among both, the second among itself.
    loss = head.loss(logits, torch.tensor([[1.0, 1.0], [2.0, 1.0]]))
    expected = -math.log(math.exp(0.5) / (math.exp(0.5) + math.exp(-1.0))) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_a_target_belongs_to_the_interval_after_its_edge():
    head = HazardHead((12.0, 24.0))
    assert (head.size, head.target_shape) == (3, (2,))
    logits = torch.zeros(1, 3)
    for time, intervals in ((11.9, 1), (12.0, 2), (24.0, 3), (900.0, 3)):
        loss = head.loss(logits, torch.tensor([[time, 1.0]]))
        assert loss.item() == pytest.approx(intervals * math.log(2), rel=1e-6)
    expected = torch.tensor([[0.5, 0.25, 0.125]])
    torch.testing.assert_close(head.answer(logits), expected)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"ties": "exact"}, "efron"), ({"center": math.nan}, "finite")],
)
def test_impossible_risks_are_refused(change, says):
    with pytest.raises(ConfigurationError, match=says):
        CoxHead(**change)


@pytest.mark.parametrize("edges", [(), (2.0, 2.0), (0.0, 1.0), (1.0, math.inf)])
def test_edges_rise_from_above_zero(edges):
    with pytest.raises(ConfigurationError, match="rise from above 0"):
        HazardHead(edges)
    with pytest.raises(ConfigurationError, match="alpha must be from 0 to 1"):
        HazardHead((1.0,), alpha=1.5)


def test_words_say_what_is_asked():
    assert CoxHead(event="death").words.startswith("the risk of death")
    assert HazardHead((0.5, 2.0), unit="years", event="relapse").words == (
        "the chance of no relapse until 0.5, 2 years"
    )
