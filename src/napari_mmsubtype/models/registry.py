"""Encoders by name: how they are registered, listed and made."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.encoder_weights import load_weights
from napari_mmsubtype.models.foundation_table import FOUNDATION_MODELS, published_model
from napari_mmsubtype.models.lean_torchvision import import_torchvision
from napari_mmsubtype.models.option_names import require_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari_mmsubtype.models.encoders import Encoder

# Name -> module that registers it. Imported on demand: timm takes seconds.
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
    **dict.fromkeys(FOUNDATION_MODELS, "napari_mmsubtype.models.foundation"),
}

_PLAIN = {"napari_mmsubtype.models.demo_cnn"}
"""Need neither torchvision nor timm."""

# Name before the colon -> module that registers what takes the rest of the name.
_FAMILIES = {
    "timm": "napari_mmsubtype.models.timm_encoder",
    "wsinfer": "napari_mmsubtype.models.wsinfer",
}

_Factory = TypeVar("_Factory", bound="Callable[..., Encoder]")
_FACTORIES: dict[str, Callable[..., Encoder]] = {}


def register_encoder(name: str) -> Callable[[_Factory], _Factory]:
    """Make a factory available under a name.

    Parameters
    ----------
    name : str
        What `create_encoder` is called with; one that ends in a colon is a family,
        whose factory is given the rest of the name first.

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
        Sorted; built-in and registered ones. Families such as ``timm:<name>`` are not
        among them.
    """
    return sorted({*_BUILT_IN, *(n for n in _FACTORIES if not n.endswith(":"))})


def create_encoder(
    name: str,
    *,
    weights: str | Path | Mapping[str, str | Path] | None = None,
    **options: Any,
) -> Encoder:
    """Make an encoder.

    Parameters
    ----------
    name : str
        One of `list_encoders`, a foundation model's name on Hugging Face
        (``"owkin/phikon-v2"``), ``"timm:"`` and a name of timm, or ``"wsinfer:"`` and
        the folder of a model of the WSInfer zoo.
    weights : str, Path or mapping of str to these, optional
        None draws random weights under the current seed; ``"torchvision"`` takes
        torchvision's own download, ``"hub"`` the authors' on Hugging Face, and
        ``hf://org/name@revision`` that of any repository; otherwise a ``.safetensors``
        or ``.pth`` file, or a folder with one. A mapping names a source for each
        branch, where the encoder has several; what it leaves out stays random.
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
    name = _plain_name(name)
    encoder = _factory(name)(**options)
    encoder.name = name
    encoder.options = dict(options)
    if weights is not None:
        load_weights(encoder, weights)
    return encoder.eval()


def check_encoder_options(name: str, options: Mapping[str, Any]) -> None:
    """Check that an encoder exists and takes options, without making it.

    Parameters
    ----------
    name : str
        As `create_encoder`.
    options : mapping
        What its factory is to be called with.

    Raises
    ------
    ConfigurationError
        If the name or an option is unknown.
    """
    require_options(_factory(_plain_name(name)), options, f"encoder {name!r}")


def _plain_name(name: str) -> str:
    """Give the name of a foundation model that is called by its id on Hugging Face."""
    model = published_model(name.removeprefix("timm:").removeprefix("hf-hub:"))
    return model.name if model else name


def _factory(name: str) -> Callable[..., Encoder]:
    """Find who makes an encoder."""
    family, colon, rest = name.partition(":")
    key = family + colon
    module = _FAMILIES.get(family) if colon else _BUILT_IN.get(name)
    if key not in _FACTORIES and module:
        if module not in _PLAIN:
            import_torchvision()
        import_module(module)
    if key not in _FACTORIES:
        families = "".join(f", {known}:<name>" for known in _FAMILIES)
        msg = (
            f"unknown encoder {name!r}; known are {', '.join(list_encoders())}"
            f"{families}"
        )
        raise ConfigurationError(msg)
    return partial(_FACTORIES[key], rest) if colon else _FACTORIES[key]
