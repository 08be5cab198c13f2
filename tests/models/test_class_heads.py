from __future__ import annotations

import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead

STAGES = ("I", "II", "III", "IV")


def test_classes_answer_with_the_softmax():
    logits = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    head = ClassHead(("a", "b"))
    expected = torch.sigmoid(torch.tensor([[0.0, 0.0], [2.0, -2.0]]))
    torch.testing.assert_close(head.answer(logits), expected)
    loss = head.loss(logits, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(loss, -expected[[0, 1], [0, 1]].log().mean())


def test_levels_take_one_logit_less_than_there_are():
    head = OrdinalHead(STAGES, late="III")
    assert (head.size, head.target_shape) == (3, ())
    # Each question halves what is left.
    expected = torch.tensor([[0.5, 0.25, 0.125, 0.125]])
    torch.testing.assert_close(head.answer(torch.zeros(1, 3)), expected)
    assert head.words == "one level of I, II, III, IV, in this order, late from III"


@pytest.mark.parametrize("labels", [(), ("a", "a")])
def test_classes_need_names_of_their_own(labels):
    with pytest.raises(ConfigurationError, match="at least one class"):
        ClassHead(labels)


@pytest.mark.parametrize("levels", [(), ("I",), ("I", "II", "I")])
def test_levels_need_names_of_their_own(levels):
    with pytest.raises(ConfigurationError, match="at least two levels"):
        OrdinalHead(levels)


@pytest.mark.parametrize("late", ["I", "V"])
def test_late_begins_at_a_level_above_the_first(late):
    with pytest.raises(ConfigurationError, match=r"one of \['II', 'III', 'IV'\]"):
        OrdinalHead(STAGES, late=late)
