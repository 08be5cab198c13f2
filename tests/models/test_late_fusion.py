from __future__ import annotations

import pytest
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.models.fusion import create_fusion

OMICS = {"rna": 6, "clinical": 3}


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = create_fusion("late", dim=5, classes=2, omics=OMICS, width=4).eval()
    with torch.no_grad():
        model.trust.copy_(torch.tensor([0.0, 1.0, 2.0]))
        model.bias.copy_(torch.tensor([0.5, -0.5]))
    return model


def run(model, present):
    torch.manual_seed(1)
    omics = {m: torch.randn(1, g) for m, g in OMICS.items()}
    mask = torch.ones(1, 3, dtype=torch.bool)
    return model(torch.randn(1, 3, 5), mask, omics, torch.tensor([present]))


@pytest.mark.parametrize(
    "present", [[True] * 3, [True, False, True], [False, True, False], [False] * 3]
)
def test_logits_are_the_weighted_mean_of_those_present(model, present):
    output = run(model, present)
    trust = model.trust.exp() * torch.tensor(present)
    shares = trust / trust.sum().clamp_min(1e-9)
    expected = model.bias + sum(
        share * output.modality_logits[m][0]
        for share, m in zip(shares, model.modalities, strict=True)
    )
    torch.testing.assert_close(output.logits[0], expected)


def test_no_modality_changes_what_another_says(model):
    whole, alone = run(model, [True] * 3), run(model, [True, False, False])
    image = Modality.IMAGE
    assert torch.equal(whole.modality_logits[image], alone.modality_logits[image])
    assert torch.equal(whole.evidence, alone.evidence)
    assert not alone.modality_logits["rna"].any()


def test_what_is_absent_has_a_learned_answer(model):
    image_alone = run(model, [True, False, False]).logits
    whole = run(model, [True] * 3).logits
    with torch.no_grad():
        model.missing.logits[1] = torch.tensor([2.0, 0.0])
        model.missing.logits[2] = torch.tensor([0.0, 1.0])
    changed = run(model, [True, False, False])
    torch.testing.assert_close(changed.logits - image_alone, torch.tensor([[2.0, 1.0]]))
    assert not changed.modality_logits["rna"].any()
    torch.testing.assert_close(run(model, [True] * 3).logits, whole)
