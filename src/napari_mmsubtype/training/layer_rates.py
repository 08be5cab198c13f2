"""Which layers of an encoder are trained, and how fast each of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.training.config import PatchTrainingConfig

_NUMBERED = re.compile(r"(.*_)?\d+")


def backbone_layers(encoder: Encoder) -> list[list[list[nn.Parameter]]]:
    """Divide the backbone of an encoder into layers.

    Parameters
    ----------
    encoder : Encoder
        Any; weights that it does not count to its backbone are left out.

    Returns
    -------
    list of list of list of torch.nn.Parameter
        For each branch, side by side, its layers from input to output. A layer is one
        numbered block (``layer1.0``, ``blocks.3``, ``features.7``), or what stands
        between them.
    """
    chosen = {id(parameter) for parameter in encoder.backbone()}
    branches = []
    for branch in list(encoder.parts().values()) or [encoder]:
        layers: dict[str, list[nn.Parameter]] = {}
        for name, parameter in branch.named_parameters():
            if id(parameter) in chosen:
                layers.setdefault(_layer_name(name), []).append(parameter)
        branches.append(list(layers.values()))
    return branches


def parameter_groups(
    encoder: Encoder, modules: Iterable[nn.Module], config: PatchTrainingConfig
) -> list[dict[str, Any]]:
    """Give each layer a multiple of the learning rate.

    Parameters
    ----------
    encoder : Encoder
        To be trained.
    modules : iterable of torch.nn.Module
        All that is trained, among it the encoder.
    config : PatchTrainingConfig
        With ``backbone_rate``, ``layer_decay`` and ``frozen``.

    Returns
    -------
    list of dict
        For an optimizer: ``params`` and ``factor``, by which the rate is multiplied.
        What is not of the backbone has a factor of 1; frozen layers are left out.
    """
    kept = {id(p) for p in frozen_parameters(encoder, config, epoch=config.epochs)}
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    seen: set[int] = set()
    for layers in backbone_layers(encoder):
        for height, layer in enumerate(reversed(layers)):
            factor = config.backbone_rate * config.layer_decay**height
            # What is left of a layer may be nothing: weights are shared by branches.
            fresh = [p for p in layer if id(p) not in seen]
            seen.update(id(p) for p in fresh)
            groups.setdefault(factor, []).extend(p for p in fresh if id(p) not in kept)
    for module in modules:
        for parameter in module.parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                groups[1.0].append(parameter)
    return [{"params": p, "factor": factor} for factor, p in groups.items() if p]


def frozen_parameters(
    encoder: Encoder, config: PatchTrainingConfig, *, epoch: int
) -> list[nn.Parameter]:
    """Give the weights that an epoch leaves as they are.

    Parameters
    ----------
    encoder : Encoder
        In training.
    config : PatchTrainingConfig
        With ``frozen`` and ``head_first_epochs``.
    epoch : int
        Counted from 0.

    Returns
    -------
    list of torch.nn.Parameter
        Of the backbone.
    """
    if epoch < config.head_first_epochs:
        return encoder.backbone()
    return [
        parameter
        for layers in backbone_layers(encoder)
        for layer in layers[: round(config.frozen * len(layers))]
        for parameter in layer
    ]


def set_trained(encoder: Encoder, frozen: Iterable[nn.Parameter]) -> None:
    """Put an encoder into training, but for some of its weights.

    Parameters
    ----------
    encoder : Encoder
        In place. Its modules of frozen weights alone go into evaluation mode: the
        statistics of batch normalization stay as well.
    frozen : iterable of torch.nn.Parameter
        Weights without a gradient.
    """
    still = {id(parameter) for parameter in frozen}
    for parameter in encoder.backbone():
        parameter.requires_grad_(id(parameter) not in still)
    encoder.train()
    for module in encoder.modules():
        own = [id(parameter) for parameter in module.parameters(recurse=False)]
        if own and still.issuperset(own):
            module.train(False)


def _layer_name(name: str) -> str:
    """Give the first numbered block in the name of a weight, or its module."""
    parts = name.split(".")
    for position, part in enumerate(parts):
        if _NUMBERED.fullmatch(part):
            return ".".join(parts[: position + 1])
    return ".".join(parts[:-1] or parts)
