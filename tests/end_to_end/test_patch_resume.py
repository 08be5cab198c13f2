"""However often an encoder's training is killed, its weights end the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

KILLED = """
import os, random, signal, sys, time
from pathlib import Path

import torch
from safetensors.torch import save_file

from builders.training import make_encoder, two_colors
from napari_mmsubtype.training.config import PatchTrainingConfig
from napari_mmsubtype.training.patch_run import PatchRun
from napari_mmsubtype.training.patch_trainer import fit_patch_encoder
from napari_mmsubtype.workflows.jobs import run_job

torch.set_num_threads(1)
folder, seed, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
config = PatchTrainingConfig(
    epochs=6, batch_size=8, ema=0.9, feature_noise=0.1, randaug_ops=1, patience=2,
    head_first_epochs=1, learning_rate=0.01,
)


def train(checkpoint, out):
    fit = run_job(
        fit_patch_encoder(
            make_encoder(),
            *two_colors(40),
            config,
            validation=two_colors(10, seed=9),
            checkpoint=checkpoint,
            checkpoint_seconds=0.0,
        )
    )
    curves = torch.tensor([fit.losses, fit.validation_losses]).double()
    head = {f"head.{k}": v for k, v in fit.head.state_dict().items()}
    save_file({**fit.encoder.state_dict(), **head, "curves": curves}, out)


train(None, folder / "whole.safetensors")
rng, killed, advance = random.Random(seed), 0, PatchRun.advance


def slowly(run):
    time.sleep(0.02)  # or the training would be over before it can be killed
    advance(run)


while True:
    child = os.fork()
    if child == 0:
        PatchRun.advance = slowly
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
def test_killed_at_random_moments_the_encoder_ends_with_the_same_weights(
    tmp_path,
) -> None:
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), "5", "6"],
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
