"""Where rows of numbers usually lie: a few directions, and a little beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

MAX_COMPONENTS = 64
_SHARE = 0.9  # of the variance that the directions take
_ROWS_PER_COMPONENT = 10
_FLOOR = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Subspace:
    """Directions in which training rows vary, with the variance in and beside them.

    Attributes
    ----------
    mean, scale : ndarray of float64, shape (g,)
        Of each column; rows are standardized by them.
    basis : ndarray of float64, shape (k, g)
        Orthonormal directions, that of most variance first.
    variance : ndarray of float64, shape (k,)
        Along each direction, shrunk towards the mean of all variances.
    rest : float
        Variance of a column beside the directions, shrunk alike; 0 where k equals g.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    basis: NDArray[np.float64]
    variance: NDArray[np.float64]
    rest: float

    def standardize(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Measure rows in training standard deviations.

        Parameters
        ----------
        rows : array_like of float, shape (n, g)
            In the units of the training rows.

        Returns
        -------
        ndarray of float64, shape (n, g)
            0 is the training mean.
        """
        values: NDArray[np.float64] = (
            np.asarray(rows, dtype=np.float64) - self.mean
        ) / self.scale
        return values

    def distances(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Measure how far rows go along the directions, and beside them.

        Parameters
        ----------
        rows : array_like of float, shape (n, g)
            In the units of the training rows.

        Returns
        -------
        ndarray of float64, shape (n, 2)
            Mean squared distance per direction (Hotelling's T² / k) and per degree of
            freedom beside them (Q), both about 1 for training rows. The second is 0
            where there is nothing beside.
        """
        values = self.standardize(rows)
        along = values @ self.basis.T
        inside = (along**2 / self.variance).mean(axis=1)
        free = self.basis.shape[1] - len(self.basis)
        if not free:
            return np.column_stack([inside, np.zeros(len(values))])
        left = ((values - along @ self.basis) ** 2).sum(axis=1)
        return np.column_stack([inside, left / (self.rest * free)])

    def contributions(self, row: ArrayLike) -> NDArray[np.float64]:
        """Share the whole squared distance of a row among its columns.

        Parameters
        ----------
        row : array_like of float, shape (g,)
            In the units of the training rows.

        Returns
        -------
        ndarray of float64, shape (g,)
            Sums to the squared Mahalanobis distance, along and beside the directions.
        """
        values = self.standardize(np.asarray(row, dtype=np.float64)[None])[0]
        along = self.basis @ values
        pull = self.basis.T @ (along / self.variance)
        if self.rest > 0:
            pull = pull + (values - self.basis.T @ along) / self.rest
        shares: NDArray[np.float64] = values * pull
        return shares

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Turn the subspace into plain arrays.

        Returns
        -------
        dict of str to ndarray of float32
            `from_arrays` reverses it, to the precision of float32.
        """
        return {
            "mean": self.mean.astype(np.float32),
            "scale": self.scale.astype(np.float32),
            "basis": self.basis.astype(np.float32),
            "variance": self.variance.astype(np.float32),
            "rest": np.asarray(self.rest, np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Subspace:
        """Read what `to_arrays` wrote.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            As written.

        Returns
        -------
        Subspace
            The same to the precision of float32.

        Raises
        ------
        ValueError
            If an array is missing, of another shape or not finite.
        """
        names = ("mean", "scale", "basis", "variance", "rest")
        missing = [name for name in names if name not in arrays]
        if missing:
            msg = f"the reference lacks {', '.join(missing)}"
            raise ValueError(msg)
        mean, scale, basis, variance, rest = (
            np.asarray(arrays[name], dtype=np.float64) for name in names
        )
        k = len(variance) if variance.ndim == 1 else -1
        fits = (
            mean.ndim == 1
            and scale.shape == mean.shape
            and basis.shape == (k, len(mean))
            and rest.shape == ()
        )
        finite = all(np.isfinite(v).all() for v in (mean, scale, basis, variance, rest))
        if not (fits and finite and (scale > 0).all() and (variance > 0).all()):
            msg = (
                f"the reference does not describe a subspace: mean {mean.shape}, scale "
                f"{scale.shape}, basis {basis.shape}, variance {variance.shape}; "
                "expected (g,), (g,), (k, g), (k,), finite and positive"
            )
            raise ValueError(msg)
        return cls(mean, scale, basis, variance, float(rest))


def fit_subspace(rows: ArrayLike) -> Subspace:
    """Learn where rows lie.

    Parameters
    ----------
    rows : array_like of float, shape (n, g)
        Training rows, at least two.

    Returns
    -------
    Subspace
        With as many directions as take 90 % of the variance, but no more than one for
        every ten rows, and at most 64. Variances are shrunk as Ledoit and Wolf do, so
        that chance directions do not count as certain.

    Raises
    ------
    ValueError
        If there are too few rows or a value is not finite.

    References
    ----------
    .. [1] Ledoit and Wolf, "A well-conditioned estimator for large-dimensional
       covariance matrices", Journal of Multivariate Analysis 2004.
    .. [2] Jackson and Mudholkar, "Control procedures for residuals associated with
       principal component analysis", Technometrics 1979.
    """
    values = np.asarray(rows, dtype=np.float64)
    if values.ndim != 2 or len(values) < 2 or not np.isfinite(values).all():
        msg = f"expected finite rows of shape (n, g), n > 1, found {values.shape}"
        raise ValueError(msg)
    n, g = values.shape
    mean, spread = values.mean(axis=0), values.std(axis=0)
    # A column that never varied in training: any change of it is worth a usual one.
    varied = spread > _FLOOR
    usual = float(np.median(spread[varied])) if varied.any() else 1.0
    scale = np.where(varied, spread, usual)
    centered = (values - mean) / scale
    if n > g:
        eigenvalues, vectors = np.linalg.eigh(centered.T @ centered / n)
        found, directions = eigenvalues[::-1].clip(0), vectors.T[::-1]
    else:
        _, singular, directions = np.linalg.svd(centered, full_matrices=False)
        found = singular**2 / n
    total = float(found.sum())
    average = total / g if total > 0 else 1.0
    taken = np.cumsum(found) / total if total > 0 else np.ones(len(found))
    most = max(1, min(MAX_COMPONENTS, n // _ROWS_PER_COMPONENT, g))
    k = min(int(np.searchsorted(taken, _SHARE) + 1), most)
    shrinkage = _shrinkage(centered, found)
    variance = (1 - shrinkage) * found[:k] + shrinkage * average
    beside = (total - float(found[:k].sum())) / max(g - k, 1)
    rest = (1 - shrinkage) * max(beside, 0.0) + shrinkage * average
    return Subspace(
        mean,
        scale,
        directions[:k].copy(),
        np.maximum(variance, _FLOOR),
        0.0 if k == g else max(rest, _FLOOR),
    )


def _shrinkage(
    centered: NDArray[np.float64], eigenvalues: NDArray[np.float64]
) -> float:
    """Say how far the covariance is to be shrunk, 0 to 1, as Ledoit and Wolf do.

    The squares of its entries and its trace are sums over its eigenvalues.
    """
    n, g = len(centered), float(centered.shape[1])
    squares, trace = float((eigenvalues**2).sum()), float(eigenvalues.sum())
    fourth = float(((centered**2).sum(axis=1) ** 2).mean())
    error, spread = fourth - squares, squares - trace**2 / g
    if spread <= 0:
        return 1.0
    return min(max(error / n / spread, 0.0), 1.0)
