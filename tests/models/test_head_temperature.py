from __future__ import annotations

import math

import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.head_temperature import check_temperature
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.survival_heads import HazardHead

HEADS = (
    lambda **t: ClassHead(("a", "b", "c"), **t),
    lambda **t: OrdinalHead(("I", "II", "III"), **t),
    lambda **t: HazardHead((12.0, 24.0), **t),
)


@pytest.mark.parametrize("temperature", [None, 0.5, 20.0])
def test_what_divides_logits_passes(temperature):
    check_temperature(temperature)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize("head", HEADS)
def test_what_does_not_is_refused(head, temperature):
    with pytest.raises(ConfigurationError, match="positive and finite"):
        head(temperature=temperature)


@pytest.mark.parametrize("head", HEADS)
def test_it_divides_the_logits_of_answers_and_leaves_the_loss(head):
    plain, soft = head(), head(temperature=2.5)
    logits = torch.randn(4, plain.size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(soft.answer(2.5 * logits), plain.answer(logits))
    targets = torch.zeros(4, *plain.target_shape)
    assert soft.loss(logits, targets) == plain.loss(logits, targets)


def test_the_first_head_has_none_of_its_own():
    with pytest.raises(ConfigurationError, match="that of the classes is kept beside"):
        Heads({"class": ClassHead(("a", "b"), temperature=1.5)})
