from __future__ import annotations

import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.fusion_branches import TokenFusion

OMICS = {"rna": 6, "clinical": 3}


class TokensAsLogits(TokenFusion):
    """Gives what it was asked to join."""

    def _join(self, tokens, present):
        return torch.cat([tokens.flatten(1), present], dim=1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TokensAsLogits(5, 2, OMICS, width=4).eval()


def patches_of(count):
    return torch.randn(1, count, 5, generator=torch.Generator().manual_seed(1))


def run(model, present, patches=3):
    torch.manual_seed(1)
    mask = torch.ones(1, patches, dtype=torch.bool)
    omics = {m: torch.randn(1, g) for m, g in OMICS.items()}
    return model(patches_of(patches), mask, omics, torch.tensor([present]))


def test_learned_tokens_stand_for_what_is_absent(model):
    joined = run(model, [True, False, True]).logits[0]
    tokens, flags = joined[:12].view(3, 4), joined[12:]
    assert flags.tolist() == [1, 0, 1]
    torch.testing.assert_close(tokens[1], model.missing["rna"])
    for row, name in ((0, "image"), (2, "clinical")):
        assert (tokens[row] - model.missing[name]).abs().max() > 1e-2
        assert tokens[row].mean().item() == pytest.approx(0, abs=1e-5)


def test_an_image_without_patches_counts_as_absent(model):
    joined = run(model, [True, True, True], patches=0).logits[0]
    assert joined[12:].tolist() == [0, 1, 1]
    torch.testing.assert_close(joined[:4], model.missing["image"])


def test_evidence_is_what_the_images_own_head_says_of_contributions(model):
    output = run(model, [True, True, True])
    weighted = output.weights[0, :, None] * model.project(patches_of(3))[0]
    expected = weighted @ model.own_heads["image"].weight.T
    torch.testing.assert_close(output.evidence[0], expected)


@pytest.mark.parametrize("train", [False, True])
def test_one_slide_for_all_patients_is_encoded_once_but_in_training(model, train):
    model.train(train)
    seen = []
    model.project[3].register_forward_pre_hook(lambda _, a: seen.append(len(a[0])))
    mask, present = torch.ones(4, 3) > 0, torch.ones(4, 3) > 0
    omics = {m: torch.randn(4, g) for m, g in OMICS.items()}
    model(patches_of(3).expand(4, -1, -1), mask, omics, present)
    model(patches_of(3).repeat(4, 1, 1), mask, omics, present)
    assert seen == ([4, 4] if train else [1, 4])
    mask[1, 2] = False
    model(patches_of(3).expand(4, -1, -1), mask, omics, present)
    assert seen[-1] == 4


@pytest.mark.parametrize("name", ["feature_concat", "gated", "bilinear", "late"])
def test_the_pooling_and_its_options_are_passed_on(name):
    options = {"pooling": "transmil", "pooling_options": {"landmarks": 3}}
    model = create_fusion(name, dim=5, classes=2, omics=OMICS, **options)
    assert model.pool.first.landmarks == 3
    assert model.options == options
    with pytest.raises(ConfigurationError, match="unknown pooling 'max'"):
        create_fusion(name, dim=5, classes=2, omics=OMICS, pooling="max")
