from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models import registry
from napari_mmsubtype.models.encoders import Encoder
from napari_mmsubtype.models.registry import (
    create_encoder,
    list_encoders,
    register_encoder,
)

PROMISED = {"demo-cnn", "squeezenet1_1", "resnet18", "resnet34", "resnet50"}
PROMISED |= {"resnet101", "resnet152"}


@pytest.fixture
def _clean_registry(monkeypatch):
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))


def test_every_promised_encoder_is_listed_in_order():
    names = list_encoders()
    assert set(names) >= PROMISED
    assert names == sorted(names)


def test_an_encoder_remembers_how_it_was_made_and_is_ready_to_use():
    encoder = create_encoder("demo-cnn", input_size=64)
    assert (encoder.name, encoder.options) == ("demo-cnn", {"input_size": 64})
    assert not encoder.training


def test_random_weights_follow_the_seed():
    torch.manual_seed(4)
    first = create_encoder("demo-cnn").state_dict()
    torch.manual_seed(4)
    second = create_encoder("demo-cnn").state_dict()
    third = create_encoder("demo-cnn").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], third[name]) for name in first)


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'resnet51'.*resnet50"):
        create_encoder("resnet51")


@pytest.mark.usefixtures("_clean_registry")
def test_a_registered_factory_is_found_under_its_name():
    @register_encoder("plain")
    def _plain(*, dim: int = 5) -> Encoder:
        return Encoder(nn.Conv2d(3, dim, 1), dim=dim, input_size=8, cell_px=1)

    assert "plain" in list_encoders()
    encoder = create_encoder("plain", dim=7)
    assert encoder(torch.zeros(2, 3, 8, 8)).shape == (2, 7)


@pytest.mark.usefixtures("_clean_registry")
def test_a_name_cannot_be_taken_twice():
    register_encoder("mine")(Encoder)
    register_encoder("mine")(Encoder)
    with pytest.raises(ValueError, match="already registered"):
        register_encoder("mine")(nn.Identity)
