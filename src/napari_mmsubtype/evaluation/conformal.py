"""Prediction sets that hold the true class as often as they promise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.trust import COVERAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

METHODS = ("lac", "aps", "raps")


def class_scores(
    probabilities: ArrayLike,
    method: str = "lac",
    *,
    noise: ArrayLike | None = None,
    penalty: float = 0.01,
    free_classes: int = 1,
) -> NDArray[np.float64]:
    """Say how odd each class would be as the truth.

    Parameters
    ----------
    probabilities : array_like of float, shape (n, c)
        One row per case.
    method : {"lac", "aps", "raps"}, default: "lac"
        ``lac``: one less the probability of the class. ``aps``: sum of the
        probabilities of all classes at least as probable. ``raps``: that, and a
        penalty for classes far down the list.
    noise : array_like of float, shape (n,), optional
        One number of [0, 1) per case for ``aps`` and ``raps``, of which as much of the
        class's own probability counts; all of it counts if left out, which makes
        larger sets.
    penalty : float, default: 0.01
        Of ``raps``, per place beyond the free ones.
    free_classes : int, default: 1
        Places without penalty.

    Returns
    -------
    ndarray of float64, shape (n, c)
        Higher is odder.

    References
    ----------
    .. [1] Sadinle et al., "Least ambiguous set-valued classifiers", JASA 2019.
    .. [2] Romano et al., "Classification with valid and adaptive coverage", 2020.
    .. [3] Angelopoulos et al., "Uncertainty sets for image classifiers", ICLR 2021.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if method not in METHODS:
        msg = f"unknown method {method!r}; use one of {', '.join(METHODS)}"
        raise ValueError(msg)
    if values.ndim != 2 or not np.isfinite(values).all():
        msg = f"expected finite probabilities of shape (n, c), found {values.shape}"
        raise ValueError(msg)
    if method == "lac":
        return 1.0 - values
    share = np.ones(len(values)) if noise is None else np.asarray(noise, np.float64)
    order = np.argsort(-values, axis=1, kind="stable")
    ranked = np.take_along_axis(values, order, axis=1)
    before = ranked.cumsum(axis=1) - ranked
    odd = before + share[:, None] * ranked
    if method == "raps":
        places = np.arange(1, values.shape[1] + 1)
        odd = odd + penalty * np.maximum(places - free_classes, 0)
    scores = np.empty_like(odd)
    np.put_along_axis(scores, order, odd, axis=1)
    return scores


def conformal_quantile(scores: ArrayLike, coverage: float) -> float | None:
    """Find the score that a new case exceeds no more often than allowed.

    Parameters
    ----------
    scores : array_like of float, shape (n,)
        Of the true classes of calibration cases.
    coverage : float
        Share of new cases that may not exceed it, between 0 and 1.

    Returns
    -------
    float or None
        The ``ceil((n + 1) * coverage)``-th smallest score; None where there are too
        few scores, which no finite value could make good.
    """
    values = np.sort(np.asarray(scores, dtype=np.float64))
    # Without the tiny step down, (n + 1) * 0.9 could round up to the next integer.
    place = math.ceil((len(values) + 1) * coverage - 1e-9)
    return float(values[place - 1]) if place <= len(values) else None


def needed(coverage: float) -> int:
    """Count the calibration cases that a promise takes at least.

    Parameters
    ----------
    coverage : float
        Between 0 and 1.

    Returns
    -------
    int
        9 for 90 %, 19 for 95 %, 99 for 99 %.
    """
    return math.ceil(coverage / (1.0 - coverage) - 1e-9)


@dataclass(frozen=True, slots=True)
class ConformalRule:
    """Turns probabilities into prediction sets.

    Attributes
    ----------
    method : str
        Of `METHODS`.
    by_class : bool
        Whether the promise holds for the patients of each class, not only on average.
    counts : tuple of int
        Calibration cases of each class.
    quantiles : mapping of float to tuple
        By coverage: highest score that stays in the set, one per class (the same for
        all unless `by_class`), None where there were too few cases.
    penalty, free_classes : float, int
        Of ``raps``.
    """

    method: str
    by_class: bool
    counts: tuple[int, ...]
    quantiles: Mapping[float, tuple[float | None, ...]]
    penalty: float = 0.01
    free_classes: int = 1

    def problem(self, coverage: float, classes: Sequence[str]) -> str:
        """Say why no set can be given.

        Parameters
        ----------
        coverage : float
            The promise.
        classes : sequence of str
            Names, in the order of the probabilities.

        Returns
        -------
        str
            One sentence, or empty where a set can be given.
        """
        if coverage not in self.quantiles:
            known = ", ".join(f"{value:.0%}" for value in sorted(self.quantiles))
            return f"the model was calibrated for {known} coverage, not {coverage:.0%}"
        if None not in self.quantiles[coverage]:
            return ""
        least = needed(coverage)
        if not self.by_class:
            return (
                f"{coverage:.0%} coverage takes at least {least} calibration patients, "
                f"the model has {sum(self.counts)}"
            )
        short = ", ".join(
            f"{count} of {name}"
            for name, count in zip(classes, self.counts, strict=True)
            if count < least
        )
        return (
            f"{coverage:.0%} coverage takes at least {least} calibration patients of "
            f"each class, the model has {short}"
        )

    def sets(
        self,
        probabilities: ArrayLike,
        coverage: float,
        *,
        noise: ArrayLike | None = None,
        allow_empty: bool = False,
    ) -> NDArray[np.bool_]:
        """Give the classes that cannot be ruled out.

        Parameters
        ----------
        probabilities : array_like of float, shape (n, c)
            One row per case, calibrated as those that the rule was fitted to.
        coverage : float
            The promise, one of those fitted.
        noise : array_like of float, shape (n,), optional
            As in `class_scores`; given if and only if it was in fitting.
        allow_empty : bool, default: False
            Leave sets empty where no class passes. Otherwise the most probable class
            is always in, which can only raise the coverage.

        Returns
        -------
        ndarray of bool, shape (n, c)
            Which classes are in.

        Raises
        ------
        ValueError
            If the rule has no quantile for this coverage.
        """
        values = np.asarray(probabilities, dtype=np.float64)
        limits = self.quantiles.get(coverage, (None,))
        if None in limits:
            msg = f"no set at {coverage:g} coverage: ask `problem` for the reason first"
            raise ValueError(msg)
        scores = class_scores(
            values,
            self.method,
            noise=noise,
            penalty=self.penalty,
            free_classes=self.free_classes,
        )
        inside: NDArray[np.bool_] = scores <= np.asarray(limits, dtype=np.float64)
        if not allow_empty:
            inside[np.arange(len(values)), values.argmax(axis=1)] = True
        return inside

    def to_dict(self) -> dict[str, Any]:
        """Turn the rule into plain JSON types.

        Returns
        -------
        dict
            `from_dict` reverses it.
        """
        return {
            "method": self.method,
            "by_class": self.by_class,
            "n": list(self.counts),
            "quantiles": {
                f"{coverage:g}": list(limits)
                for coverage, limits in self.quantiles.items()
            },
            "penalty": self.penalty,
            "free_classes": self.free_classes,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ConformalRule:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        data : mapping
            As written by `to_dict`.

        Returns
        -------
        ConformalRule
            Equal to the rule that was written.

        Raises
        ------
        ValueError
            If a value is missing or cannot be.
        """
        try:
            rule = cls(
                method=str(data["method"]),
                by_class=bool(data["by_class"]),
                counts=tuple(int(n) for n in data["n"]),
                quantiles={
                    float(coverage): tuple(
                        None if limit is None else float(limit) for limit in limits
                    )
                    for coverage, limits in data["quantiles"].items()
                },
                penalty=float(data["penalty"]),
                free_classes=int(data["free_classes"]),
            )
        except (KeyError, TypeError, AttributeError) as err:
            msg = f"the conformal rule is not understood ({err!r})"
            raise ValueError(msg) from err
        sizes = {len(limits) for limits in rule.quantiles.values()}
        if rule.method not in METHODS or sizes - {len(rule.counts)}:
            msg = (
                f"the conformal rule is not understood: method {rule.method!r}, "
                f"{sorted(sizes)} quantiles for {len(rule.counts)} classes"
            )
            raise ValueError(msg)
        return rule


def fit_conformal(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    method: str = "lac",
    by_class: bool = False,
    coverages: Sequence[float] = COVERAGES,
    noise: ArrayLike | None = None,
    penalty: float = 0.01,
    free_classes: int = 1,
) -> ConformalRule:
    """Fit prediction sets on patients that nothing else was fitted to.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes; one row per patient.
    probabilities : array_like of float, shape (n, c)
        Calibrated, of the same rows.
    method : {"lac", "aps", "raps"}, default: "lac"
        See `class_scores`.
    by_class : bool, default: False
        Keep the promise for each class by itself (Mondrian), where one is rare.
    coverages : sequence of float, default: (0.8, 0.9, 0.95, 0.99)
        Promises to fit for, each between 0 and 1.
    noise : array_like of float, shape (n,), optional
        As in `class_scores`.
    penalty : float, default: 0.01
        Of ``raps``.
    free_classes : int, default: 1
        Of ``raps``.

    Returns
    -------
    ConformalRule
        Holds for new patients that are drawn as the calibration patients were; not for
        another hospital, whose patients differ.

    Raises
    ------
    ValueError
        If labels and rows do not fit, or a coverage is not between 0 and 1.
    """
    truth = np.asarray(labels, dtype=np.int64)
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or truth.shape != values.shape[:1]:
        msg = f"{truth.shape} labels do not fit probabilities of shape {values.shape}"
        raise ValueError(msg)
    count = values.shape[1]
    if len(truth) and not (truth.min() >= 0 and truth.max() < count):
        msg = f"labels must be 0 to {count - 1}, found {truth.min()} to {truth.max()}"
        raise ValueError(msg)
    if not all(0 < coverage < 1 for coverage in coverages):
        msg = f"a coverage lies between 0 and 1, found {list(coverages)}"
        raise ValueError(msg)
    scores = class_scores(
        values, method, noise=noise, penalty=penalty, free_classes=free_classes
    )[np.arange(len(truth)), truth]
    groups = [scores[truth == index] if by_class else scores for index in range(count)]
    return ConformalRule(
        method=method,
        by_class=by_class,
        counts=tuple(int((truth == index).sum()) for index in range(count)),
        quantiles={
            coverage: tuple(conformal_quantile(group, coverage) for group in groups)
            for coverage in coverages
        },
        penalty=penalty,
        free_classes=free_classes,
    )
