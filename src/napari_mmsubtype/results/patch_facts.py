"""What is known of each patch of a result, in one line for whoever points at it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.attributions import against_others, top_features
from napari_mmsubtype.core.patch_words import flag_words
from napari_mmsubtype.core.records import format_probability
from napari_mmsubtype.core.result_words import NAMES
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results.schema import PatchStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.results.store import Result

_FEATURES = 3
_CLASSES = 4
"""A line names no more classes than these."""


@dataclass(frozen=True, slots=True, eq=False)
class PatchFacts:
    """What a status bar says about the patches of a result; nothing is read later.

    Attributes
    ----------
    classes : tuple of str
        Names, in the order of all per-class values.
    called : int
        Index of the class called for the slide.
    step, extent : tuple of float
        From one patch to the next and side of one, ``(y, x)`` in level-0 px.
    index : ndarray of int32, shape (row, column)
        Which patch lies at a place of the grid; -1 without one.
    status, flags : ndarray of uint8, shape (n,)
        As in the store.
    used : int
        How many patches have a part in the call.
    calls : ndarray of float32, shape (n, c), or None
        Probabilities if the patch were the whole slide; None where not stored.
    evidence : ndarray of float32, shape (n, c)
        For each class against the mean of the others, in logits.
    rank : ndarray of int32, shape (n, c)
        Place of the patch by that evidence, 1 for the most; 0 without a part in it,
        and where all patches are equal.
    features : tuple of str
        By class, the features of the patient's tables that matter most for it; they
        are those of the patient, the same for all patches. Empty without tables.
    """

    classes: tuple[str, ...]
    called: int
    step: tuple[float, float]
    extent: tuple[float, float]
    index: NDArray[np.int32]
    status: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    used: int
    calls: NDArray[np.float32] | None
    evidence: NDArray[np.float32]
    rank: NDArray[np.int32]
    features: tuple[str, ...]

    @property
    def covered(self) -> tuple[float, float]:
        """Height and width of what the grid covers, in level-0 px."""
        rows, cols = self.index.shape
        return (
            (rows - 1) * self.step[0] + self.extent[0],
            (cols - 1) * self.step[1] + self.extent[1],
        )

    def at(self, y: float, x: float) -> int:
        """Find the patch at a place of the slide.

        Parameters
        ----------
        y, x : float
            In level-0 px from the slide's upper left corner.

        Returns
        -------
        int
            The patch whose centre is nearest, of those that cover the place; -1 where
            none does.
        """
        rows = _covering(y, self.step[0], self.extent[0], self.index.shape[0])
        cols = _covering(x, self.step[1], self.extent[1], self.index.shape[1])
        found, nearest = -1, math.inf
        for row in rows:
            for col in cols:
                number = int(self.index[row, col])
                away = math.hypot(
                    (row * self.step[0] + self.extent[0] / 2 - y) / self.extent[0],
                    (col * self.step[1] + self.extent[1] / 2 - x) / self.extent[1],
                )
                if number >= 0 and away < nearest:
                    found, nearest = number, away
        return found

    def words(self, patch: int, about: int | None = None) -> str:
        """Say what is known of a patch.

        Parameters
        ----------
        patch : int
            Its index; -1 for none.
        about : int, optional
            Class that it is ranked for, by default the one called.

        Returns
        -------
        str
            One line; empty without a patch.
        """
        if patch < 0:
            return ""
        status = self.status[patch]
        if status != PatchStatus.DONE:
            return _why_not(int(status), int(self.flags[patch]))
        chosen = self.called if about is None else about
        order = self._order(patch, chosen)
        parts = []
        if self.calls is not None:
            named = (
                f"{self.classes[c]} {format_probability(float(self.calls[patch, c]))}"
                for c in order
            )
            # Where the tables decide, the call may go against the patch's evidence.
            given = "patch alone, with the tables" if self.features else "patch alone"
            parts.append(f"{given}: {', '.join(named)}")
        named = (f"{self.classes[c]} {self.evidence[patch, c]:+.2g}" for c in order)
        parts.append(f"evidence: {', '.join(named)}")
        rank = int(self.rank[patch, chosen])
        if rank > 0:
            place = f"{ordinal(rank)} of {self.used:,}"
            parts.append(f"{place} for {self.classes[chosen]}")
        if self.features and self.features[chosen]:
            parts.append(f"tables: {self.features[chosen]}")
        return " · ".join(parts)

    def _order(self, patch: int, about: int) -> list[int]:
        """List the classes to name: all if few, else this one and those with most."""
        if len(self.classes) <= _CLASSES:
            return list(range(len(self.classes)))
        best = np.argsort(-self.evidence[patch], kind="stable").tolist()
        return [about, *(c for c in best if c != about)][:_CLASSES]


def gather_facts(result: Result) -> PatchFacts:
    """Read what is known of the patches of a result.

    Parameters
    ----------
    result : Result
        A complete one.

    Returns
    -------
    PatchFacts
        A few numbers per patch, and no map.

    Raises
    ------
    StoreError
        If the analysis was interrupted.
    """
    prediction = result.prediction
    if prediction is None:
        msg = (
            f"{str(result.path)!r} is incomplete: run the same request again to resume "
            "it"
        )
        raise StoreError(msg)
    grid, names = result.grid, tuple(subtype.name for subtype in result.classes)
    index = np.full(grid.shape, -1, np.int32)
    row, col = grid.cell.T
    index[row, col] = np.arange(len(grid), dtype=np.int32)
    status = result.patch_status
    evidence = _against_others(result.patch_evidence)
    return PatchFacts(
        classes=names,
        called=names.index(prediction.label),
        step=grid.step,
        extent=grid.extent,
        index=index,
        status=status,
        flags=result.patch_flags,
        used=int(np.count_nonzero(status == PatchStatus.DONE)),
        calls=result.patch_calls,
        evidence=evidence,
        rank=_rank(evidence, status == PatchStatus.DONE),
        features=_features(result, len(names)),
    )


def ordinal(number: int) -> str:
    """Write a place in English.

    Parameters
    ----------
    number : int
        1 for the first.

    Returns
    -------
    str
        For example ``"12th"``.
    """
    tens, ones = number // 10 % 10, number % 10
    ending = "th" if tens == 1 else {1: "st", 2: "nd", 3: "rd"}.get(ones, "th")
    return f"{number:,}{ending}"


def _covering(place: float, step: float, extent: float, count: int) -> range:
    """List the rows (or columns) of the grid whose patches cover a place."""
    first = math.floor((place - extent) / step) + 1
    last = math.floor(place / step)
    return range(max(first, 0), min(last, count - 1) + 1)


def _against_others(evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compare the evidence for each class with the mean of the others."""
    columns = [against_others(evidence, c) for c in range(evidence.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32)


def _rank(evidence: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Give the place of each patch by its evidence; equal ones in reading order.

    No place where all are equal: the order would be that of reading alone.
    """
    rank = np.zeros(evidence.shape, np.int32)
    patches = np.flatnonzero(used)
    for number in range(evidence.shape[1]):
        values = evidence[patches, number]
        if (values == values[:1]).all():
            continue
        order = np.argsort(-values, kind="stable")
        rank[patches[order], number] = np.arange(1, len(patches) + 1, dtype=np.int32)
    return rank


def _features(result: Result, classes: int) -> tuple[str, ...]:
    found = result.attributions
    if found is None:
        return ()
    lists = (top_features(found, index, _FEATURES) for index in range(classes))
    return tuple(
        ", ".join(
            f"{share.name} ({NAMES.get(share.modality, share.modality)}) "
            f"{share.value:+.2g}"
            for share in shares
        )
        for shares in lists
    )


def _why_not(status: int, flags: int) -> str:
    """Say why a patch has no part in the call."""
    if status == PatchStatus.EXCLUDED:
        return f"patch left out: {flag_words(flags)}"
    return "patch unreadable" if status == PatchStatus.UNREADABLE else "not analysed"
