from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.processes import (
    Processes,
    joined_processes,
    refuse_several_processes,
)
from napari_mmsubtype.workflows.train import train

TOGETHER = """
import json, os, sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from builders.training import (
    make_answers, make_encoder, make_fusion, make_heads, two_colors
)
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.config import FusionTrainingConfig, PatchTrainingConfig
from napari_mmsubtype.training.fusion_trainer import fit_fusion
from napari_mmsubtype.training.patch_trainer import fit_patch_encoder
from napari_mmsubtype.training.processes import Processes, joined_processes
from napari_mmsubtype.workflows.crossval import crossval
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.train import train as train_preset

torch.set_num_threads(1)
folder = Path(sys.argv[1])


def train(name, accumulation, checkpoint=None):
    heads = make_heads()
    config = FusionTrainingConfig(
        epochs=3,
        batch_size=11,
        patches_per_bag=6,
        accumulation=accumulation,
        consistency=0.1,
        steadiness=0.1,
        embedding_noise=0.1,
        ema=0.5,
    )
    train, held_out = make_answers(34, seed=1), make_answers(9, seed=2, prefix="v")
    train.labels[::4] = -1
    fit = run_job(
        fit_fusion(
            make_fusion(classes=heads.size),
            train,
            held_out,
            config,
            heads,
            checkpoint=checkpoint,
            checkpoint_seconds=0.0,
        )
    )
    curves = [fit.training_losses, fit.validation_losses, fit.learning_rates]
    (folder / f"{name}.json").write_text(json.dumps(curves))
    save_file(fit.model.state_dict(), folder / f"{name}.safetensors")


def tune(name, accumulation):
    encoder = make_encoder()
    encoder.body[1] = torch.nn.Identity()
    patches, targets = two_colors(22)
    config = PatchTrainingConfig(
        epochs=2, batch_size=7, accumulation=accumulation, feature_noise=0.1
    )
    fit = run_job(fit_patch_encoder(encoder, patches, targets, config))
    (folder / f"{name}.json").write_text(json.dumps([fit.losses]))
    save_file(encoder.state_dict(), folder / f"{name}.safetensors")


def statistics(rank):
    norm = torch.nn.BatchNorm1d(2)
    norm.running_mean += torch.tensor([1.0, 2.0]) + 2 * rank
    Processes().average_buffers(norm)
    assert norm.running_mean.tolist() == [2.0, 3.0]
    assert Processes().agree(float(rank), torch.device("cpu")) == 0.0


def refused():
    os.environ["WORLD_SIZE"] = "1"
    for door, why in (
        (crossval, "2 processes share every training step here"),
        (train_preset, "2 processes were started together"),
    ):
        try:
            door("cohort.csv", "evidence", out=folder / "refused")
        except ConfigurationError as err:
            assert why in str(err), err
        else:
            raise AssertionError(door)


train("alone", accumulation=2)
tune("encoder-alone", accumulation=2)
children = []
for rank in range(2):
    child = os.fork()
    if child == 0:
        os.environ.update(
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE="2",
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=sys.argv[2],
            GLOO_SOCKET_IFNAME="lo",
        )
        with joined_processes() as device:
            assert device.type == "cpu" or torch.cuda.device_count() >= 2
            assert (Processes().rank, Processes().size) == (rank, 2)
            train(f"rank-{rank}", 1, folder / "both.safetensors")
            tune(f"encoder-rank-{rank}", 1)
            statistics(rank)
            refused()
        os._exit(0)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_one_process_has_everything() -> None:
    alone = Processes()
    assert (alone.rank, alone.size) == (0, 1)
    values = torch.arange(3.0)
    assert alone.total(values) is values
    assert alone.agree(0.5, values.device) == 0.5
    layer = nn.Linear(2, 1)
    layer(torch.ones(1, 2)).sum().backward()
    before = layer.weight.grad.clone()
    alone.total_gradients(layer.parameters())
    assert torch.equal(layer.weight.grad, before)
    alone.wait()


def test_without_others_there_is_nothing_to_join(monkeypatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with joined_processes() as device:
        assert device == torch.device("cpu")
        assert not torch.distributed.is_initialized()


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork and the loopback 'lo'")
def test_two_processes_train_as_one_does(tmp_path) -> None:
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", TOGETHER, str(tmp_path), str(free_port())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), *sys.path])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "refused").exists()
    for prefix in ("", "encoder-"):
        compare([tmp_path / f"{prefix}{n}" for n in ("alone", "rank-0", "rank-1")])


def compare(stems: list[Path]) -> None:
    """One process and each of two ended alike."""
    alone, *both = (json.loads(p.with_suffix(".json").read_text()) for p in stems)
    weights = [load_file(p.with_suffix(".safetensors")) for p in stems]
    assert both[0] == both[1]
    assert all(torch.equal(weights[1][k], weights[2][k]) for k in weights[1])
    # Sums are added up in another order; all random numbers are the same.
    for one, other in zip(alone, both[0], strict=True):
        assert other == pytest.approx(one, rel=1e-4)
    for name, values in weights[0].items():
        torch.testing.assert_close(weights[1][name], values, rtol=1e-2, atol=1e-4)


def test_one_process_alone_is_not_refused(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    refuse_several_processes()
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigurationError, match="4 processes were started together"):
        refuse_several_processes()


def test_training_one_model_is_refused(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigurationError, match="start the command once, without"):
        train("cohort.csv", "evidence", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
