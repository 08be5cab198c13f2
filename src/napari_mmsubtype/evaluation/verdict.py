"""What a statistical test says, and what it could have said at most."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEVEL = 0.05
"""Below it a p-value is called a difference."""

_SHORT = 0.001


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one test.

    Attributes
    ----------
    name : str
        ``delong``, ``mcnemar``, ``corrected_t``, ``wilcoxon``, ``permutation`` or
        ``logrank``.
    statistic : float or None
        None where the test cannot be made.
    p : float or None
        Two-sided; None where the test cannot be made.
    smallest_p : float
        Least p-value that the design could give, whatever the data: five folds cannot
        give less than 0.0625 in a signed-rank test. 0 where there is no such limit.
    n : int
        Pairs, folds, discordant patients or resamples behind the test.
    note : str
        What a reader must know, or why the test cannot be made.
    p_holm : float or None
        Adjusted by `holm` for several comparisons.
    comparisons : int
        How many comparisons it was adjusted for.
    """

    name: str
    statistic: float | None
    p: float | None
    smallest_p: float = 0.0
    n: int = 0
    note: str = ""
    p_holm: float | None = None
    comparisons: int = 1

    def can_reach(self, level: float = LEVEL) -> bool:
        """Tell whether the design could have given a p-value below a level.

        Parameters
        ----------
        level : float, default: 0.05
            The level.

        Returns
        -------
        bool
            Adjusted for the number of comparisons.
        """
        return self.p is not None and self.smallest_p * self.comparisons < level

    def shows_difference(self, level: float = LEVEL) -> bool:
        """Tell whether the adjusted p-value is below a level.

        Parameters
        ----------
        level : float, default: 0.05
            The level.

        Returns
        -------
        bool
            False where the test cannot be made, or could not have reached the level.
        """
        judged = self.p if self.p_holm is None else self.p_holm
        return judged is not None and self.can_reach(level) and judged < level

    def words(self, level: float = LEVEL) -> str:
        """Say the outcome in one sentence.

        Parameters
        ----------
        level : float, default: 0.05
            Below it a p-value is called a difference.

        Returns
        -------
        str
            Never claims a level that the design cannot reach.
        """
        if self.p is None:
            return f"not made: {self.note}" if self.note else "not made"
        judged = self.p if self.p_holm is None else self.p_holm
        text = p_text(self.p, self.smallest_p)
        if self.p_holm is not None and self.comparisons > 1:
            adjusted = p_text(judged, min(1.0, self.smallest_p * self.comparisons))
            text += f" ({adjusted} after Holm for {self.comparisons} comparisons)"
        if not self.can_reach(level):
            least = p_text(min(1.0, self.smallest_p * self.comparisons))
            so_judged = " after Holm" if self.comparisons > 1 else ""
            text += (
                f"; the least this design can give{so_judged} is {least}, so it cannot "
                f"show a difference at {level:g}"
            )
        elif judged >= level:
            text += "; no difference shown"
        return f"{text}; {self.note}" if self.note else text

    def record(self) -> dict[str, Any]:
        """Put the outcome into plain JSON types.

        Returns
        -------
        dict
            ``name``, ``statistic``, ``p``, ``p_holm``, ``smallest_p``, ``n``,
            ``comparisons`` and ``note``; infinite statistics become None.
        """
        statistic = self.statistic
        if statistic is not None and not math.isfinite(statistic):
            statistic = None
        return {
            "name": self.name,
            "statistic": statistic,
            "p": self.p,
            "p_holm": self.p_holm,
            "smallest_p": self.smallest_p,
            "n": self.n,
            "comparisons": self.comparisons,
            "note": self.note,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Verdict:
        """Read what `record` wrote.

        Parameters
        ----------
        record : mapping
            With ``name`` at least.

        Returns
        -------
        Verdict
            The same.
        """
        return cls(
            name=str(record["name"]),
            statistic=record.get("statistic"),
            p=record.get("p"),
            smallest_p=float(record.get("smallest_p") or 0.0),
            n=int(record.get("n") or 0),
            note=str(record.get("note") or ""),
            p_holm=record.get("p_holm"),
            comparisons=int(record.get("comparisons") or 1),
        )


def p_text(p: float, smallest: float = 0.0) -> str:
    """Write a p-value so that it claims no more than it can.

    Parameters
    ----------
    p : float
        0 to 1.
    smallest : float, default: 0.0
        Least that the design could give.

    Returns
    -------
    str
        ``p = 0.034``; ``p < 0.001`` for less, unless the design cannot give less.

    Examples
    --------
    >>> p_text(0.0625)
    'p = 0.0625'
    >>> p_text(0.00002)
    'p < 0.001'
    """
    if p < _SHORT and smallest < _SHORT:
        return f"p < {_SHORT:g}"
    return f"p = {p:.3g}"


def holm(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Adjust p-values for having made several comparisons.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Of one test, one for each comparison; those that could not be made do not
        count.

    Returns
    -------
    list of Verdict
        In the same order, with `p_holm` and `comparisons`.

    References
    ----------
    .. [1] Holm, "A simple sequentially rejective multiple test procedure",
       Scandinavian Journal of Statistics 1979.
    """
    made = [place for place, verdict in enumerate(verdicts) if verdict.p is not None]
    values = np.array([verdicts[place].p for place in made], dtype=np.float64)
    order = np.argsort(values, kind="stable")
    factors = len(values) - np.arange(len(values))
    adjusted = np.empty(len(values))
    raised = np.maximum.accumulate(values[order] * factors)
    adjusted[order] = np.minimum(raised, 1.0)
    found = list(verdicts)
    for place, value in zip(made, adjusted, strict=True):
        found[place] = replace(
            verdicts[place], p_holm=float(value), comparisons=len(made)
        )
    return found
