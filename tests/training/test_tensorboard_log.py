from __future__ import annotations

import sys
from typing import ClassVar

import pytest

from napari_mmsubtype.errors import MissingDependencyError
from napari_mmsubtype.training.curves import Curves
from napari_mmsubtype.training.tensorboard_log import TrainingLog, open_log


class Writer:
    """Remembers what it is told."""

    seen: ClassVar[list] = []

    def add_scalar(self, *told: object) -> None:
        self.seen.append(told)

    def close(self) -> None:
        self.seen.append("closed")


def test_the_last_epoch_is_written_and_the_log_closed() -> None:
    with TrainingLog(Writer()) as log:
        log.write(Curves((0.9, 0.5), (0.8, 0.6), (0.1, 0.05)))
    assert Writer.seen == [
        ("loss/training", 0.5, 2),
        ("loss/validation", 0.6, 2),
        ("learning rate", 0.05, 2),
        "closed",
    ]


def test_without_a_folder_nothing_is_needed(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with open_log(None) as log:
        log.write(Curves((0.9,), (0.8,), (0.1,)))


def test_without_tensorboard_the_error_says_what_to_do(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        MissingDependencyError, match=r"napari-mmsubtype\[tensorboard\]"
    ):
        open_log(tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_reads_the_curves(tmp_path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is optional")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with open_log(tmp_path) as log:
        log.write(Curves((0.9,), (0.8,), (0.1,)))
        log.write(Curves((0.9, 0.5), (0.8, 0.6), (0.1, 0.05)))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    found = [(e.step, round(e.value, 6)) for e in events.Scalars("loss/validation")]
    assert found == [(1, 0.8), (2, 0.6)]
