"""What a reader took from a file, before it is checked and brought into order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from napari_mmsubtype.omics.unit_detection import UnitFinding

UNNAMED = "unnamed row "
"""Begins the label of a row that the file does not name."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Samples × features as a file gives them.

    Attributes
    ----------
    samples : sequence of str, length n
        As written; may repeat.
    features : sequence of str, length m
        As written; may repeat.
    values : ndarray of float32, shape (n, m)
        NaN where missing.
    steps : tuple of str
        What was recognised and done.
    identifiers : DataFrame of str or None
        m rows: any of ``symbol``, ``ensembl``, ``entrez``, as they stood beside the
        features' labels.
    obs : DataFrame or None
        n rows: what else is known of the samples.
    unit : UnitFinding or None
        Where the format says the unit itself.
    hint : str
        Name that may tell apart units which the values allow.
    lengths : ndarray of float32, shape (m,), or None
        Of the genes, in bases, where they stood beside the counts.
    """

    samples: Sequence[str]
    features: Sequence[str]
    values: NDArray[np.float32]
    steps: tuple[str, ...] = ()
    identifiers: pd.DataFrame | None = None
    obs: pd.DataFrame | None = None
    unit: UnitFinding | None = None
    hint: str = ""
    lengths: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        expected = (len(self.samples), len(self.features))
        beside = (self.obs, self.identifiers)
        lengths = [
            size if frame is None else len(frame)
            for frame, size in zip(beside, expected, strict=True)
        ]
        if self.values.shape != expected or tuple(lengths) != expected:
            msg = (
                f"values {self.values.shape}, obs and identifiers {tuple(lengths)} for "
                f"samples and features {expected}"
            )
            raise ValueError(msg)
