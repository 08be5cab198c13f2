"""Weights from a file or from torchvision, checked name by name, never unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.encoder_hub import fetch_weights, is_hub_source
from napari_mmsubtype.models.lean_torchvision import import_torchvision
from napari_mmsubtype.models.torchscript_file import is_torchscript, load_torchscript

if TYPE_CHECKING:
    from napari_mmsubtype.models.encoders import Encoder

_PICKLED = (".pth", ".pt", ".bin")
_SUFFIXES = (".safetensors", *_PICKLED)


def load_weights(
    encoder: Encoder, weights: str | Path | Mapping[str, str | Path]
) -> None:
    """Fill an encoder with weights, all of them or none.

    Parameters
    ----------
    encoder : Encoder
        Changed in place.
    weights : str, Path, or mapping of str to these
        ``"torchvision"``, ``"hub"``, ``hf://org/name``, a ``.safetensors``, ``.pth``,
        ``.pt`` or ``.bin`` file, or a folder that holds one of them, of which
        safetensors are taken; a TorchScript network only lends its tensors, and is not
        run. Names may be those of the network's origin, of ``encoder.state_dict()`` or
        carry the ``module.`` of a parallel wrapper; a classifier at the end is left
        out. A mapping fills parts of the encoder (`Encoder.parts`), each from its own.

    Raises
    ------
    ConfigurationError
        If the source cannot be read or its names or shapes are not the encoder's.
    """
    if isinstance(weights, Mapping):
        _load_parts(encoder, weights)
        return
    if weights == "torchvision":
        state, source = _download(encoder.name), f"torchvision's {encoder.name}"
        origin = source
    elif is_hub_source(weights):
        path, origin = fetch_weights(encoder, str(weights))
        state, source = _read(path), origin
    else:
        path = _file_in(Path(weights))
        state, source = _read(path), f"file {path}"
        # Bundles carry it: the folders of who made them are nobody's business.
        origin = f"file {path.name}"
    state = _without_prefix(_without_prefix(state, "module."), "body.")
    state = {
        name: value
        for name, value in state.items()
        if not name.startswith(encoder.head_prefixes or ("\0",))
    }
    state = encoder.translate_weights(state)
    _check(encoder, state, source)
    encoder.body.load_state_dict(state, strict=False)
    encoder.origin = origin


def _load_parts(encoder: Encoder, weights: Mapping[str, str | Path]) -> None:
    """Fill parts of an encoder, each from a source of its own."""
    parts = encoder.parts()
    unknown = sorted(set(weights) - set(parts))
    if unknown or not weights:
        known = ", ".join(parts) or "none: give one source for all of it"
        msg = (
            f"encoder {encoder.name!r} has no parts {unknown} to fill with weights; "
            f"its parts are {known}"
        )
        raise ConfigurationError(msg)
    for name, source in weights.items():
        load_weights(parts[name], source)
    encoder.origin = "; ".join(f"{name}: {parts[name].origin}" for name in weights)


def _check(encoder: Encoder, state: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights whose names or shapes are not exactly those of the network."""
    expected = encoder.body.state_dict()
    # Old files have no batch counters; they do not change what the network computes.
    missing = [
        name
        for name in expected
        if name not in state and not name.endswith("num_batches_tracked")
    ]
    unexpected = [name for name in state if name not in expected]
    reshaped = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in state and state[name].shape != expected[name].shape
    ]
    problems = [
        f"{len(names)} {kind} ({_some(names)})"
        for kind, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", reshaped),
        )
        if names
    ]
    if problems:
        msg = (
            f"the weights of {source} are not those of encoder {encoder.name!r}: "
            f"{'; '.join(problems)}; expected {len(expected)} tensors; choose the "
            "encoder that the weights were made for, with the same options"
        )
        raise ConfigurationError(msg)


def _file_in(path: Path) -> Path:
    """Find the file of weights in a folder, as downloaded from a model hub."""
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
    plain = [file for file in found if file.suffix == ".safetensors"]
    chosen = plain or found
    if len(chosen) != 1:
        names = ", ".join(file.name for file in chosen) or "none"
        msg = (
            f"folder {str(path)!r} holds {len(chosen)} files of weights ({names}); "
            "expected one .safetensors file or one .pth, .pt or .bin file: give the "
            "file itself"
        )
        raise ConfigurationError(msg)
    return chosen[0]


def _read(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a file."""
    if not path.is_file():
        msg = (
            f"weights {str(path)!r} are not a file; give a .safetensors or .pth file, "
            "or 'torchvision' or 'hub' for a download"
        )
        raise ConfigurationError(msg)
    try:
        if path.suffix == ".safetensors":
            found: Any = safetensors.torch.load_file(path)
        elif is_torchscript(path):
            found = _read_script(path)
        elif path.suffix in _PICKLED:
            found = torch.load(path, map_location="cpu", weights_only=True)
        else:
            msg = (
                f"weights file {path} ends in {path.suffix!r}; expected .safetensors "
                "or .pth"
            )
            raise ConfigurationError(msg)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
    ) as err:
        if isinstance(err, ConfigurationError):
            raise
        reason = str(err).strip().splitlines()[0] if str(err).strip() else "empty file"
        msg = (
            f"weights file {path} cannot be read as plain tensors ({reason}); expected "
            "a .safetensors file or a .pth state dict that loads with weights_only=True"
        )
        raise ConfigurationError(msg) from err
    for wrapper in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not all(
        isinstance(value, Tensor) for value in found.values()
    ):
        msg = (
            f"weights file {path} holds a {type(found).__name__}; expected tensors by "
            "name (a state dict)"
        )
        raise ConfigurationError(msg)
    return dict(found)


def _read_script(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a TorchScript network that still has the names."""
    state: dict[str, Tensor] = load_torchscript(path).state_dict()
    if not state:
        msg = (
            f"weights file {path} is a frozen TorchScript network, whose weights have "
            "no names; give a state dict, or take the network as it is "
            f"(wsinfer:{path.parent})"
        )
        raise ConfigurationError(msg)
    return state


def _download(name: str) -> dict[str, Tensor]:
    """Fetch torchvision's default weights of an architecture."""
    import_torchvision()
    from torchvision.models import get_model_weights, list_models

    if name not in list_models():
        msg = f"torchvision has no weights for encoder {name!r}; give a weights file"
        raise ConfigurationError(msg)
    entry = get_model_weights(name).DEFAULT
    try:
        state: dict[str, Tensor] = entry.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except (URLError, OSError, RuntimeError) as err:
        msg = (
            f"the weights of {name!r} could not be downloaded from {entry.url} "
            f"({err}); download them elsewhere and give the file, or stay with "
            "weights=None (random)"
        )
        raise ConfigurationError(msg) from err
    return state


def _without_prefix(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take a prefix off every name, if every name has it."""
    if state and all(name.startswith(prefix) for name in state):
        return {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _some(names: list[str], limit: int = 3) -> str:
    """Show the first few names."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
