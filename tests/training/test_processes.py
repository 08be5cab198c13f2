from __future__ import annotations

import torch
from torch import nn

from napari_mmsubtype.training.processes import Processes


def test_one_process_has_everything() -> None:
    alone = Processes()
    assert (alone.rank, alone.size) == (0, 1)
    values = torch.arange(3.0)
    assert alone.total(values) is values
    layer = nn.Linear(2, 1)
    layer(torch.ones(1, 2)).sum().backward()
    before = layer.weight.grad.clone()
    alone.total_gradients(layer.parameters())
    assert torch.equal(layer.weight.grad, before)
    alone.wait()
