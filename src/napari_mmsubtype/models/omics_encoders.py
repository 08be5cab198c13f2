"""Networks that turn one patient's omics vector into a token or into group tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_mmsubtype.core.cases import Modality

Groups: TypeAlias = int | Sequence[Sequence[int]] | Mapping[str, Any]
"""Number of learned groups, the features of each given one, or both by name."""


class SelfNormalizing(nn.Module):
    """Two dense layers with ELU and alpha dropout, for thousands of features.

    Parameters
    ----------
    features : int
        Length of the omics vector.
    dim : int
        Length of the token.
    hidden : int, default: 64
        Width of the first layer.
    dropout : float, default: 0.25
        Alpha dropout during training.

    References
    ----------
    .. [1] Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
    """

    def __init__(
        self, features: int, dim: int, *, hidden: int = 64, dropout: float = 0.25
    ) -> None:
        super().__init__()
        self.first = _lecun(nn.Linear(features, hidden))
        self.second = _lecun(nn.Linear(hidden, dim))
        self.dropout = nn.AlphaDropout(dropout)

    def forward(self, values: Tensor) -> Tensor:
        """Encode patients.

        Parameters
        ----------
        values : Tensor of float, shape (b, features)
            Scaled omics vectors.

        Returns
        -------
        Tensor of float, shape (b, dim)
            One token per patient.
        """
        hidden = self.dropout(F.elu(self.first(values)))
        token: Tensor = self.dropout(F.elu(self.second(hidden)))
        return token


class ClinicalMLP(nn.Module):
    """A dense network for a few numbers, categories and missing indicators.

    Parameters
    ----------
    features : int
        Length of the encoded clinical vector.
    dim : int
        Length of the token.
    hidden : int, default: 32
        Width of the hidden layer.
    dropout : float, default: 0.1
        Dropout during training.
    """

    def __init__(
        self, features: int, dim: int, *, hidden: int = 32, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, dim),
        )

    def forward(self, values: Tensor) -> Tensor:
        """Encode patients.

        Parameters
        ----------
        values : Tensor of float, shape (b, features)
            Scaled numbers, one-hot categories and missing indicators.

        Returns
        -------
        Tensor of float, shape (b, dim)
            One token per patient.
        """
        token: Tensor = self.layers(values)
        return token


class GroupTokens(nn.Module):
    """Many tokens from one vector: one small network per group of features.

    Parameters
    ----------
    features : int
        Length of the omics vector.
    dim : int
        Length of a token.
    groups : int, sequence of sequence of int, or mapping, default: 16
        A number of groups whose memberships are learned (each feature's memberships sum
        to 1), or the feature indices of each group (gene sets), or ``members`` (these)
        with ``learned``: the number of learned groups for the features in none of them.
    hidden : int, default: 16
        Width of each group's hidden layer.
    dropout : float, default: 0.25
        Alpha dropout during training.

    Attributes
    ----------
    tokens : int
        Number of tokens.

    Raises
    ------
    ValueError
        If a group is empty or names a feature that does not exist.
    """

    members: Tensor | None

    def __init__(
        self,
        features: int,
        dim: int,
        *,
        groups: Groups = 16,
        hidden: int = 16,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        members, self.learned = _read_groups(groups, features)
        self.tokens = self.learned + (0 if members is None else len(members))
        self.register_buffer("members", members)
        if self.learned:
            self.membership = nn.Parameter(0.1 * torch.randn(self.learned, features))
        self.first = nn.Parameter(torch.empty(self.tokens, hidden, features))
        self.first_bias = nn.Parameter(torch.zeros(self.tokens, hidden))
        self.second = nn.Parameter(torch.empty(self.tokens, dim, hidden))
        self.second_bias = nn.Parameter(torch.zeros(self.tokens, dim))
        fan_in = torch.full((self.tokens,), float(features))
        if members is not None:
            given = self.tokens - self.learned
            fan_in[:given] = members.sum(dim=1)
            fan_in[given:] = self._others().sum()
        with torch.no_grad():
            self.first.normal_().div_(fan_in.sqrt().view(-1, 1, 1))
            self.second.normal_(std=1 / math.sqrt(hidden))
        self.dropout = nn.AlphaDropout(dropout)

    def memberships(self) -> Tensor:
        """Say how much each feature counts in each group.

        Returns
        -------
        Tensor of float, shape (tokens, features)
            0 or 1 for given groups; summing to 1 over the groups for learned ones, 0
            there for features of a given group.
        """
        if not self.learned and self.members is not None:
            return self.members
        learned: Tensor = F.softmax(self.membership, dim=0)
        if self.members is None:
            return learned
        return torch.cat([self.members, learned * self._others()])

    def forward(self, values: Tensor) -> Tensor:
        """Encode patients.

        Parameters
        ----------
        values : Tensor of float, shape (b, features)
            Scaled omics vectors.

        Returns
        -------
        Tensor of float, shape (b, tokens, dim)
            One token per group.
        """
        share = self.memberships()
        if self.learned:
            # On average 1, as for a given group.
            scale = share.new_ones(self.tokens, 1)
            scale[self.tokens - self.learned :] = self.learned
            share = share * scale
        weight = self.first * share.unsqueeze(1)
        hidden = torch.einsum("khg,bg->bkh", weight, values) + self.first_bias
        hidden = self.dropout(F.elu(hidden))
        token = torch.einsum("kdh,bkh->bkd", self.second, hidden) + self.second_bias
        tokens: Tensor = self.dropout(F.elu(token))
        return tokens

    def _others(self) -> Tensor:
        """Mark the features that are in no given group, shape (features,)."""
        if self.members is None:
            return torch.ones(self.first.shape[2])
        others: Tensor = (self.members.sum(dim=0) == 0).to(self.members.dtype)
        return others


def _read_groups(groups: Groups, features: int) -> tuple[Tensor | None, int]:
    """Give the matrix of the given groups, if any, and the number of learned ones."""
    learned = 0
    if isinstance(groups, int):
        given: Sequence[Sequence[int]] = ()
        learned = groups
    elif isinstance(groups, Mapping):
        if set(groups) != {"members", "learned"}:
            msg = f"groups has {sorted(groups)}, expected 'learned' and 'members'"
            raise ValueError(msg)
        given, learned = groups["members"], int(groups["learned"])
    else:
        given = groups
    if learned < 0 or learned + len(given) < 1:
        msg = f"at least one group of features is needed, found {len(given) + learned}"
        raise ValueError(msg)
    if not given:
        return None, learned
    members = torch.zeros(len(given), features)
    for row, indices in enumerate(given):
        if not indices or min(indices) < 0 or max(indices) >= features:
            msg = (
                f"group {row} must name features from 0 to {features - 1}, "
                f"found {list(indices)[:5]}"
            )
            raise ValueError(msg)
        members[row, list(indices)] = 1.0
    if learned and bool((members.sum(dim=0) > 0).all()):
        msg = f"every feature is in a group: {learned} learned groups would be empty"
        raise ValueError(msg)
    return members, learned


def vector_encoder(
    modality: Modality, features: int, dim: int, *, dropout: float = 0.25
) -> nn.Module:
    """Make the network that suits a modality and gives one token.

    Parameters
    ----------
    modality : Modality
        Anything but the image.
    features : int
        Length of the omics vector.
    dim : int
        Length of the token.
    dropout : float, default: 0.25
        Dropout for molecular vectors; clinical ones have their own.

    Returns
    -------
    torch.nn.Module
        Maps ``(b, features)`` to ``(b, dim)``.
    """
    if modality is Modality.CLINICAL:
        return ClinicalMLP(features, dim)
    return SelfNormalizing(features, dim, dropout=dropout)


def _lecun(layer: nn.Linear) -> nn.Linear:
    """Draw the weights that keep activations at unit variance under ELU."""
    with torch.no_grad():
        layer.weight.normal_(std=1 / math.sqrt(layer.in_features))
        layer.bias.zero_()
    return layer
