"""Every image network of timm as an encoder: ``timm:<name>``."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING, Any

import timm
import torch
from torch import Tensor

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.encoders import Encoder
from napari_mmsubtype.models.registry import register_encoder
from napari_mmsubtype.models.vit import token_grid

if TYPE_CHECKING:
    from collections.abc import Mapping


class TimmEncoder(Encoder):
    """A network of timm; its map is what ``forward_features`` gives.

    Tokens are laid out as a map without class token and registers; maps with the
    channels last are turned. The embedding is the average of the map, not what timm's
    own head makes of it.

    Parameters
    ----------
    architecture : str
        A name of timm, such as ``"convnext_tiny"``, with or without a tag.
    input_size : int, optional
        Side of the patch in pixels; by default the network's own.
    network : torch.nn.Module, optional
        One that timm made, without classifier; None makes it.
    shape : tuple of int, optional
        Channels and cells of the map; by default an empty patch is tried.
    mean, std : tuple of float, optional
        Normalization; by default the network's own.

    Raises
    ------
    ConfigurationError
        If timm has no such network, or it has no map for patches of that size.
    """

    def __init__(
        self,
        architecture: str,
        *,
        input_size: int | None = None,
        network: Any = None,
        shape: tuple[int, int] | None = None,
        mean: tuple[float, float, float] | None = None,
        std: tuple[float, float, float] | None = None,
    ) -> None:
        network = network or _build(architecture, input_size)
        about = network.pretrained_cfg
        size = input_size or int(about["input_size"][-1])
        heads = about.get("classifier") or ()
        dim, cells = shape or _probe(network, size, architecture)
        super().__init__(
            network,
            dim=dim,
            input_size=size,
            cell_px=max(round(size / cells), 1),
            mean=tuple(mean or about["mean"]),
            std=tuple(std or about["std"]),
            head_prefixes=tuple(
                f"{head}." for head in ((heads,) if isinstance(heads, str) else heads)
            ),
        )
        self.cells = cells
        self.hub_id = _hub_id(about)

    def _features(self, images: Tensor) -> Tensor:
        return _feature_map(self.body, images)


def _hub_id(about: Mapping[str, Any]) -> str:
    """Give the repository that timm keeps the weights of a network in."""
    repository = str(about.get("hf_hub_id") or "")
    if not repository.endswith("/"):
        return repository
    tag = about.get("tag")
    return f"{repository}{about['architecture']}" + (f".{tag}" if tag else "")


def build_timm(architecture: str, **options: Any) -> Any:
    """Make a network of timm with random weights and without classifier.

    Parameters
    ----------
    architecture : str
        A name of timm.
    **options
        What the network takes.

    Returns
    -------
    torch.nn.Module
        Transformers that can take images of other sizes do.

    Raises
    ------
    ConfigurationError
        If timm has no such network, or it does not take the options.
    """
    known = not {":", "/"} & set(architecture) and timm.is_model(architecture)
    if not known:
        close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        hint = f"did you mean {', '.join(close)}" if close else "see timm.list_models()"
        msg = f"timm {timm.__version__} has no network {architecture!r}; {hint}"
        raise ConfigurationError(msg)
    try:
        return timm.create_model(
            architecture, pretrained=False, num_classes=0, **options
        )
    except (TypeError, ValueError, AssertionError, RuntimeError) as err:
        msg = f"timm cannot make {architecture!r} with {options}: {err}"
        raise ConfigurationError(msg) from err


def _build(architecture: str, input_size: int | None) -> Any:
    """Make a network for the size wanted; weights keep their native shapes."""
    network = build_timm(architecture)
    if hasattr(network, "dynamic_img_size"):
        # Position embeddings stay those of the weight files and are resampled.
        return build_timm(architecture, dynamic_img_size=True)
    about = network.pretrained_cfg
    native = int(about["input_size"][-1])
    if about.get("fixed_input_size") and input_size not in (None, native):
        return build_timm(architecture, img_size=input_size)
    return network


def _probe(network: Any, size: int, name: str) -> tuple[int, int]:
    """Find the channels and cells of the map by trying an empty patch."""
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            found = _feature_map(
                network.eval(), torch.zeros(1, 3, size, size, device=device)
            )
    except (AssertionError, RuntimeError, ValueError, IndexError) as err:
        reason = " ".join(str(err).split())[:200]
        msg = (
            f"encoder {name!r} has no square map for patches of {size} px ({reason}); "
            "choose another input_size, or a network with a map"
        )
        raise ConfigurationError(msg) from err
    return found.shape[1], found.shape[2]


def _feature_map(network: Any, images: Tensor) -> Tensor:
    """Run a network and lay out what it gives as a map."""
    found = network.forward_features(images)
    if not isinstance(found, Tensor):
        msg = f"the network gives a {type(found).__name__} of maps, expected one"
        raise ValueError(msg)
    channels: int = network.num_features
    if found.ndim == 3:
        return _token_map(network, found, images.shape[2] / images.shape[3])
    if found.ndim != 4:
        msg = f"the network gives {found.ndim} axes, expected a map or tokens"
        raise ValueError(msg)
    last = str(getattr(network, "output_fmt", "")).endswith("NHWC")
    if last or (found.shape[1] != channels and found.shape[3] == channels):
        return found.permute(0, 3, 1, 2)
    return found


def _token_map(network: Any, found: Tensor, aspect: float) -> Tensor:
    """Lay out tokens without those that are no place of the image."""
    tokens = found[:, getattr(network, "num_prefix_tokens", 0) :]
    for first in (0, 1):
        count = tokens.shape[1] - first
        rows = max(round(math.sqrt(count * aspect)), 1)
        if rows * (count // rows) == count:
            break
        # Some keep a class token and do not say so.
        if not hasattr(network, "cls_token"):
            break
    return token_grid(tokens[:, first:], rows, count // rows)


@register_encoder("timm:")
def _timm(architecture: str, *, input_size: int | None = None) -> TimmEncoder:
    return TimmEncoder(architecture, input_size=input_size)
