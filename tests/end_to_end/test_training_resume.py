from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from builders.training import make_bags, make_fusion
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.config import FusionTrainingConfig
from napari_mmsubtype.training.fusion_run import FusionRun
from napari_mmsubtype.training.fusion_trainer import FusionFit, fit_fusion
from napari_mmsubtype.workflows.jobs import run_job

CONFIG_1 = FusionTrainingConfig(epochs=1)

KILLED = """
import os, random, signal, sys, time
from pathlib import Path

import torch
from safetensors.torch import save_file

from builders.training import make_bags, make_fusion
from napari_mmsubtype.training.config import FusionTrainingConfig
from napari_mmsubtype.training.fusion_run import FusionRun
from napari_mmsubtype.training.fusion_trainer import fit_fusion
from napari_mmsubtype.workflows.jobs import run_job

torch.set_num_threads(1)
folder, seed, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
config = FusionTrainingConfig(
    epochs=5, batch_size=8, ema=0.9, consistency=0.1, embedding_noise=0.1, patience=3
)


def train(checkpoint, out):
    fit = run_job(
        fit_fusion(
            make_fusion(),
            make_bags(40, seed=1),
            make_bags(10, seed=2, prefix="v"),
            config,
            checkpoint=checkpoint,
            checkpoint_seconds=0.0,
        )
    )
    curves = torch.tensor([fit.training_losses, fit.validation_losses]).double()
    save_file({**fit.model.state_dict(), "curves": curves}, out)


train(None, folder / "whole.safetensors")
rng, killed, advance = random.Random(seed), 0, FusionRun.advance


def slowly(run):
    time.sleep(0.02)  # or the training would be over before it can be killed
    advance(run)


while True:
    child = os.fork()
    if child == 0:
        FusionRun.advance = slowly
        train(folder / "fold.safetensors", folder / "parts.safetensors")
        os._exit(0)
    if killed < kills:
        time.sleep(rng.uniform(0.02, 0.2))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        assert status == 0
        break
    killed += 1
print(killed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_random_moments_it_ends_with_the_same_weights(tmp_path) -> None:
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), "3", "6"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), *sys.path])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 6
    whole, parts = (
        load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "parts")
    )
    assert set(whole) == set(parts)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_a_finished_training_is_given_back_without_training(tmp_path) -> None:
    train, validation = make_bags(20, seed=1), make_bags(10, seed=2, prefix="v")
    config, path = FusionTrainingConfig(epochs=3), tmp_path / "fold.safetensors"

    def fit() -> FusionFit:
        return run_job(
            fit_fusion(make_fusion(), train, validation, config, checkpoint=path)
        )

    first = fit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FusionRun, "advance", lambda _: pytest.fail("trained again"))
        second = fit()
    states = [f.model.state_dict() for f in (first, second)]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert second.validation_losses == first.validation_losses
    assert second.learning_rates == first.learning_rates
    assert second.best_epoch == first.best_epoch


def test_a_cancelled_training_goes_on_where_it_was(tmp_path) -> None:
    train, validation = make_bags(20, seed=1), make_bags(10, seed=2, prefix="v")
    config, path = FusionTrainingConfig(epochs=3), tmp_path / "fold.safetensors"
    job = fit_fusion(make_fusion(), train, validation, config, checkpoint=path)
    next(job)
    job.close()
    events: list[Progress] = []
    again = fit_fusion(make_fusion(), train, validation, config, checkpoint=path)
    fit = run_job(again, events.append)
    assert events[0].message == "going on after epoch 1, step 0"
    assert [event.done for event in events] == [1, 2, 3]
    plain = run_job(fit_fusion(make_fusion(), train, validation, config))
    assert fit.training_losses == plain.training_losses
    states = [f.model.state_dict() for f in (fit, plain)]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_the_checkpoint_of_other_data_is_refused(tmp_path) -> None:
    train, validation = make_bags(20, seed=1), make_bags(10, seed=2, prefix="v")
    path = tmp_path / "fold.safetensors"
    given = {"checkpoint": path}
    run_job(fit_fusion(make_fusion(), train, validation, CONFIG_1, **given))
    train.bags[4][0, 0] += 1
    with pytest.raises(ConfigurationError, match="training cases: embeddings; give"):
        run_job(fit_fusion(make_fusion(), train, validation, CONFIG_1, **given))
    longer = replace(CONFIG_1, epochs=2)
    train.bags[4][0, 0] -= 1
    with pytest.raises(ConfigurationError, match=r"epochs \(1 there, 2 here\)"):
        run_job(fit_fusion(make_fusion(), train, validation, longer, **given))
