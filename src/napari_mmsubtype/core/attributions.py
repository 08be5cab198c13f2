"""What each feature of the tables adds to the logits, as plain records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

BASELINE = "the same patient with every value of the tables missing"
"""What attributions are counted from, in words."""


@dataclass(frozen=True, slots=True, eq=False)
class TableAttribution:
    """What each feature of one table adds.

    Attributes
    ----------
    modality : str
        ``rna``, ``methylation`` or ``clinical``.
    features : tuple of str
        Features in the model's order; all columns of a clinical variable are one.
    values : ndarray of float32, shape (feature, class)
        Signed, in logits.
    groups : mapping of str to tuple of int
        Positions of the features of each gene group of the model; a feature may be in
        several, or in none. Empty where the model has no named groups.
    """

    modality: str
    features: tuple[str, ...]
    values: NDArray[np.float32]
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Attributions:
    """What the features of all tables add to the logits.

    They are counted from `BASELINE` and sum, over the features of all tables, to the
    logits less ``baseline``, but for ``gap``.

    Attributes
    ----------
    tables : tuple of TableAttribution
        One per table that the model looks at.
    baseline : tuple of float
        The logits of the classes that they are counted from.
    gap : float
        The largest difference between such a sum and what it stands for, in logits.
    limit : float
        The gap that was allowed.
    steps : int
        Points at which gradients were taken.
    """

    tables: tuple[TableAttribution, ...]
    baseline: tuple[float, ...]
    gap: float
    limit: float
    steps: int

    @property
    def complete(self) -> bool:
        """Whether the sums are right within the limit."""
        return self.gap <= self.limit


@dataclass(frozen=True, slots=True)
class NamedShare:
    """One line of a list of features.

    Attributes
    ----------
    modality : str
        The table.
    name : str
        Feature or group.
    value : float
        Signed, in logits: one class against the mean of the others.
    """

    modality: str
    name: str
    value: float


def against_others(values: NDArray[np.floating], index: int) -> NDArray[np.float64]:
    """Compare what speaks for one class with what speaks for the others.

    Parameters
    ----------
    values : ndarray of float, shape (k, class)
        Contributions.
    index : int
        The class.

    Returns
    -------
    ndarray of float64, shape (k,)
        Its logit less the mean of the other classes': probabilities depend on such
        differences only.
    """
    own = values[:, index].astype(np.float64)
    if values.shape[1] == 1:
        return own
    total = values.sum(axis=1, dtype=np.float64)
    return np.asarray(own - (total - own) / (values.shape[1] - 1))


def top_features(
    attributions: Attributions, index: int, count: int
) -> list[NamedShare]:
    """List the features that matter most for a class, over all tables.

    Parameters
    ----------
    attributions : Attributions
        Of one patient.
    index : int
        The class.
    count : int
        Length of the list at most.

    Returns
    -------
    list of NamedShare
        The largest first, whatever its sign; features that add nothing are left out.
    """
    shares = [
        NamedShare(table.modality, name, float(value))
        for table in attributions.tables
        for name, value in zip(
            table.features, against_others(table.values, index), strict=True
        )
    ]
    return _largest(shares, count)


def top_groups(attributions: Attributions, index: int, count: int) -> list[NamedShare]:
    """List the gene groups that matter most for a class.

    Parameters
    ----------
    attributions : Attributions
        Of one patient.
    index : int
        The class.
    count : int
        Length of the list at most.

    Returns
    -------
    list of NamedShare
        Sums over the features of each group, the largest first; a feature of several
        groups counts in each. Empty where the model has no named groups.
    """
    shares = []
    for table in attributions.tables:
        values = against_others(table.values, index)
        shares += [
            NamedShare(table.modality, name, float(values[list(members)].sum()))
            for name, members in table.groups.items()
        ]
    return _largest(shares, count)


def gap_words(attributions: Attributions) -> str:
    """Say what features are counted from, and whether their sum is right.

    Parameters
    ----------
    attributions : Attributions
        Of one patient.

    Returns
    -------
    str
        One sentence part, for example ``"counted from ...; they sum to ..."``.
    """
    total = "they sum to what the tables add" + (
        ""
        if attributions.complete
        else f" only within {attributions.gap:.2g} logits: read them as approximate"
    )
    return f"counted from {BASELINE}; {total}"


def _largest(shares: list[NamedShare], count: int) -> list[NamedShare]:
    """Keep the largest, the first of equal ones first."""
    moving = [share for share in shares if share.value]
    return sorted(moving, key=lambda share: -abs(share.value))[:count]
