from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from napari_mmsubtype.models.patch_projection import (
    linear_standardized,
    patch_projection,
    project_patches,
)


@pytest.fixture
def given():
    draw = torch.Generator().manual_seed(0)
    bag = torch.randn(2, 5, 6, generator=draw) * 3 + 4
    return bag, torch.linspace(-2, 5, 6), torch.linspace(0.5, 3, 6)


def test_constants_are_taken_into_the_layer(given):
    bag, mean, scale = given
    weight, bias = torch.randn(3, 6), torch.randn(3)
    for m, s, seen in (
        (mean, scale, (bag - mean) / scale),
        (None, scale, bag / scale),
        (mean, None, bag - mean),
        (None, None, bag),
    ):
        found = linear_standardized(weight, bias, bag, m, s)
        expected = F.linear(seen, weight, bias)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


def test_tokens_are_those_of_the_standardized_bag(given):
    bag, mean, scale = given
    layers = patch_projection(6, 4, dropout=0.1).eval()
    expected = layers((bag - mean) / scale)
    found = project_patches(layers, bag, mean, scale)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert found.shape == (2, 5, 4)


def test_the_bag_is_not_copied(given):
    bag, mean, scale = given
    layers = patch_projection(6, 4, dropout=0.0).eval()
    sizes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            for made in out if isinstance(out, tuple) else (out,):
                # A view shares the memory of the bag.
                own = made.untyped_storage().data_ptr()
                if own != bag.untyped_storage().data_ptr():
                    sizes.append(made.numel())
            return out

    with torch.no_grad(), Watch():
        project_patches(layers, bag, mean, scale)
    assert sizes
    assert max(sizes) < bag.numel()
