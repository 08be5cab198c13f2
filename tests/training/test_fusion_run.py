from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from builders.training import make_bags, make_fusion
from napari_mmsubtype.errors import ComputeError
from napari_mmsubtype.training.config import FusionTrainingConfig
from napari_mmsubtype.training.fusion_loss import FusionLoss
from napari_mmsubtype.training.fusion_run import FusionRun

CONFIG = FusionTrainingConfig(
    epochs=3, batch_size=5, ema=0.9, embedding_noise=0.1, omics_noise=0.1
)


def start(config: FusionTrainingConfig = CONFIG, seed: int = 1) -> FusionRun:
    train, validation = make_bags(13, seed=seed), make_bags(6, seed=2, prefix="v")
    return FusionRun(
        make_fusion(), train, validation, FusionLoss(torch.ones(2), config)
    )


def finish(run: FusionRun) -> FusionRun:
    while not run.done:
        while not run.epoch_is_complete:
            run.advance()
        run.end_epoch()
    return run


@pytest.mark.parametrize("stop", [(0, 0), (0, 2), (0, 3), (1, 0), (2, 1), (3, 0)])
def test_a_run_goes_on_from_any_step_as_if_it_had_never_stopped(stop) -> None:
    whole = finish(start())
    first = start()
    while (first.epoch, first.step) != stop:
        if first.epoch_is_complete:
            first.end_epoch()
        else:
            first.advance()
    facts = json.loads(json.dumps(first.facts()))
    tensors = {name: values.clone() for name, values in first.tensors().items()}
    second = start()
    second.restore(tensors, facts)
    assert (second.epoch, second.step) == stop
    finish(second)
    assert second.curves == whole.curves
    assert all(torch.equal(second.best[k], whole.best[k]) for k in whole.best)
    if stop != (3, 0):
        state = whole.model.state_dict()
        found = second.model.state_dict()
        assert all(torch.equal(found[k], state[k]) for k in state)


def test_a_run_that_is_over_keeps_its_best_weights_alone() -> None:
    run = finish(start())
    assert {name.partition(".")[0] for name in run.tensors()} == {"best"}


def test_the_averaged_weights_are_judged_and_kept() -> None:
    run = start(FusionTrainingConfig(epochs=1, batch_size=5, ema=0.9))
    finish(run)
    average = run.average.module.state_dict()
    assert all(torch.equal(run.best[k], average[k]) for k in run.best)
    plain = run.model.state_dict()
    assert not all(torch.equal(run.best[k], plain[k]) for k in run.best)


def test_steps_follow_the_schedule() -> None:
    run, rates = start(), []
    while not run.done:
        while not run.epoch_is_complete:
            run.advance()
            rates.append(run.optimizer.param_groups[0]["lr"])
        run.end_epoch()
    assert rates == [CONFIG.rate(step, 9) for step in range(9)]
    assert run.curves.learning_rates == tuple(rates[2::3])


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    run = start()
    run.steps.train.bags[3][:] = np.nan
    with pytest.raises(ComputeError, match=r"became nan in step .* of epoch 1; lower"):
        finish(run)
