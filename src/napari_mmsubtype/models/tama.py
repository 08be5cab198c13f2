"""Token-aligned attention (TAMA): two token grids of one patch made into one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LONGEST_WAVE = 10_000.0


class TokenFusion(nn.Module):
    """Mix the tokens of several transformer blocks: ``sum_l a_l LN_l(H_l)``.

    The weights ``a`` are a softmax over one learned number per block, equal at first.

    Parameters
    ----------
    dim : int
        Length of a token.
    blocks : int
        Number of blocks that are mixed.
    """

    def __init__(self, dim: int, blocks: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(blocks))
        self.scores = nn.Parameter(torch.zeros(blocks))

    def forward(self, hidden: list[Tensor]) -> Tensor:
        """Mix tokens.

        Parameters
        ----------
        hidden : list of Tensor of float, shape (n, tokens, dim)
            What each block gave.

        Returns
        -------
        Tensor of float, shape (n, tokens, dim)
            Mixed tokens.
        """
        normed = [norm(h) for norm, h in zip(self.norms, hidden, strict=True)]
        return torch.einsum(
            "l,lntd->ntd", F.softmax(self.scores, 0), torch.stack(normed)
        )


def align_grid(maps: Tensor, rows: int, cols: int) -> Tensor:
    """Resample a map so that each token stands for the same tissue as the other's.

    Parameters
    ----------
    maps : Tensor of float, shape (n, dim, h, w)
        Features of one branch over the whole patch.
    rows, cols : int
        Cells wanted.

    Returns
    -------
    Tensor of float, shape (n, dim, rows, cols)
        Averages of cells where there are more, bilinear where there are fewer.
    """
    if maps.shape[2:] == (rows, cols):
        return maps
    if maps.shape[2] >= rows and maps.shape[3] >= cols:
        return F.adaptive_avg_pool2d(maps, (rows, cols))
    return F.interpolate(maps, (rows, cols), mode="bilinear", align_corners=False)


def sincos_positions(rows: int, cols: int, dim: int) -> Tensor:
    """Make fixed position codes of a grid: sines and cosines of row and column.

    Parameters
    ----------
    rows, cols : int
        Cells of the grid.
    dim : int
        Length of a code, a multiple of 4.

    Returns
    -------
    Tensor of float32, shape (rows * cols, dim)
        Sines, then cosines, of the row; then the same of the column.
    """
    quarter = dim // 4
    waves = torch.exp(-math.log(_LONGEST_WAVE) * torch.arange(quarter) / quarter)
    y = torch.arange(rows).repeat_interleave(cols)[:, None] * waves
    x = torch.arange(cols).repeat(rows)[:, None] * waves
    return torch.cat([y.sin(), y.cos(), x.sin(), x.cos()], dim=1)


@dataclass(frozen=True, slots=True)
class AlignedTokens:
    """What `TokenAlignedAttention` gives.

    Attributes
    ----------
    fused : Tensor of float, shape (n, tokens, dim)
        The joint tokens.
    cnn, vit : Tensor of float, shape (n, tokens, dim)
        Each branch after it attended to the other.
    gate : Tensor of float, shape (n, tokens, dim)
        Share of the convolutional branch, 0 to 1.
    """

    fused: Tensor
    cnn: Tensor
    vit: Tensor
    gate: Tensor


class TokenAlignedAttention(nn.Module):
    """Join a convolutional and a transformer grid token by token.

    Both get the same sine and cosine positions and their branch's embedding, so token
    ``k`` is the same tissue in both. Then, with ``LN`` before every attention,
    ``C' = C + MHA(C, V, V)``, ``V' = V + MHA(V, C, C)``,
    ``g = sigmoid(W [C'; V'] + b)``, ``F = g * C' + (1 - g) * V'`` and
    ``F + FFN(LN(F))``.

    Parameters
    ----------
    dim : int
        Length of a token, a multiple of 4 and of ``heads``.
    heads : int, default: 8
        Heads of each attention.
    hidden : int, optional
        Width of the feed-forward layer, by default ``4 * dim``.
    dropout : float, default: 0.0
        Dropout of the attention weights and the feed-forward layer during training.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 8,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = hidden or 4 * dim
        self.dim = dim
        self.branch = nn.Parameter(0.02 * torch.randn(2, dim))
        self.cnn_norm = nn.LayerNorm(dim)
        self.vit_norm = nn.LayerNorm(dim)
        self.cnn_attention = nn.MultiheadAttention(
            dim, heads, dropout=dropout, batch_first=True
        )
        self.vit_attention = nn.MultiheadAttention(
            dim, heads, dropout=dropout, batch_first=True
        )
        self.gate = nn.Linear(2 * dim, dim)
        self.ffn_norm = nn.LayerNorm(dim)
        self.ffn = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, dim),
        )

    def forward(self, cnn: Tensor, vit: Tensor, positions: Tensor) -> AlignedTokens:
        """Join tokens of the same grid.

        Parameters
        ----------
        cnn, vit : Tensor of float, shape (n, tokens, dim)
            Tokens of the two branches, in the same order.
        positions : Tensor of float, shape (tokens, dim)
            Shared positions, of `sincos_positions`.

        Returns
        -------
        AlignedTokens
            The joint tokens and what they are made of.
        """
        cnn = cnn + positions + self.branch[0]
        vit = vit + positions + self.branch[1]
        c, v = self.cnn_norm(cnn), self.vit_norm(vit)
        cnn = cnn + self.cnn_attention(c, v, v, need_weights=False)[0]
        vit = vit + self.vit_attention(v, c, c, need_weights=False)[0]
        gate = torch.sigmoid(self.gate(torch.cat([cnn, vit], dim=2)))
        fused = gate * cnn + (1 - gate) * vit
        return AlignedTokens(fused + self.ffn(self.ffn_norm(fused)), cnn, vit, gate)


class AlignmentLoss(nn.Module):
    """Say how far the branches' views of the same tissue are from each other.

    The average over tokens of ``1 - cos(P_c C'_k, P_v V'_k)``.

    Parameters
    ----------
    dim : int
        Length of a token.
    shared : int, default: 128
        Length of the vectors that are compared.
    """

    def __init__(self, dim: int, shared: int = 128) -> None:
        super().__init__()
        self.cnn = nn.Linear(dim, shared, bias=False)
        self.vit = nn.Linear(dim, shared, bias=False)

    def forward(self, tokens: AlignedTokens) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        tokens : AlignedTokens
            What `TokenAlignedAttention` gave.

        Returns
        -------
        Tensor of float, shape ()
            0 where both branches agree, at most 2.
        """
        cosine = F.cosine_similarity(self.cnn(tokens.cnn), self.vit(tokens.vit), dim=2)
        return (1 - cosine).mean()
