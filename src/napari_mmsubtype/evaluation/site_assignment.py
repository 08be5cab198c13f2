"""Which site goes into which fold: greedy, swaps, and an exact solver with a limit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
from scipy.sparse import coo_array, vstack

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RESTARTS = 24
_INFEASIBLE = 2  # status of scipy.optimize.milp
# Tangents to the squares that are laid from the start, in patients off the mean.
_FIRST_TANGENTS = (-8, -4, -2, -1, 0, 1, 2, 4, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """Sites in folds.

    Attributes
    ----------
    fold : ndarray of int64, shape (s,)
        Of each site.
    counts : ndarray of int64, shape (k, c)
        Patients of each class in each fold.
    criterion : float
        As `criterion`.
    is_optimal : bool
        Whether nothing lower is possible.
    """

    fold: NDArray[np.int64]
    counts: NDArray[np.int64]
    criterion: float
    is_optimal: bool


def criterion(counts: NDArray[np.int64]) -> float:
    """Measure how unevenly folds hold the classes.

    Parameters
    ----------
    counts : ndarray of int, shape (k, c)
        Patients of each class in each fold.

    Returns
    -------
    float
        Sum over classes and folds of ``(k * count - total) ** 2``.
    """
    k = len(counts)
    return float(((k * counts - counts.sum(axis=0)) ** 2).sum())


def assign_sites(
    counts: NDArray[np.int64],
    folds: int,
    *,
    seed: int = 0,
    time_limit_s: float = 10.0,
) -> Assignment:
    """Find folds of whole sites with the lowest criterion.

    Parameters
    ----------
    counts : ndarray of int, shape (s, c)
        Patients of each class at each site; at least as many sites as folds, and every
        class at two sites or more.
    folds : int
        Number of folds.
    seed : int, default: 0
        Of the search.
    time_limit_s : float, default: 10.0
        Seconds for the exact solver; 0 leaves it out.

    Returns
    -------
    Assignment
        Never worse than greedy filling with swaps. No fold holds a whole class or is
        empty.
    """
    table = np.asarray(counts, dtype=np.int64)
    best = greedy_folds(table, folds, seed=seed)
    bound = _even_bound(table, folds)
    if best.criterion > bound and time_limit_s > 0:
        best = _solved(table, folds, best, time_limit_s)
    if best.criterion <= bound:
        best = Assignment(best.fold, best.counts, best.criterion, is_optimal=True)
    return best


def greedy_folds(counts: NDArray[np.int64], folds: int, *, seed: int = 0) -> Assignment:
    """Fill folds with the largest sites first, then move and swap sites.

    Parameters
    ----------
    counts : ndarray of int, shape (s, c)
        Patients of each class at each site.
    folds : int
        Number of folds.
    seed : int, default: 0
        Of the orders tried after the first.

    Returns
    -------
    Assignment
        The best of several orders; not proven to be optimal.
    """
    rng = np.random.default_rng(seed)
    largest = np.argsort(-counts.sum(axis=1), kind="stable")
    best: Assignment | None = None
    for attempt in range(_RESTARTS):
        order = largest if attempt == 0 else rng.permutation(len(counts))
        fold = _improved(counts, _filled(counts, folds, order), folds)
        held = _held(counts, fold, folds)
        found = Assignment(fold, held, _cost(held), is_optimal=False)
        if best is None or found.criterion < best.criterion:
            best = found
    if best is None or not np.isfinite(best.criterion):
        msg = f"{len(counts)} sites do not fill {folds} folds without a class in one"
        raise ValueError(msg)
    return best


def _held(
    counts: NDArray[np.int64], fold: NDArray[np.int64], folds: int
) -> NDArray[np.int64]:
    held = np.zeros((folds, counts.shape[1]), dtype=np.int64)
    np.add.at(held, fold, counts)
    return held


def _cost(held: NDArray[np.int64]) -> float:
    """Give the criterion, or infinity where a fold is empty or takes a whole class."""
    usable = (held.sum(axis=1) > 0).all() and (held < held.sum(axis=0)).all()
    return criterion(held) if usable else np.inf


def _filled(
    counts: NDArray[np.int64], folds: int, order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Put one site after the other where it raises the criterion least."""
    held = np.zeros((folds, counts.shape[1]), dtype=np.int64)
    share = counts.sum(axis=0) / folds
    fold = np.zeros(len(counts), dtype=np.int64)
    for site in order:
        rise = ((held + counts[site] - share) ** 2 - (held - share) ** 2).sum(axis=1)
        fold[site] = rise.argmin()
        held[fold[site]] += counts[site]
    return fold


def _improved(
    counts: NDArray[np.int64], fold: NDArray[np.int64], folds: int
) -> NDArray[np.int64]:
    """Move a site, or swap two, as long as the criterion falls."""
    fold = fold.copy()
    while True:
        now = _cost(_held(counts, fold, folds))
        for change in _promising(counts, fold, folds):
            trial = fold.copy()
            trial[list(change)] = list(change.values())
            if _cost(_held(counts, trial, folds)) < now:
                fold = trial
                break
        else:
            return fold


def _promising(
    counts: NDArray[np.int64], fold: NDArray[np.int64], folds: int
) -> list[dict[int, int]]:
    """List moves and swaps, those that promise most first.

    With deviations d of the folds from their share, taking x out of one fold and into
    another changes the sum of squares by ``2 x (d_to - d_from) + 2 x²``.
    """
    held = _held(counts, fold, folds)
    deviation = held - held.sum(axis=0) / folds
    towards = deviation[None, :, :] - deviation[fold][:, None, :]
    moved = 2 * (counts[:, None, :] * (towards + counts[:, None, :])).sum(axis=2)
    moved[np.arange(len(fold)), fold] = np.inf
    taken = counts[:, None, :] - counts[None, :, :]
    apart = deviation[fold][None, :, :] - deviation[fold][:, None, :]
    swapped = 2 * (taken * (apart + taken)).sum(axis=2)
    swapped[fold[:, None] == fold[None, :]] = np.inf
    swapped[np.tril_indices(len(fold))] = np.inf
    # A fold that is empty or takes a whole class is mended by any change.
    mending = not np.isfinite(_cost(held))
    changes = [(gain, {int(a): int(b)}) for (a, b), gain in np.ndenumerate(moved)] + [
        (gain, {int(a): int(fold[b]), int(b): int(fold[a])})
        for (a, b), gain in np.ndenumerate(swapped)
    ]
    kept = [c for c in changes if np.isfinite(c[0]) and (mending or c[0] < -1e-9)]
    return [change for _, change in sorted(kept, key=lambda item: item[0])]


def _even_bound(counts: NDArray[np.int64], folds: int) -> float:
    """Give the criterion of folds as even as whole patients allow."""
    totals = counts.sum(axis=0)
    rest = totals % folds
    return float((rest * (folds - rest) ** 2 + (folds - rest) * rest**2).sum())


def _solved(
    counts: NDArray[np.int64], folds: int, best: Assignment, time_limit_s: float
) -> Assignment:
    """Look for something better by mixed-integer programming, until time is up.

    The squares are convex: each is held above tangents through whole numbers, and a
    tangent is added wherever the solution found lies below its square.
    """
    end = time.monotonic() + time_limit_s
    problem = _Problem(counts, folds)
    while (left := end - time.monotonic()) > 0:
        solution = problem.solve(best.criterion, left)
        if solution.status == _INFEASIBLE:
            return Assignment(best.fold, best.counts, best.criterion, is_optimal=True)
        if solution.x is None:
            return best
        fold = problem.folds_of(solution.x)
        held = _held(counts, fold, folds)
        cost = _cost(held)
        if cost < best.criterion:
            best = Assignment(fold, held, cost, is_optimal=False)
        if not problem.tighten(solution.x, held) and solution.status != 0:
            return best
    return best


class _Problem:
    """The linear problem: one binary per site and fold, one square per fold and class.

    Parameters
    ----------
    counts : ndarray of int64, shape (s, c)
        Patients of each class at each site.
    folds : int
        Number of folds.
    """

    def __init__(self, counts: NDArray[np.int64], folds: int) -> None:
        self._counts, self._folds = counts, folds
        self._sites, self._classes = counts.shape
        self._binaries = self._sites * folds
        self._size = self._binaries + folds * self._classes
        self._totals = counts.sum(axis=0)
        self._rows, self._low, self._high = self._fixed()
        self._known: set[tuple[int, int, int]] = set()
        for fold, label in np.ndindex(folds, self._classes):
            mean = int(self._totals[label]) // folds
            for off in _FIRST_TANGENTS:
                self._tangent(fold, label, mean + off)

    def _row(self, columns: NDArray[np.int64], values: NDArray[np.int64]) -> coo_array:
        place = (np.zeros(len(columns), dtype=np.int64), columns)
        return coo_array((values.astype(np.float64), place), shape=(1, self._size))

    def _fixed(self) -> tuple[list[coo_array], list[float], list[float]]:
        """Put each site into one fold; leave no fold empty, none with a whole class."""
        rows, low, high = [], [], []
        ones = np.ones(self._folds, dtype=np.int64)
        for site in range(self._sites):
            columns = site * self._folds + np.arange(self._folds)
            rows.append(self._row(columns, ones))
            low.append(1.0)
            high.append(1.0)
        for fold in range(self._folds):
            columns = np.arange(self._sites) * self._folds + fold
            rows.append(self._row(columns, self._counts.sum(axis=1)))
            low.append(1.0)
            high.append(np.inf)
            for label in range(self._classes):
                rows.append(self._row(columns, self._counts[:, label]))
                low.append(0.0)
                high.append(float(self._totals[label] - 1))
        return rows, low, high

    def _tangent(self, fold: int, label: int, at: int) -> bool:
        """Hold a square above the line through its values at `at` and ``at + 1``."""
        if (fold, label, at) in self._known or at < 0:
            return False
        self._known.add((fold, label, at))
        k, total = self._folds, int(self._totals[label])
        here, there = (k * at - total) ** 2, (k * (at + 1) - total) ** 2
        slope = there - here
        columns = np.arange(self._sites) * k + fold
        square = self._binaries + fold * self._classes + label
        row = self._row(
            np.append(columns, square), np.append(-slope * self._counts[:, label], 1)
        )
        self._rows.append(row)
        self._low.append(float(here - slope * at))
        self._high.append(np.inf)
        return True

    def tighten(self, values: NDArray[np.float64], held: NDArray[np.int64]) -> bool:
        """Add tangents where a solution lies below its squares.

        Parameters
        ----------
        values : ndarray of float64
            The solution.
        held : ndarray of int64, shape (k, c)
            Patients of each class in each fold.

        Returns
        -------
        bool
            Whether a tangent was new.
        """
        squares = (self._folds * held - self._totals) ** 2
        claimed = values[self._binaries :].reshape(held.shape)
        added = [
            self._tangent(fold, label, int(held[fold, label]) - step)
            for fold, label in np.argwhere(claimed < squares - 0.5)
            for step in (0, 1)
        ]
        return any(added)

    def solve(self, below: float, time_limit_s: float) -> OptimizeResult:
        """Solve with the tangents laid so far.

        Parameters
        ----------
        below : float
            Only solutions below this criterion are looked for.
        time_limit_s : float
            Seconds to take at most.

        Returns
        -------
        OptimizeResult
            As `scipy.optimize.milp` gives it.
        """
        order = np.argsort(-self._counts.sum(axis=1), kind="stable")
        upper = np.ones(self._size)
        upper[self._binaries :] = np.inf
        # Folds have no names: the i-th largest site needs to try the first i only.
        for rank, site in enumerate(order[: self._folds]):
            upper[site * self._folds + rank + 1 : (site + 1) * self._folds] = 0
        cost = np.zeros(self._size)
        cost[self._binaries :] = 1
        kinds = (np.arange(self._size) < self._binaries).astype(int)
        cutoff = self._row(
            np.arange(self._binaries, self._size),
            np.ones(self._size - self._binaries, dtype=np.int64),
        )
        return milp(
            cost,
            integrality=kinds,
            bounds=Bounds(0, upper),
            constraints=[
                LinearConstraint(vstack(self._rows), self._low, self._high),
                LinearConstraint(cutoff, -np.inf, below - 1),
            ],
            options={"time_limit": max(time_limit_s, 0.1)},
        )

    def folds_of(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Read the fold of each site off a solution.

        Parameters
        ----------
        values : ndarray of float64
            The solution.

        Returns
        -------
        ndarray of int64, shape (s,)
            Fold of each site.
        """
        chosen = values[: self._binaries].reshape(self._sites, self._folds)
        return np.asarray(chosen.argmax(axis=1), dtype=np.int64)
