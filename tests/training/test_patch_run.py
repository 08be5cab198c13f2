from __future__ import annotations

import json

import pytest
import torch

from builders.training import make_encoder, two_colors
from napari_mmsubtype.errors import ComputeError
from napari_mmsubtype.training.config import PatchTrainingConfig
from napari_mmsubtype.training.patch_run import PatchRun, cell_entropy, class_balance
from napari_mmsubtype.training.patch_trainer import fit_patch_encoder
from napari_mmsubtype.training.patch_validation import PatchValidation
from napari_mmsubtype.workflows.jobs import run_job

PLAIN = PatchTrainingConfig(stain_jitter=0.0, tint_jitter=0.0)
CONFIG = PatchTrainingConfig(
    epochs=3,
    batch_size=8,
    ema=0.9,
    feature_noise=0.1,
    randaug_ops=1,
    head_first_epochs=1,
    gradient_clip=1.0,
)


def start(
    config: PatchTrainingConfig = CONFIG, validation: PatchValidation | None = None
) -> PatchRun:
    patches, targets = two_colors(20)
    labels = torch.from_numpy(targets)
    return PatchRun(make_encoder(), patches, labels, config, validation)


def held_out(n: int = 9) -> PatchValidation:
    patches, targets = two_colors(n, seed=7)
    return PatchValidation(patches, torch.from_numpy(targets))


def go(run: PatchRun, epoch: int, step: int) -> PatchRun:
    while (run.epoch, run.step) != (epoch, step):
        if run.epoch_is_complete:
            run.end_epoch()
        else:
            run.advance()
    return run


@pytest.mark.parametrize("judge", [None, held_out()])
@pytest.mark.parametrize("stop", [(0, 2), (0, 3), (1, 0), (2, 1), (3, 0)])
def test_a_run_goes_on_from_any_step_as_if_it_had_never_stopped(stop, judge) -> None:
    first, second = go(start(validation=judge), *stop), start(validation=judge)
    whole = go(start(validation=judge), 3, 0)
    facts = json.loads(json.dumps(first.facts()))
    second.restore({k: v.clone() for k, v in first.tensors().items()}, facts)
    assert (second.epoch, second.step) == stop
    go(second, 3, 0)
    for run in (whole, second):
        run.finish()
    state, found = (run.trained.state_dict() for run in (whole, second))
    assert all(torch.equal(found[k], state[k]) for k in state)
    assert second.curves == whole.curves


def test_looking_at_validation_patches_changes_no_step() -> None:
    plain, judged = go(start(), 2, 0), go(start(validation=held_out()), 2, 0)
    state, found = (run.trained.state_dict() for run in (plain, judged))
    assert all(torch.equal(found[k], state[k]) for k in state)
    assert judged.curves.training_losses == plain.curves.training_losses
    assert plain.curves.validation_losses == ()


def test_a_finished_run_keeps_its_best_weights_alone() -> None:
    run = go(start(validation=held_out()), 3, 0)
    assert run.done
    assert {name.split(".")[0] for name in run.tensors()} == {"best"}
    best = {n.removeprefix("best."): v.clone() for n, v in run.tensors().items()}
    run.finish()
    state = run.trained.state_dict()
    assert all(torch.equal(state[k], best[k]) for k in state)


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    run = start()
    with torch.no_grad():
        run.head.weight[0, 0] = torch.nan
    with pytest.raises(ComputeError, match=r"became nan in step 1 of epoch 1; lower"):
        run.advance()


@pytest.mark.parametrize("cell", [(0, 0), (1, 1)])
def test_cells_without_a_label_do_not_move_the_loss(cell: tuple[int, int]) -> None:
    patches, targets = two_colors(16)
    row, column = cell
    targets[:, :, row, column] = 0
    altered = patches.copy()
    altered[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 0
    encoder = make_encoder()
    encoder.body[1] = torch.nn.Identity()  # batch statistics would see the cell
    head = torch.nn.Linear(5, 2)
    losses = [
        cell_entropy(
            head,
            encoder.feature_map(encoder.normalize(torch.from_numpy(images))),
            torch.from_numpy(targets),
            PLAIN,
        ).item()
        for images in (patches, altered)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_rare_classes_weigh_as_much_as_frequent_ones() -> None:
    targets = torch.zeros(10, 3, 2, 2)
    targets[:8, 0] = 1
    targets[8:, 1] = 1
    config = PatchTrainingConfig(class_weights=True)
    weights = class_balance(targets, config)
    total = (targets * weights[:, None, None]).sum(dim=(0, 2, 3))
    assert total.tolist() == pytest.approx([20.0, 20.0, 0.0])
    plain = class_balance(targets, PLAIN)
    assert plain.tolist() == [1.0, 1.0, 1.0]
    with_weights, without = (
        run_job(
            fit_patch_encoder(
                make_encoder(),
                *two_colors(12),
                PatchTrainingConfig(epochs=1, class_weights=on),
            )
        ).losses
        for on in (True, False)
    )
    assert with_weights != without
