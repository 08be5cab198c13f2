"""Predictions with a set of classes and a guard's report."""

from __future__ import annotations

from dataclasses import replace

from napari_mmsubtype.core.records import Prediction
from napari_mmsubtype.core.trust import (
    TYPICAL,
    UNLIKE,
    ConformalSet,
    GuardFinding,
    GuardReport,
)

BOTH = ConformalSet(0.9, ("Luminal", "Basal/HER2"), method="lac", by_class=True, n=240)
FINE = GuardReport(
    (GuardFinding("image", TYPICAL, 100, 264), GuardFinding("rna", TYPICAL, 7, 264))
)
ODD = GuardReport(
    (
        GuardFinding("image", TYPICAL, 100, 264),
        GuardFinding("rna", UNLIKE, 264, 264, ("ESR1 -5.2 SD",)),
    )
)


def with_trust(prediction: Prediction, guard: GuardReport = ODD) -> Prediction:
    """Add a set of both classes and a guard's report."""
    return replace(prediction, conformal=BOTH, guard=guard)
