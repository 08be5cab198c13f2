"""Encoders by name: how they are registered, listed and made."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.encoder_weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_mmsubtype.models.encoders import Encoder

# Name -> module that registers it. Imported on demand: torchvision takes seconds.
_BUILT_IN = {
    "demo-cnn": "napari_mmsubtype.models.demo_cnn",
    "resnet18": "napari_mmsubtype.models.resnet",
    "resnet34": "napari_mmsubtype.models.resnet",
    "resnet50": "napari_mmsubtype.models.resnet",
    "resnet101": "napari_mmsubtype.models.resnet",
    "resnet152": "napari_mmsubtype.models.resnet",
    "resvit": "napari_mmsubtype.models.resvit",
    "seresnet50": "napari_mmsubtype.models.seresnet",
    "squeezenet1_1": "napari_mmsubtype.models.squeezenet",
    "vit_b_16": "napari_mmsubtype.models.vit",
    "vit_s_16": "napari_mmsubtype.models.vit",
}

_Factory = TypeVar("_Factory", bound="Callable[..., Encoder]")
_FACTORIES: dict[str, Callable[..., Encoder]] = {}


def register_encoder(name: str) -> Callable[[_Factory], _Factory]:
    """Make a factory available under a name.

    Parameters
    ----------
    name : str
        What `create_encoder` is called with.

    Returns
    -------
    callable
        Decorator that registers a factory and gives it back unchanged. The factory
        takes keyword options and returns an `encoders.Encoder` with random weights.

    Raises
    ------
    ValueError
        If the name is taken by another factory.
    """

    def _register(factory: _Factory) -> _Factory:
        known = _FACTORIES.setdefault(name, factory)
        if known is not factory:
            msg = f"encoder {name!r} is already registered by {known!r}"
            raise ValueError(msg)
        return factory

    return _register


def list_encoders() -> list[str]:
    """List the names that `create_encoder` knows.

    Returns
    -------
    list of str
        Sorted; built-in and registered ones.
    """
    return sorted({*_BUILT_IN, *_FACTORIES})


def create_encoder(
    name: str, *, weights: str | Path | None = None, **options: Any
) -> Encoder:
    """Make an encoder.

    Parameters
    ----------
    name : str
        One of `list_encoders`.
    weights : str or Path, optional
        None draws random weights under the current seed; ``"torchvision"`` takes
        torchvision's own download; otherwise a ``.safetensors`` or ``.pth`` file.
    **options
        What the encoder's factory takes, for example ``input_size=256``.

    Returns
    -------
    Encoder
        In evaluation mode; ``name`` and ``options`` reproduce its architecture.

    Raises
    ------
    ConfigurationError
        If the name is unknown, an option is impossible or the weights do not fit.
    """
    if name not in _FACTORIES and name in _BUILT_IN:
        import_module(_BUILT_IN[name])
    if name not in _FACTORIES:
        msg = f"unknown encoder {name!r}; known are {', '.join(list_encoders())}"
        raise ConfigurationError(msg)
    encoder = _FACTORIES[name](**options)
    encoder.name = name
    encoder.options = dict(options)
    if weights is not None:
        load_weights(encoder, weights)
    return encoder.eval()
