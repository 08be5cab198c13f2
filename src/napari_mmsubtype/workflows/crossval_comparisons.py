"""Presets against everything beside them, on the patients that both have judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.evaluation.comparison import (
    adjusted,
    compare_models,
    comparison_record,
)
from napari_mmsubtype.workflows.model_scores import chances, class_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

METRICS = ("balanced_accuracy", "roc_auc")
RIVALS = ("fusion", "baseline", "ablation", "logistic")
"""Kinds of models that a preset is compared with."""

LEAST_PATIENTS = 20
_KEY = ["patient_id", "repeat", "fold"]


def compare_all(
    records: Mapping[str, Mapping[str, Any]],
    frames: Mapping[str, pd.DataFrame],
    classes: int,
    *,
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Compare every preset with its rivals.

    Parameters
    ----------
    records : mapping of str to mapping
        Models of ``results.json``.
    frames : mapping of str to DataFrame
        Their predictions.
    classes : int
        Number of classes.
    resamples : int
        Behind the intervals of differences.
    seed : int
        Of resamples and permutations.

    Returns
    -------
    list of dict
        One per preset, rival and metric; p-values of one preset and metric are
        adjusted for the number of rivals. Rivals that share fewer than
        `LEAST_PATIENTS` patients, or not all classes, are left out.
    """
    found = []
    for name, record in records.items():
        if record["kind"] != "fusion" or frames[name].empty:
            continue
        rivals = [
            other
            for other, about in records.items()
            if other != name and about["kind"] in RIVALS and not frames[other].empty
        ]
        joined = {o: _joined(frames[name], frames[o], classes) for o in rivals}
        pairs = {o: pair for o, pair in joined.items() if pair is not None}
        for metric in METRICS if pairs else ():
            made = [
                compare_models(
                    pair["y"].to_numpy(),
                    pair[[f"p{c}" for c in range(classes)]].to_numpy(),
                    pair[[f"q{c}" for c in range(classes)]].to_numpy(),
                    pair["patient_id"].tolist(),
                    pair["fold"].to_numpy(),
                    repeats=pair["repeat"].to_numpy(),
                    metric=metric,
                    resamples=resamples,
                    seed=seed,
                )
                for pair in pairs.values()
            ]
            found += [
                {"model": name, "baseline": other, **comparison_record(comparison)}
                for other, comparison in zip(pairs, adjusted(made), strict=True)
            ]
    return found


def _joined(
    first: pd.DataFrame, second: pd.DataFrame, classes: int
) -> pd.DataFrame | None:
    """Put two models' answers about the same patients side by side."""
    ours, theirs = class_rows(first), class_rows(second)
    other = theirs[_KEY].assign(
        **{f"q{c}": v for c, v in enumerate(chances(theirs, classes).T)}
    )
    pair = ours.merge(other, on=_KEY, how="inner")
    if pair["fold"].nunique() == 1:
        # A fixed test set: its patients come back in every repeat.
        pair = pair[pair["repeat"] == pair["repeat"].min()]
    few = pair["patient_id"].nunique() < LEAST_PATIENTS
    return None if few or len(np.unique(pair["y"])) < classes else pair
