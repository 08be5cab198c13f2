from __future__ import annotations

import torch
from torch import nn

from napari_mmsubtype.training.optimizer_state import (
    optimizer_tensors,
    restore_optimizer,
    under,
)


def trained(steps: int) -> tuple[nn.Linear, torch.optim.AdamW]:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(
        [{"params": [layer.weight]}, {"params": [layer.bias]}], lr=0.1
    )
    go_on(layer, optimizer, range(steps))
    return layer, optimizer


def go_on(layer, optimizer, seeds) -> None:
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        optimizer.zero_grad()
        layer(torch.randn(4, 3, generator=generator)).square().sum().backward()
        optimizer.step()


def test_an_optimizer_goes_on_with_its_moments() -> None:
    whole, _ = trained(6)
    part, optimizer = trained(3)
    kept = {k: v.clone() for k, v in optimizer_tensors(optimizer).items()}
    assert {k.rpartition(".")[2] for k in kept} == {"step", "exp_avg", "exp_avg_sq"}
    second, fresh = trained(0)
    second.load_state_dict(part.state_dict())
    restore_optimizer(fresh, {**kept, "model.weight": torch.zeros(1)})
    go_on(second, fresh, range(3, 6))
    assert torch.equal(second.weight, whole.weight)
    assert torch.equal(second.bias, whole.bias)


def test_an_optimizer_that_never_stepped_has_nothing_to_keep() -> None:
    _, optimizer = trained(0)
    assert optimizer_tensors(optimizer) == {}
    restore_optimizer(optimizer, {})
    assert optimizer.state_dict()["state"] == {}


def test_a_part_is_picked_by_its_prefix() -> None:
    one = torch.ones(1)
    assert under("a.", {"a.x": one, "ab.x": one, "a.y.z": one}) == {
        "x": one,
        "y.z": one,
    }
