import torch
from torch import nn

from napari_mmsubtype.inference.derived_encoder import DerivedEncoder
from napari_mmsubtype.models.encoders import Encoder


class Halving(Encoder):
    """Takes patches at half their size."""

    def normalize(self, patches):
        return super().normalize(patches[:, ::2, ::2])


def make():
    encoder = Halving(
        nn.Conv2d(3, 4, 2, 2),
        dim=4,
        input_size=16,
        cell_px=2,
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
    )
    encoder.name, encoder.options = "halving", {"input_size": 16}
    encoder.origin, encoder.hub_id, encoder.cells = "a.pt", "some/one", 4
    return encoder


def test_it_goes_by_the_name_and_sizes_of_the_other_one():
    encoder = make()
    derived = DerivedEncoder(encoder, nn.AvgPool2d(2))
    for fact in (
        *("name", "options", "origin", "hub_id", "cells"),
        *("dim", "input_size", "cell_px", "mean", "std"),
    ):
        assert getattr(derived, fact) == getattr(encoder, fact), fact
    assert derived.plain is encoder
    assert not derived.training


def test_pixels_are_normalized_as_the_other_one_does_and_maps_are_its_own():
    encoder = make()
    derived = DerivedEncoder(encoder, nn.AvgPool2d(2))
    pixels = torch.arange(2 * 8 * 8 * 3).reshape(2, 8, 8, 3).to(torch.uint8)
    images = derived.normalize(pixels)
    assert images.shape == (2, 3, 4, 4)
    assert torch.equal(images, encoder.normalize(pixels))
    expected = nn.functional.avg_pool2d(images, 2)
    assert torch.equal(derived.feature_map(images), expected)
