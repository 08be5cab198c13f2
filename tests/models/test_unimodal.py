from __future__ import annotations

import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.fusion import create_fusion

OMICS = {"rna": 6, "methylation": 4, "clinical": 3}


def inputs(present):
    torch.manual_seed(1)
    omics = {m: torch.randn(1, g) for m, g in OMICS.items()}
    mask = torch.ones(1, 3, dtype=torch.bool)
    return torch.randn(1, 3, 5), mask, omics, torch.tensor([present])


def test_the_image_alone_is_the_evidence_model_without_tables():
    models = []
    for name, omics in (("image_only", OMICS), ("evidence", {})):
        torch.manual_seed(0)
        model = create_fusion(name, dim=5, classes=2, omics=omics).eval()
        model.set_reference(torch.ones(5), torch.full((5,), 0.5))
        models.append(model)
    bag, mask, omics, present = inputs([True, True, False, True])
    found = models[0](bag, mask, omics, present)
    expected = models[1](bag, mask, {}, present[:, :1])
    assert torch.equal(found.logits, expected.logits)
    assert torch.equal(found.evidence, expected.evidence)
    assert models[0].modalities == ("image", *OMICS)
    queries = [
        models[0].pixel_queries(omics, present),
        models[1].pixel_queries({}, present[:, :1]),
    ]
    assert torch.equal(*queries)


@pytest.mark.parametrize("modality", OMICS)
def test_a_table_alone_speaks_through_its_encoder(modality):
    torch.manual_seed(0)
    model = create_fusion(f"{modality}_only", dim=5, classes=2, omics=OMICS).eval()
    with torch.no_grad():
        model.bias.copy_(torch.tensor([0.5, -0.5]))
    bag, mask, omics, present = inputs([True] * 4)
    output = model(bag, mask, omics, present)
    expected = model.head(model.encoder(omics[modality])) + model.bias
    torch.testing.assert_close(output.logits, expected)
    assert not output.evidence.any()
    assert not output.weights.any()
    assert not model.pixel_queries(omics, present).any()
    present[0, list(OMICS).index(modality) + 1] = False
    without = model(bag, mask, omics, present).logits
    torch.testing.assert_close(without[0], model.bias)


@pytest.mark.parametrize("modality", OMICS)
def test_a_table_that_the_model_is_not_given_is_refused(modality):
    others = {m: g for m, g in OMICS.items() if m != modality}
    with pytest.raises(ConfigurationError, match=f"looks at {modality}"):
        create_fusion(f"{modality}_only", dim=5, classes=2, omics=others)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="positive sizes and omics among"):
        create_fusion("image_only", dim=5, classes=2, omics={"rna": 0})


@pytest.mark.parametrize("name", ["image_only", *(f"{m}_only" for m in OMICS)])
def test_without_its_modality_a_baseline_says_what_it_learned(name):
    torch.manual_seed(0)
    model = create_fusion(name, dim=5, classes=2, omics=OMICS).eval()
    bag, mask, omics, present = inputs([True] * 4)
    whole = model(bag, mask, omics, present).logits
    answers = model.missing_image if name == "image_only" else model.missing
    with torch.no_grad():
        model.bias.copy_(torch.tensor([0.5, -0.5]))
        answers.logits.copy_(torch.tensor([[1.0, 3.0]]))
    bias = torch.tensor([[0.5, -0.5]])
    torch.testing.assert_close(model(bag, mask, omics, present).logits, whole + bias)
    present[0, model.modalities.index(*model.uses)] = False
    output = model(bag, mask, omics, present)
    torch.testing.assert_close(output.logits, torch.tensor([[1.5, 2.5]]))
    torch.testing.assert_close(output.modality_logits["bias"], output.logits)
