from __future__ import annotations

import pytest
import torch
from torch import nn

from builders.training import make_encoder
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.training.config import PatchTrainingConfig
from napari_mmsubtype.training.layer_rates import (
    backbone_layers,
    frozen_parameters,
    parameter_groups,
    set_trained,
)

SMALL = {
    "demo-cnn": {},
    "resnet18": {"small_stem": True},
    "squeezenet1_1": {},
    "timm:vit_tiny_patch16_224": {},
    "resvit": {
        "cnn": "resnet18",
        "vit_dim": 16,
        "vit_depth": 4,
        "vit_heads": 2,
        "dim": 24,
        "heads": 2,
    },
}
LAYERS = {
    # Stem and its normalization, then eight blocks in four stages.
    "resnet18": [10],
    # A convolution and eight fire modules.
    "squeezenet1_1": [9],
    # Class token with positions, patch embedding, twelve blocks, normalization.
    "timm:vit_tiny_patch16_224": [15],
}


def make(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create_encoder(name, input_size=64, **SMALL[name])


@pytest.mark.parametrize("name", sorted(SMALL))
def test_layers_divide_the_backbone_of_every_kind_of_encoder(name: str) -> None:
    encoder = make(name)
    branches = backbone_layers(encoder)
    found = [id(p) for layers in branches for layer in layers for p in layer]
    assert sorted(found) == sorted({id(p) for p in encoder.backbone()})
    assert all(len(layers) > 2 for layers in branches)
    if name in LAYERS:
        assert [len(layers) for layers in branches] == LAYERS[name]
    assert len(branches) == (2 if name == "resvit" else 1)


def test_rates_fall_from_output_to_input() -> None:
    encoder, head = make("squeezenet1_1"), nn.Linear(3, 2)
    config = PatchTrainingConfig(backbone_rate=0.2, layer_decay=0.5)
    groups = parameter_groups(encoder, [encoder, head], config)
    factor = {id(p): g["factor"] for g in groups for p in g["params"]}
    assert factor[id(head.weight)] == 1.0
    (layers,) = backbone_layers(encoder)
    for height, layer in enumerate(reversed(layers)):
        for parameter in layer:
            assert factor[id(parameter)] == pytest.approx(0.2 * 0.5**height)
    assert len(factor) == sum(len(g["params"]) for g in groups)


def test_what_is_not_of_the_backbone_has_the_full_rate() -> None:
    encoder = make("resvit")
    config = PatchTrainingConfig(backbone_rate=0.2)
    groups = parameter_groups(encoder, [encoder], config)
    factor = {id(p): g["factor"] for g in groups for p in g["params"]}
    backbone = {id(p) for p in encoder.backbone()}
    for parameter in encoder.parameters():
        expected = 0.2 if id(parameter) in backbone else 1.0
        assert factor[id(parameter)] == expected


@pytest.mark.parametrize(("frozen", "layers"), [(0.0, 0), (0.5, 5), (1.0, 10)])
def test_layers_next_to_the_input_are_frozen_first(frozen: float, layers: int) -> None:
    encoder = make("resnet18")
    config = PatchTrainingConfig(frozen=frozen)
    still = {id(p) for p in frozen_parameters(encoder, config, epoch=0)}
    (found,) = backbone_layers(encoder)
    expected = {id(p) for layer in found[:layers] for p in layer}
    assert still == expected
    groups = parameter_groups(encoder, [encoder], config)
    moved = {id(p) for g in groups for p in g["params"]}
    assert moved == {id(p) for p in encoder.parameters()} - still


def test_the_head_goes_first() -> None:
    encoder = make("resvit")
    config = PatchTrainingConfig(epochs=3, head_first_epochs=2)
    counts = [len(frozen_parameters(encoder, config, epoch=e)) for e in range(3)]
    assert counts == [len(encoder.backbone())] * 2 + [0]
    groups = parameter_groups(encoder, [encoder], config)
    assert sum(len(g["params"]) for g in groups) == len(list(encoder.parameters()))


def test_frozen_layers_keep_their_statistics() -> None:
    encoder = make_encoder()
    norm = encoder.body[1]
    set_trained(encoder, encoder.backbone())
    assert not norm.training
    assert encoder.training
    assert not any(p.requires_grad for p in encoder.parameters())
    set_trained(encoder, [])
    assert norm.training
    assert all(p.requires_grad for p in encoder.parameters())
