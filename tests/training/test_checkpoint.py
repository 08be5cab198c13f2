from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.checkpoint import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)

IDENTITY = {"settings": {"epochs": 3, "drop": {"rna": 0.5}}, "model": {"name": "late"}}


def make(step: int = 1) -> Checkpoint:
    weight = torch.arange(6.0).reshape(2, 3) + step
    tensors = {"a": weight, "tied": weight, "turned": weight.T, "n": torch.tensor(step)}
    return Checkpoint(tensors, {"step": step, "loss": 1 / 3, "curve": [0.1]}, IDENTITY)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path) -> None:
    path = tmp_path / "new" / "fold-0.safetensors"
    assert read_checkpoint(path, IDENTITY) is None
    for step in (1, 2):
        write_checkpoint(path, make(step))
    found = read_checkpoint(path, IDENTITY)
    assert found.facts == make(2).facts
    assert set(found.tensors) == set(make(2).tensors)
    for name, values in make(2).tensors.items():
        assert torch.equal(found.tensors[name], values)
        assert found.tensors[name].dtype is values.dtype
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_earlier_one(tmp_path, monkeypatch) -> None:
    path = tmp_path / "fold.safetensors"
    write_checkpoint(path, make(1))

    def full(*_: object) -> None:
        msg = "No space left on device"
        raise OSError(msg)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(path, make(2))
    assert read_checkpoint(path, IDENTITY).facts["step"] == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (
            {"settings": {**IDENTITY["settings"], "epochs": 4}},
            r"epochs \(3 there, 4 he",
        ),
        ({"settings": {"epochs": 3, "drop": {"rna": 0.4}}}, "settings: drop"),
        ({"model": {"name": "gated"}}, r"model: name \(late there, gated here\)"),
        ({"cases": {"labels": "f" * 64}}, "cases: labels; give another path"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, other, named) -> None:
    path = tmp_path / "fold.safetensors"
    write_checkpoint(path, make())
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=named) as caught:
        read_checkpoint(path, {**IDENTITY, **other})
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_other_files_are_refused(tmp_path) -> None:
    path = tmp_path / "fold.safetensors"
    header = json.dumps({"__metadata__": {"format": "pt"}}).encode()
    whole = make()
    write_checkpoint(path, whole)
    for content in (
        b"",
        b"junk" * 20,
        struct.pack("<Q", len(header)) + header,
        path.read_bytes()[:-4],
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="is not a checkpoint"):
            read_checkpoint(path, IDENTITY)


def test_other_formats_are_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / "fold.safetensors"
    monkeypatch.setattr("napari_mmsubtype.training.checkpoint._VERSION", 9)
    write_checkpoint(path, make())
    monkeypatch.undo()
    with pytest.raises(ConfigurationError, match=r"format \(9 there, 1 here\)"):
        read_checkpoint(path, IDENTITY)
