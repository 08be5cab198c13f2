from __future__ import annotations

import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training import run_keeper
from napari_mmsubtype.training.run_keeper import RunKeeper


class Counter:
    """A training that only counts."""

    def __init__(self) -> None:
        self.step = 0

    def tensors(self):
        return {"weight": torch.full((2,), float(self.step))}

    def facts(self):
        return {"step": self.step}

    def restore(self, tensors, facts) -> None:
        assert tensors["weight"].tolist() == [facts["step"]] * 2
        self.step = facts["step"]


def kept(path) -> int:
    run = Counter()
    assert RunKeeper(run, path, 0.0, {}).resume()
    return run.step


def test_a_run_is_written_when_it_is_time_or_asked_for(tmp_path, monkeypatch) -> None:
    clock, path, run = [100.0], tmp_path / "run.safetensors", Counter()
    monkeypatch.setattr(run_keeper.time, "monotonic", lambda: clock[0])
    keeper = RunKeeper(run, path, 60.0, {})
    assert not keeper.resume()
    for run.step, clock[0] in ((1, 130.0), (2, 159.0)):
        keeper.keep()
    assert not path.exists()
    for step, seconds, expected in ((3, 160.0, 3), (4, 200.0, 3), (5, 221.0, 5)):
        run.step, clock[0] = step, seconds
        keeper.keep()
        assert kept(path) == expected
    run.step = 6
    keeper.keep(now=True)
    assert kept(path) == 6


def test_without_a_path_nothing_is_kept(tmp_path) -> None:
    keeper = RunKeeper(Counter(), None, 0.0, {})
    keeper.keep(now=True)
    assert not keeper.resume()
    assert list(tmp_path.iterdir()) == []


def test_another_training_is_refused(tmp_path) -> None:
    path = tmp_path / "run.safetensors"
    RunKeeper(Counter(), path, 0.0, {"settings": {"seed": 1}}).keep()
    keeper = RunKeeper(Counter(), path, 0.0, {"settings": {"seed": 2}})
    with pytest.raises(ConfigurationError, match=r"seed \(1 there, 2 here\)"):
        keeper.resume()
