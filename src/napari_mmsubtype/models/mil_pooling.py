"""How the patch tokens of a bag become one vector: poolings by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.mil import GatedAttention

_BUILT_IN = {
    "mean": "napari_mmsubtype.models.mil_pooling",
    "gated": "napari_mmsubtype.models.mil_pooling",
    "additive": "napari_mmsubtype.models.mil_pooling",
    "transmil": "napari_mmsubtype.models.transmil",
}


@dataclass(slots=True)
class Pooled:
    """A batch of ``b`` bags, pooled.

    Attributes
    ----------
    vector : Tensor of float, shape (b, width)
        One per bag; 0 where a bag is empty.
    weights : Tensor of float, shape (b, n)
        Attention of each patch, 0 for padding and summing to 1 over a bag with any.
    contributions : Tensor of float, shape (b, n, width)
        What each patch adds, 0 for padding. They sum to ``vector``, except in
        ``transmil``, whose vector is not a sum over patches.
    """

    vector: Tensor
    weights: Tensor
    contributions: Tensor


class Pooling(nn.Module):
    """Turns the patch tokens of each bag into one vector.

    Padding changes nothing, nor do the other bags of a batch; unless a subclass says
    otherwise, nor does the order of patches.

    Parameters
    ----------
    width : int
        Length of a token, and of the vector.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, tokens: Tensor, mask: Tensor) -> Pooled:
        """Pool each bag.

        Parameters
        ----------
        tokens : Tensor of float, shape (b, n, width)
            Patch tokens; padding may hold any finite value, and ``n`` may be 0.
        mask : Tensor of bool, shape (b, n)
            True for patches, False for padding.

        Returns
        -------
        Pooled
            Vector, weights and contributions.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        if tokens.ndim != 3 or tokens.shape[2] != self.width:
            msg = f"tokens must be (b, n, {self.width}), found {tuple(tokens.shape)}"
            raise ValueError(msg)
        if mask.shape != tokens.shape[:2]:
            msg = f"mask must be {tuple(tokens.shape[:2])}, found {tuple(mask.shape)}"
            raise ValueError(msg)
        return self._pool(tokens, mask)

    def _pool(self, tokens: Tensor, mask: Tensor) -> Pooled:
        """Pool checked input."""
        raise NotImplementedError


_Pooling = TypeVar("_Pooling", bound=Callable[..., Pooling])
_FACTORIES: dict[str, Callable[..., Pooling]] = {}


def register_pooling(name: str) -> Callable[[_Pooling], _Pooling]:
    """Make a pooling available under a name.

    Parameters
    ----------
    name : str
        What `create_pooling` is called with.

    Returns
    -------
    callable
        Decorator for what takes ``(width, **options)``, e.g. a class.

    Raises
    ------
    ValueError
        If the name is taken by another factory.
    """

    def _register(factory: _Pooling) -> _Pooling:
        known = _FACTORIES.setdefault(name, factory)
        if known is not factory:
            msg = f"pooling {name!r} is already registered by {known!r}"
            raise ValueError(msg)
        return factory

    return _register


def list_poolings() -> list[str]:
    """List the names that `create_pooling` knows.

    Returns
    -------
    list of str
        Sorted; built-in and registered ones.
    """
    return sorted({*_BUILT_IN, *_FACTORIES})


def create_pooling(name: str, width: int, **options: Any) -> Pooling:
    """Make a pooling with random weights under the current seed.

    Parameters
    ----------
    name : str
        One of `list_poolings`.
    width : int
        Length of a token.
    **options
        What the pooling takes besides; plain JSON types.

    Returns
    -------
    Pooling
        In training mode.

    Raises
    ------
    ConfigurationError
        If no pooling has this name.
    """
    if name not in _FACTORIES and name in _BUILT_IN:
        import_module(_BUILT_IN[name])
    if name not in _FACTORIES:
        msg = f"unknown pooling {name!r}; known are {', '.join(list_poolings())}"
        raise ConfigurationError(msg)
    return _FACTORIES[name](width, **options)


@register_pooling("mean")
class MeanPooling(Pooling):
    """The average patch: every patch weighs the same."""

    def _pool(self, tokens: Tensor, mask: Tensor) -> Pooled:
        count = mask.sum(dim=1, keepdim=True).clamp(min=1)
        weights = mask.to(tokens.dtype) / count
        return _weighted(tokens, weights, mask)


@register_pooling("gated")
class GatedPooling(Pooling):
    """The average patch, weighted by gated attention (ABMIL).

    Parameters
    ----------
    width : int
        Length of a token.
    hidden : int, default: 64
        Length of the gate.
    dropout : float, default: 0.0
        Dropout on the gated features during training.
    """

    def __init__(self, width: int, *, hidden: int = 64, dropout: float = 0.0) -> None:
        super().__init__(width)
        self.attention = GatedAttention(width, hidden, dropout=dropout)

    def _pool(self, tokens: Tensor, mask: Tensor) -> Pooled:
        return _weighted(tokens, self.attention(tokens, mask), mask)


@register_pooling("additive")
class AdditivePooling(Pooling):
    """The sum over patches of a network of the weighted patch.

    With gated attention ``a_i`` and tokens ``h_i`` the vector is ``sum_i psi(a_i h_i)``
    instead of ``psi(sum_i a_i h_i)`` [1]_, so that a linear head splits exactly into
    the patches. ``psi`` has two layers, ReLU and no offsets: a patch without weight
    adds nothing, and the size of the bag does not matter.

    Parameters
    ----------
    width : int
        Length of a token.
    hidden : int, default: 64
        Length of the gate and of the hidden layer.
    dropout : float, default: 0.0
        Dropout on the gated features during training.

    References
    ----------
    .. [1] Javed et al., "Additive MIL: intrinsically interpretable multiple instance
       learning for pathology", NeurIPS 2022.
    """

    def __init__(self, width: int, *, hidden: int = 64, dropout: float = 0.0) -> None:
        super().__init__(width)
        self.attention = GatedAttention(width, hidden, dropout=dropout)
        self.first = nn.Linear(width, hidden, bias=False)
        self.second = nn.Linear(hidden, width, bias=False)

    def _pool(self, tokens: Tensor, mask: Tensor) -> Pooled:
        weights = self.attention(tokens, mask)
        parts: Tensor = self.second(F.relu(self.first(weights.unsqueeze(2) * tokens)))
        parts = parts.masked_fill(~mask.unsqueeze(2), 0.0)
        return Pooled(parts.sum(dim=1), weights, parts)


def _weighted(tokens: Tensor, weights: Tensor, mask: Tensor) -> Pooled:
    """Average tokens by weights that are 0 for padding."""
    parts = torch.where(mask.unsqueeze(2), weights.unsqueeze(2) * tokens, 0.0)
    return Pooled(parts.sum(dim=1), weights, parts)
