from __future__ import annotations

import pytest
import torch

from napari_mmsubtype.models.absent_answers import AbsentAnswers
from napari_mmsubtype.models.fusion import create_fusion

MODALITIES = ("image", "rna")


@pytest.fixture
def answers():
    module = AbsentAnswers(MODALITIES, 3)
    with torch.no_grad():
        module.logits.copy_(torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]))
    return module


def test_answers_of_what_is_absent_add_up(answers):
    present = torch.tensor([[True, True], [False, True], [True, False], [False, False]])
    expected = [[0, 0, 0], [1, 2, 3], [10, 20, 30], [11, 22, 33]]
    assert answers(present).tolist() == expected


def test_they_start_at_nothing_and_learn_where_something_is_absent():
    module = AbsentAnswers(MODALITIES, 3)
    present = torch.tensor([[True, False]])
    assert not module(present).any()
    module(present).sum().backward()
    assert module.logits.grad.tolist() == [[0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("name", ["late", "image_only", "rna_only"])
def test_weights_from_before_they_existed_say_what_they_said(name):
    torch.manual_seed(0)
    sizes = {"dim": 5, "classes": 2, "omics": {"rna": 4}}
    model = create_fusion(name, **sizes).eval()
    old = {k: v for k, v in model.state_dict().items() if "missing" not in k}
    assert len(old) == len(model.state_dict()) - 1
    again = create_fusion(name, **sizes).eval()
    with torch.no_grad():
        for module in again.modules():
            if isinstance(module, AbsentAnswers):
                module.logits.fill_(7.0)
    again.load_state_dict(old)
    given = torch.rand(1, 3, 5), torch.ones(1, 3, dtype=torch.bool)
    for present in ([True, True], [True, False], [False, True]):
        row = torch.tensor([present])
        rna = {"rna": torch.ones(1, 4)}
        expected = model(*given, rna, row).logits
        torch.testing.assert_close(again(*given, rna, row).logits, expected)


def test_other_missing_weights_are_still_named(answers):
    with pytest.raises(RuntimeError, match="bias"):
        torch.nn.ModuleDict({"a": answers, "b": torch.nn.Linear(2, 2)}).load_state_dict(
            {"b.weight": torch.zeros(2, 2)}
        )
