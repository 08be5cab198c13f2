from __future__ import annotations

import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.models.resvit import ResViTClassifier

TINY = {
    "cnn": "resnet18",
    "vit_dim": 16,
    "vit_depth": 4,
    "vit_heads": 2,
    "dim": 24,
    "heads": 2,
}


def make(**options):
    torch.manual_seed(0)
    return create_encoder("resvit", **{"input_size": 64, **TINY, **options})


@pytest.fixture(scope="module")
def model():
    return ResViTClassifier(make(), 3).eval()


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(4))


def test_the_published_size_has_14_by_14_tokens_of_384_numbers():
    with torch.device("meta"):
        encoder = create_encoder("resvit")
    assert (encoder.dim, encoder.cells, encoder.cell_px) == (384, 14, 16)
    assert encoder.body.taps == [2, 5, 8, 11]
    assert encoder.body.cnn_dim == 2048
    assert encoder.body.channels.fc1.weight.shape == (128, 2048, 1, 1)
    assert encoder.body.channels.fc1.bias is None


@pytest.mark.parametrize(("cell_px", "cells"), [(16, 4), (32, 2)])
def test_the_grid_is_the_one_chosen(images, cell_px, cells):
    encoder = make(cell_px=cell_px)
    with torch.inference_mode():
        maps = encoder.feature_map(images)
    assert maps.shape == (2, 24, cells, cells)
    assert encoder.cells == cells


def test_evidence_adds_up_to_the_logit(model, images):
    with torch.inference_mode():
        found = model(images)
        pooled = model.head(model.encoder(images))
    total = found.evidence.sum(dim=(2, 3)) + model.head.bias
    torch.testing.assert_close(total, found.logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(pooled, found.logits)


@pytest.mark.parametrize("output", ["logits", "cnn_logits", "vit_logits"])
def test_gradients_reach_the_branches_that_a_head_rests_on(model, images, output):
    model.zero_grad(set_to_none=True)
    getattr(model(images), output).square().sum().backward()
    reached = {
        branch: model.encoder.body.get_submodule(branch).weight.grad is not None
        for branch in ("cnn.body.conv1", "vit.conv_proj")
    }
    assert reached == {
        "cnn.body.conv1": output != "vit_logits",
        "vit.conv_proj": output != "cnn_logits",
    }


def test_training_with_every_loss_moves_every_weight(model, images):
    model.zero_grad(set_to_none=True)
    found = model(images)
    loss = found.logits.square().sum() + 0.1 * found.alignment_loss
    loss = loss + 0.3 * (found.cnn_logits + found.vit_logits).square().sum()
    loss.backward()
    still = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.abs().max() > 0)
    ]
    assert still == []


def test_both_branches_see_the_same_place(model):
    images = torch.zeros(1, 3, 64, 64)
    changed = images.clone()
    changed[:, :, 48:, :16] = 3.0
    with torch.inference_mode():
        before, after = (model.encoder.branches(x).tokens for x in (images, changed))
        grids = [model.encoder.body.cnn.feature_map(x) for x in (images, changed)]
    assert (after.vit - before.vit).norm(dim=2).argmax() == 12
    assert (grids[1] - grids[0]).norm(dim=1).flatten().argmax() == 2


def test_a_wider_transformer_is_projected(images):
    encoder = make(vit_dim=32)
    with torch.inference_mode():
        assert encoder(images).shape == (2, 24)
    assert encoder.body.vit_project.weight.shape == (24, 32)
    assert isinstance(make(vit_dim=24).body.vit_project, torch.nn.Identity)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cnn": "vgg16"}, "no convolutional branch 'vgg16'; use one of .*resnet50"),
        ({"cell_px": 8}, "tokens of 16 or 32 px, found 8 px"),
        ({"vit_depth": 3}, "mixes 4 blocks, found vit_depth 3"),
        ({"dim": 30}, "dim of resvit must be a multiple of 4 .* found 30"),
        ({"vit_dim": 16, "vit_heads": 3}, "vit_dim .* its 3 heads, found 16"),
        ({"input_size": 80}, "multiple of 32 px, found 80 px"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        make(**options)


def test_the_backbone_is_both_branches_and_nothing_else():
    encoder = make()
    backbone = {id(parameter) for parameter in encoder.backbone()}
    own = {
        name.partition(".")[0]
        for name, parameter in encoder.body.named_parameters()
        if id(parameter) not in backbone
    }
    assert own == {
        "channels",
        "cnn_project",
        "cnn_norm",
        "mix",
        "vit_project",
        "join",
    }
    plain = create_encoder("demo-cnn")
    assert len(plain.backbone()) == len(list(plain.parameters()))
    assert plain.parts() == {}


def test_parts_share_their_weights_and_know_their_names():
    encoder = make()
    parts = encoder.parts()
    assert parts["cnn"] is encoder.body.cnn
    assert parts["vit"].body is encoder.body.vit
    assert parts["vit"].name == "vit"
    with torch.device("meta"):
        full = create_encoder("resvit", vit_dim=768, vit_heads=12)
    assert full.parts()["vit"].name == "vit_b_16"
    assert full.parts()["cnn"].name == "resnet50"
