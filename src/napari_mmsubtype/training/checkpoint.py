"""Checkpoints of a training: one file that is always whole, without pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_mmsubtype.core.whole_file import whole_file
from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

_KEY = "napari_mmsubtype_checkpoint"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training as it was at one moment.

    Attributes
    ----------
    tensors : mapping of str to Tensor
        Weights, moments of the optimizer and the like.
    facts : mapping of str to object
        What JSON can hold: epoch, step, losses.
    identity : mapping of str to mapping
        What makes the training this one, by part and setting: data, model, settings.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    identity: Mapping[str, Mapping[str, Any]]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in the place of an earlier one.

    Parameters
    ----------
    path : Path
        Of the file; its folder is made. Whenever the process is killed, the file is
        the earlier checkpoint or this one, never a part.
    checkpoint : Checkpoint
        Tensors are written in safetensors, the rest as JSON in its header.
    """
    content = {
        "version": _VERSION,
        "facts": checkpoint.facts,
        "identity": checkpoint.identity,
    }
    tensors = {
        # Copies, because tied weights share their memory.
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in checkpoint.tensors.items()
    }
    with whole_file(path) as draft:
        save_file(tensors, draft, metadata={_KEY: json.dumps(content)})


def read_checkpoint(
    path: Path, identity: Mapping[str, Mapping[str, Any]]
) -> Checkpoint | None:
    """Read the checkpoint of a training.

    Parameters
    ----------
    path : Path
        Of the file.
    identity : mapping of str to mapping
        Of the training that is to go on.

    Returns
    -------
    Checkpoint or None
        None where there is no file.

    Raises
    ------
    ConfigurationError
        If the file is no checkpoint, or that of another training.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            content = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts, found = content["facts"], content["identity"]
        version = content["version"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as err:
        msg = (
            f"{path} is not a checkpoint of a training ({err}); give another path, or "
            "delete it to start anew"
        )
        raise ConfigurationError(msg) from err
    # As JSON gives it back: lists for tuples, text for keys.
    wanted = json.loads(json.dumps(identity))
    different = _differences(found, wanted)
    if version != _VERSION:
        different = [f"format ({version} there, {_VERSION} here)"]
    if different:
        msg = (
            f"checkpoint {path} is of another training, which differs in "
            f"{', '.join(different)}; give another path, or delete it to start anew"
        )
        raise ConfigurationError(msg)
    return Checkpoint(tensors, facts, found)


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Name what differs, with short values."""
    names = []
    for part in sorted({*found, *wanted}):
        there, here = found.get(part, {}), wanted.get(part, {})
        for name in sorted({*there, *here}):
            old, new = there.get(name), here.get(name)
            if old == new:
                continue
            short = max(len(str(old)), len(str(new))) <= 30
            values = f" ({old} there, {new} here)" if short else ""
            names.append(f"{part}: {name}{values}")
    return names
