"""Turn the logits of further heads into records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_mmsubtype.core.answers import (
    Answer,
    ChoiceAnswer,
    RiskAnswer,
    SurvivalAnswer,
)
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.survival_heads import CoxHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from napari_mmsubtype.models.heads import Head, Heads


def answers(heads: Heads, logits: Mapping[str, Tensor]) -> dict[str, Answer]:
    """Answer every question but the class.

    Parameters
    ----------
    heads : Heads
        The questions.
    logits : mapping of str to Tensor of float, shape (1, size)
        Of all heads, by subset of the modalities.

    Returns
    -------
    dict of str to Answer
        By name, in the order of the heads.
    """
    return {
        name: _answer(
            head,
            {
                key: tuple(head.answer(row[:, heads.columns(name)])[0].tolist())
                for key, row in logits.items()
            },
        )
        for name, head in heads.others.items()
    }


def _answer(head: Head, subsets: Mapping[str, tuple[float, ...]]) -> Answer:
    """Put what one head says into its record."""
    if isinstance(head, CoxHead):
        return RiskAnswer(subsets=subsets, event=head.event, center=head.center)
    calibrated = head.temperature is not None
    if isinstance(head, ClassHead):
        return ChoiceAnswer(
            subsets=subsets,
            labels=head.labels,
            calibrated=calibrated,
            kind=head.kind,
        )
    if isinstance(head, OrdinalHead):
        return ChoiceAnswer(
            subsets=subsets,
            labels=head.levels,
            late=head.late,
            calibrated=calibrated,
            kind=head.kind,
        )
    # The chance to survive the open last interval belongs to no time.
    known = {key: values[: len(head.edges)] for key, values in subsets.items()}
    return SurvivalAnswer(
        subsets=known,
        times=head.edges,
        unit=head.unit,
        event=head.event,
        calibrated=calibrated,
    )
