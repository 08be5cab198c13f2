"""What a model whose parts add up says in place of a modality that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_mmsubtype.core.cases import Modality


class AbsentAnswers(nn.Module):
    """Learned logits for each modality, added where it is absent.

    They stand in the same place as the learned tokens of models that join tokens: what
    is known of a patient of whom this modality is not. They start at 0, and are 0 in
    weights that were saved before there were any.

    Parameters
    ----------
    modalities : sequence of Modality
        Those that can be absent.
    classes : int
        Number of classes.
    """

    def __init__(self, modalities: Sequence[Modality], classes: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(len(modalities), classes))

    def forward(self, present: Tensor) -> Tensor:
        """Add up the answers for what is absent.

        Parameters
        ----------
        present : Tensor of bool, shape (b, m)
            Which of the modalities each patient has.

        Returns
        -------
        Tensor of float, shape (b, c)
            0 for a patient who has them all.
        """
        return (~present).to(self.logits.dtype) @ self.logits

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        state_dict.setdefault(f"{prefix}logits", torch.zeros_like(self.logits))
        super()._load_from_state_dict(state_dict, prefix, *args)
