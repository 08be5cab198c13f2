"""Networks are built without drawing their weights."""

import pytest
import torch
from torch import nn

from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.models.undrawn_weights import UndrawnWeights


class Drawn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.linear = nn.Linear(4, 2)
        self.norm = nn.BatchNorm2d(4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.token = nn.Parameter(torch.empty(1, 4))
        nn.init.trunc_normal_(self.token, std=0.02)
        nn.init.normal_(tensor=self.token)
        self.token.data.normal_()


@pytest.mark.parametrize(
    "build",
    [
        Drawn,
        lambda: create_encoder("resnet18", input_size=64),
        lambda: create_encoder("squeezenet1_1", input_size=64),
    ],
)
def test_nothing_is_drawn_and_what_is_loaded_is_whole(build):
    torch.manual_seed(3)
    known = build().eval()
    torch.manual_seed(4)
    before = torch.get_rng_state()
    with UndrawnWeights():
        found = build().eval()
    assert torch.equal(torch.get_rng_state(), before)
    found.load_state_dict(known.state_dict())
    for name, values in known.state_dict().items():
        assert torch.equal(found.state_dict()[name], values), name
    for (name, values), other in zip(
        known.named_buffers(), found.buffers(), strict=True
    ):
        assert torch.equal(values, other), name


def test_what_is_not_random_is_set():
    with UndrawnWeights():
        norm = nn.BatchNorm2d(3)
        assert norm.weight.tolist() == [1.0, 1.0, 1.0]
        assert nn.Linear(2, 2, bias=False).weight.shape == (2, 2)
    assert nn.Linear(64, 64).weight.detach().std().item() > 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "bounds",
    [
        {"std": 0.02},
        {"a": -0.5, "b": 0.5},
        {"mean": 5.0, "a": 4.0, "b": 6.0},
        {"a": 1.5, "b": 3.0},
    ],
)
@pytest.mark.parametrize("held", [1e9, torch.nan, torch.inf])
def test_what_is_drawn_until_it_is_in_bounds_ends(bounds, held):
    # Whatever memory held before, as a network finds it after much else has run.
    weight = torch.full((1000,), held)
    with UndrawnWeights():
        nn.init.trunc_normal_(weight, **bounds)
    assert torch.isfinite(weight).all()
    assert (weight == weight[0]).all()
