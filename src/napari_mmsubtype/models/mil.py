"""Multiple-instance pooling: how the patches of a bag become one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_mmsubtype.models.patch_projection import linear_standardized


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Turn scores into weights that sum to one over the valid entries.

    Parameters
    ----------
    scores : Tensor of float, shape (b, n)
        Any real numbers; those of invalid entries do not matter.
    mask : Tensor of bool, shape (b, n)
        True for valid entries.

    Returns
    -------
    Tensor of float, shape (b, n)
        Softmax over the valid entries; invalid ones are exactly 0, and so is a whole
        row without a valid entry.
    """
    lowest = torch.finfo(scores.dtype).min
    weights = F.softmax(scores.masked_fill(~mask, lowest), dim=-1)
    # A row without a valid entry came out uniform.
    return weights.masked_fill(~mask, 0.0)


class GatedAttention(nn.Module):
    """Gated attention over the patches of a bag, optionally conditioned on a context.

    The score is ``w . (tanh(V h + V' o) * sigmoid(U h + U' o))`` [1]_, the terms with
    the context ``o`` being ours; embeddings are centered and scaled by constants first.

    Parameters
    ----------
    dim : int
        Length of an embedding.
    hidden : int
        Length of the gate.
    context_dim : int, default: 0
        Length of the context; 0 for none.
    dropout : float, default: 0.0
        Dropout on the gated features during training.

    References
    ----------
    .. [1] Ilse, Tomczak and Welling, "Attention-based deep multiple instance learning",
       ICML 2018.
    """

    def __init__(
        self, dim: int, hidden: int, *, context_dim: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.value = nn.Linear(dim, hidden)
        self.gate = nn.Linear(dim, hidden)
        self.context = (
            nn.Linear(context_dim, 2 * hidden, bias=False) if context_dim else None
        )
        self.score = nn.Linear(hidden, 1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        bag: Tensor,
        mask: Tensor,
        context: Tensor | None = None,
        *,
        mean: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> Tensor:
        """Weigh the patches of each bag.

        Parameters
        ----------
        bag : Tensor of float, shape (b, n, dim)
            Embeddings.
        mask : Tensor of bool, shape (b, n)
            True for patches, False for padding.
        context : Tensor of float, shape (b, context_dim), optional
            What the weights depend on besides the patches.
        mean, scale : Tensor of float, shape (dim,), optional
            Constants; attention sees ``(bag - mean) / scale``.

        Returns
        -------
        Tensor of float, shape (b, n)
            Weights, 0 for padding and summing to 1 over each bag with any patch.
        """
        # Both at once: reading a large bag twice costs more than the products.
        both = linear_standardized(
            torch.cat([self.value.weight, self.gate.weight]),
            torch.cat([self.value.bias, self.gate.bias]),
            bag,
            mean,
            scale,
        )
        value, gate = both.chunk(2, dim=-1)
        if self.context is not None and context is not None:
            shift_value, shift_gate = self.context(context).unsqueeze(1).chunk(2, -1)
            value, gate = value + shift_value, gate + shift_gate
        hidden = self.dropout(torch.tanh(value) * torch.sigmoid(gate))
        return masked_softmax(self.score(hidden).squeeze(-1), mask)
