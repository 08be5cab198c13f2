"""What the features of the tables add, for programs and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.attributions import (
    BASELINE,
    against_others,
    gap_words,
    top_features,
    top_groups,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.core.attributions import TableAttribution
    from napari_mmsubtype.results.store import Result

_IN_JSON = 20
_IN_TEXT = 5


def features_record(result: Result) -> dict[str, Any]:
    """Describe what the features add in plain JSON types.

    Parameters
    ----------
    result : Result
        Complete.

    Returns
    -------
    dict
        ``counted_from`` in words, ``baseline`` (its logits), ``gap``, ``limit``,
        ``complete``, ``steps`` and ``tables``: by modality the number of features, the
        largest of them for the class called (``name``, ``logits`` in the order of the
        classes, ``against_others``), and so the gene groups. Empty where the store
        holds none.
    """
    found, prediction = result.attributions, result.prediction
    if found is None or prediction is None:
        return {}
    index = prediction.classes.index(prediction.label)
    return {
        "counted_from": BASELINE,
        "baseline": list(found.baseline),
        "gap": found.gap,
        "limit": found.limit,
        "complete": found.complete,
        "steps": found.steps,
        "tables": {t.modality: _table(t, index) for t in found.tables},
    }


def features_lines(result: Result) -> list[str]:
    """Name the features and groups that matter most for the class called.

    Parameters
    ----------
    result : Result
        Complete.

    Returns
    -------
    list of str
        At most three lines for a terminal; none where the store holds none.
    """
    found, prediction = result.attributions, result.prediction
    if found is None or prediction is None:
        return []
    index = prediction.classes.index(prediction.label)
    lines = []
    for title, shares in (
        ("features", top_features(found, index, _IN_TEXT)),
        ("gene groups", top_groups(found, index, _IN_TEXT)),
    ):
        if shares:
            named = (f"{s.name} ({s.modality}) {s.value:+.2f}" for s in shares)
            lines.append(
                f"{title:<12} for {prediction.label}, in logits: {', '.join(named)}"
            )
    return lines + ([f"{'':<12} {gap_words(found)}"] if lines else [])


def _table(table: TableAttribution, index: int) -> dict[str, Any]:
    def largest(names: list[str], logits: NDArray[np.float32]) -> list[dict[str, Any]]:
        shares = against_others(logits, index)
        order = sorted(range(len(names)), key=lambda i: -abs(shares[i]))[:_IN_JSON]
        return [
            {
                "name": names[i],
                "logits": [float(value) for value in logits[i]],
                "against_others": float(shares[i]),
            }
            for i in order
        ]

    sums = [table.values[list(m)].sum(axis=0) for m in table.groups.values()]
    return {
        "features": len(table.features),
        "top": largest(list(table.features), table.values),
        "groups": largest(list(table.groups), np.stack(sums)) if sums else [],
    }
