"""Self-attention among the patches of a bag, read out by one token (TransMIL)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from napari_mmsubtype.models.mil_pooling import Pooled, Pooling, register_pooling


class LandmarkAttention(nn.Module):
    """Multi-head self-attention over any number of tokens.

    Up to ``landmarks`` tokens it is plain attention. Beyond, it is the Nyström
    approximation [1]_, whose cost grows with the number of tokens and not with its
    square: landmarks are the means of equal runs of tokens, sorted along a fixed random
    direction, so that the order in which tokens are given does not matter.

    Parameters
    ----------
    width : int
        Length of a token; a multiple of ``heads``.
    heads : int
        Number of heads.
    landmarks : int
        Number of landmarks, at least 1.
    iterations : int, default: 6
        Steps of the pseudo-inverse.

    References
    ----------
    .. [1] Xiong et al., "Nyströmformer", AAAI 2021.
    """

    axis: Tensor

    def __init__(
        self, width: int, heads: int, landmarks: int, *, iterations: int = 6
    ) -> None:
        super().__init__()
        self.heads = heads
        self.landmarks = landmarks
        self.iterations = iterations
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.register_buffer("axis", torch.randn(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Let every token attend to all.

        Parameters
        ----------
        tokens : Tensor of float, shape (n, width)
            Of one bag, at least one.

        Returns
        -------
        Tensor of float, shape (n, width)
            What each token found.
        """
        key, value = (self._split(t) for t in self.key_value(tokens).chunk(2, dim=1))
        query = self._split(self.query(tokens)) / math.sqrt(key.shape[2])
        if len(tokens) <= self.landmarks:
            found = torch.softmax(query @ key.mT, dim=2) @ value
        else:
            # Layers are linear: what they give for means are means of what they give.
            few = self._means(tokens)
            few_queries = self._split(self.query(few)) / math.sqrt(key.shape[2])
            few_keys = self._split(self.key_value(few).chunk(2, dim=1)[0])
            near = torch.softmax(few_queries @ few_keys.mT, dim=2)
            summary = torch.softmax(few_queries @ key.mT, dim=2) @ value
            summary = pseudo_inverse(near, self.iterations) @ summary
            found = torch.softmax(query @ few_keys.mT, dim=2) @ summary
        out: Tensor = self.out(found.transpose(0, 1).flatten(1))
        return out

    def look(self, one: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Let one token attend to all, without approximation.

        Parameters
        ----------
        one : Tensor of float, shape (1, width)
            The token that looks.
        tokens : Tensor of float, shape (n, width)
            The tokens that are looked at.

        Returns
        -------
        found : Tensor of float, shape (1, width)
            What it found.
        weights : Tensor of float, shape (n,)
            Attention, averaged over the heads.
        """
        key_weight, value_weight = self.key_value.weight.view(
            2, self.heads, -1, self.key_value.in_features
        )
        key_bias, value_bias = self.key_value.bias.view(2, self.heads, -1)
        query = self._split(self.query(one))[:, 0] / math.sqrt(key_bias.shape[1])
        # To bring one query to the tokens is cheaper than every token to a key.
        back = torch.einsum("he,hew->hw", query, key_weight)
        offset = (query * key_bias).sum(dim=1, keepdim=True)
        weights = torch.softmax(back @ tokens.mT + offset, dim=1)
        value = torch.einsum("hw,hew->he", weights @ tokens, value_weight) + value_bias
        found: Tensor = self.out(value.reshape(1, -1))
        return found, weights.mean(dim=0)

    def _split(self, tokens: Tensor) -> Tensor:
        """Divide tokens among the heads, shape (heads, n, width / heads)."""
        return tokens.view(len(tokens), self.heads, -1).transpose(0, 1)

    def _means(self, tokens: Tensor) -> Tensor:
        """Average equal runs of tokens along the axis, shape (landmarks, width)."""
        count = len(tokens)
        place = torch.argsort(tokens.detach() @ self.axis).argsort()
        run = place * self.landmarks // count
        sums = tokens.new_zeros(self.landmarks, tokens.shape[1])
        sizes = torch.bincount(run, minlength=self.landmarks)
        return sums.index_add(0, run, tokens) / sizes[:, None]


def pseudo_inverse(matrix: Tensor, iterations: int) -> Tensor:
    """Approximate the Moore-Penrose inverse by iterating products.

    Parameters
    ----------
    matrix : Tensor of float, shape (..., m, m)
        Square matrices with non-negative entries, for example of softmax.
    iterations : int
        Number of steps of third order.

    Returns
    -------
    Tensor of float, shape (..., m, m)
        Converges to the inverse of each matrix.
    """
    unit = torch.eye(matrix.shape[-1], device=matrix.device, dtype=matrix.dtype)
    size = matrix.sum(-1).amax(-1) * matrix.sum(-2).amax(-1)
    inverse = matrix.mT / size[..., None, None]
    for _ in range(iterations):
        product = matrix @ inverse
        inner = 15 * unit - product @ (7 * unit - product)
        inverse = 0.25 * inverse @ (13 * unit - product @ inner)
    return inverse


class PositionEncoding(nn.Module):
    """Convolutions over the patches, laid out row by row on a square (PPEG).

    Parameters
    ----------
    width : int
        Length of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width, width, size, padding=size // 2, groups=width)
            for size in (7, 5, 3)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Add to each patch what its neighbors in the square say.

        Parameters
        ----------
        tokens : Tensor of float, shape (n, width)
            Patches of one bag; the rest of the smallest square that holds them is 0.

        Returns
        -------
        Tensor of float, shape (n, width)
            The patches plus their convolutions of 7, 5 and 3.
        """
        count, width = tokens.shape
        side = math.ceil(math.sqrt(count))
        square = torch.cat([tokens, tokens.new_zeros(side * side - count, width)])
        grid = square.T.reshape(1, width, side, side)
        for layer in self.convolutions:
            tokens = tokens + layer(grid).reshape(width, -1).T[:count]
        return tokens


@register_pooling("transmil")
class TransformerPooling(Pooling):
    """Patches attend to each other; then one learned token attends to all of them.

    After TransMIL [1]_: the first layer is `LandmarkAttention`, the second one needs
    the learned token alone and is exact. Weights are those of the learned token.
    ``contributions`` are weights times patch tokens; the vector, the learned token, is
    not their sum.

    Parameters
    ----------
    width : int
        Length of a token; a multiple of ``heads``.
    heads : int, default: 4
        Number of attention heads.
    landmarks : int, default: 64
        Up to how many tokens attention is exact, and by how many landmarks it is
        approximated beyond.
    positional : bool, default: False
        Add the published position encoding. It lays patches out in the order in which
        they are given, so that this order **does** matter then.
    dropout : float, default: 0.1
        Dropout on what attention adds, during training.

    Raises
    ------
    ValueError
        If the width is not a multiple of the heads, or there is no landmark.

    References
    ----------
    .. [1] Shao et al., "TransMIL: transformer based correlated multiple instance
       learning for whole slide image classification", NeurIPS 2021.
    """

    downward = ("norms.2", "second", "norms.1", "position", "first", "norms.0")

    def __init__(
        self,
        width: int,
        *,
        heads: int = 4,
        landmarks: int = 64,
        positional: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(width)
        if heads < 1 or width % heads or landmarks < 1:
            msg = (
                "width must be a multiple of heads and landmarks at least 1, found "
                f"width={width}, heads={heads}, landmarks={landmarks}"
            )
            raise ValueError(msg)
        self.reader = nn.Parameter(0.02 * torch.randn(1, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.first = LandmarkAttention(width, heads, landmarks)
        self.position = PositionEncoding(width) if positional else None
        self.second = LandmarkAttention(width, heads, landmarks)
        self.dropout = nn.Dropout(dropout)

    def _pool(self, tokens: Tensor, mask: Tensor) -> Pooled:
        # Bag by bag: neither padding nor the rest of the batch can play a part.
        vectors, weights, parts = [], [], []
        for bag, valid in zip(tokens, mask, strict=True):
            vector, attention = bag.new_zeros(self.width), bag.new_zeros(len(bag))
            part = torch.zeros_like(bag)
            if bool(valid.any()):
                vector, own, patches = self._read(bag[valid])
                # In the precision of these, which bfloat16 has for some steps only.
                attention = own.new_zeros(len(bag)).masked_scatter(valid, own)
                weighed = own[:, None] * patches
                part = weighed.new_zeros(bag.shape)
                part = part.masked_scatter(valid[:, None], weighed)
            vectors.append(vector)
            weights.append(attention)
            parts.append(part)
        return Pooled(torch.stack(vectors), torch.stack(weights), torch.stack(parts))

    def _read(self, patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give the vector, the weights and the last tokens of one bag."""
        tokens = torch.cat([self.reader, patches])
        tokens = tokens + self.dropout(self.first(self.norms[0](tokens)))
        if self.position is not None:
            tokens = torch.cat([tokens[:1], self.position(tokens[1:])])
        seen = self.norms[1](tokens)
        found, weights = self.second.look(seen[:1], seen)
        vector: Tensor = self.norms[2](tokens[:1] + self.dropout(found))[0]
        return vector, weights[1:] / weights[1:].sum(), self.norms[2](tokens[1:])
