from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_mmsubtype.training.weight_average import WeightAverage


def step(module: nn.Module, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        module.weight.copy_(torch.randn(module.weight.shape, generator=generator))
    return module.weight.detach().double().clone()


@pytest.mark.parametrize("decay", [0.1, 0.9, 0.999])
def test_the_average_is_the_sum_of_powers(decay: float) -> None:
    module = nn.Linear(3, 2)
    average = WeightAverage(module, decay)
    seen = []
    for t in range(1, 40):
        seen.append(step(module, t))
        average.update(module)
        shares = torch.tensor([decay ** (t - i) for i in range(1, t + 1)]).double()
        shares = shares * (1 - decay) / (1 - decay**t)
        assert shares.sum().item() == pytest.approx(1.0, abs=1e-6)
        expected = (shares[:, None, None] * torch.stack(seen)).sum(dim=0).float()
        torch.testing.assert_close(
            average.module.weight.detach(), expected, rtol=1e-4, atol=1e-5
        )


def test_the_weights_before_the_first_step_do_not_count() -> None:
    module = nn.Linear(3, 2)
    average = WeightAverage(module, 0.999)
    step(module, 1)
    average.update(module)
    assert torch.equal(average.module.weight, module.weight)


def test_constant_weights_and_counters_stay_exact() -> None:
    module = nn.BatchNorm1d(4)
    module.weight.data.uniform_()
    average = WeightAverage(module, 0.99)
    for count in range(1, 6):
        module.num_batches_tracked += 1
        module.running_mean += 1.0
        average.update(module)
        assert average.module.num_batches_tracked == count
    assert torch.equal(average.module.weight, module.weight)
    assert (average.module.running_mean < module.running_mean).all()


def test_the_average_goes_on_where_it_was() -> None:
    module = nn.Linear(3, 2)
    through, first = WeightAverage(module, 0.9), WeightAverage(module, 0.9)
    for t in range(5):
        step(module, t)
        through.update(module)
        first.update(module)
    second = WeightAverage(nn.Linear(3, 2), 0.9)
    second.load_state_dict(first.state_dict())
    for t in range(5, 9):
        step(module, t)
        through.update(module)
        second.update(module)
    assert torch.equal(through.module.weight, second.module.weight)
