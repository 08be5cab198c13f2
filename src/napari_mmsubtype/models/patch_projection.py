"""The first look at the patches of a bag, which may be large: no copy of it is made."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F


def patch_projection(dim: int, width: int, dropout: float) -> nn.Sequential:
    """Make the layers that turn embeddings into tokens.

    Parameters
    ----------
    dim : int
        Length of an embedding.
    width : int
        Length of a token.
    dropout : float
        Dropout during training.

    Returns
    -------
    torch.nn.Sequential
        To be run by `project_patches`.
    """
    return nn.Sequential(
        nn.Linear(dim, width), nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout)
    )


def project_patches(
    layers: nn.Sequential, bag: Tensor, mean: Tensor, scale: Tensor
) -> Tensor:
    """Make a token of each patch.

    Parameters
    ----------
    layers : torch.nn.Sequential
        As made by `patch_projection`.
    bag : Tensor of float, shape (b, n, dim)
        Embeddings.
    mean, scale : Tensor of float, shape (dim,)
        Constants; tokens are made from ``(bag - mean) / scale``.

    Returns
    -------
    Tensor of float, shape (b, n, width)
        Tokens.
    """
    first = cast("nn.Linear", layers[0])
    tokens = linear_standardized(first.weight, first.bias, bag, mean, scale)
    rest: Tensor = layers[1:](tokens)
    return rest


def linear_standardized(
    weight: Tensor,
    bias: Tensor,
    bag: Tensor,
    mean: Tensor | None,
    scale: Tensor | None,
) -> Tensor:
    """Apply a linear layer to ``(bag - mean) / scale`` without copying the bag.

    Parameters
    ----------
    weight : Tensor of float, shape (out, dim)
        Of the layer.
    bias : Tensor of float, shape (out,)
        Of the layer.
    bag : Tensor of float, shape (b, n, dim)
        Embeddings.
    mean, scale : Tensor of float, shape (dim,), or None
        Constants; None for 0 and 1.

    Returns
    -------
    Tensor of float, shape (b, n, out)
        What the layer gives.
    """
    if scale is not None:
        weight = weight / scale
    if mean is not None:
        bias = bias - weight @ mean
    return F.linear(bag, weight, bias)
