"""Optical density, and the two stains that make up the colors of a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

WHITE = 256.0
"""Intensity of clear glass, one above the largest value so that density is finite."""

DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / np.float32(WHITE))
"""Optical density of every uint8 value, natural logarithm."""

LEAST_ANGLE = 5.0
"""Stain vectors closer than this many degrees are one stain."""

FARTHEST_ANGLE = 35.0
"""No hematoxylin or eosin lies farther than this many degrees from the reference."""

LEAST_NORM = 1e-3
SPARSITY = 0.1
SETTLED_ANGLE = 0.02
"""A stain has converged once `CHECKED_ROUNDS` rounds turn it by fewer degrees."""

CHECKED_ROUNDS = 20
MOST_ROUNDS = 2000
LEARNED_PIXELS = 40_000

_EXTREMES = (1.0, 99.0)


class StainError(ValueError):
    """The stains of a slide cannot be told; the message says why."""


def density_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Give the optical density of pixels.

    Parameters
    ----------
    pixels : ndarray of uint8
        Intensities.

    Returns
    -------
    ndarray of float32
        Of the same shape; 0 for 255, natural logarithm.
    """
    result: NDArray[np.float32] = DENSITY[pixels]
    return result


def color_of(density: ArrayLike) -> NDArray[np.uint8]:
    """Give the pixels of an optical density, the reverse of `density_of`.

    Parameters
    ----------
    density : array-like of float
        Natural logarithm.

    Returns
    -------
    ndarray of uint8
        Of the same shape.
    """
    light = WHITE * np.exp(-np.asarray(density, np.float64)) - 1
    result: NDArray[np.uint8] = np.rint(light).clip(0, 255).astype(np.uint8)
    return result


def angle_between(first: ArrayLike, second: ArrayLike) -> float:
    """Give the angle between two stain vectors.

    Parameters
    ----------
    first, second : array-like of float, shape (3,)
        Of unit length.

    Returns
    -------
    float
        Degrees.
    """
    cosine = float(np.dot(np.asarray(first, float), np.asarray(second, float)))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def find_extremes(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find both stains as the outermost directions of the pixels (Macenko).

    Parameters
    ----------
    density : ndarray of float64, shape (pixel, 3)
        Optical density of stained pixels.

    Returns
    -------
    ndarray of float64, shape (2, 3)
        Hematoxylin and eosin, of unit length.

    Raises
    ------
    StainError
        If the pixels are of a single color.

    References
    ----------
    .. [1] Macenko et al., "A method for normalizing histology slides for quantitative
       analysis", ISBI 2009.
    """
    spread, axes = np.linalg.eigh(np.cov(density.T))
    if not spread[2] > LEAST_NORM**2:
        msg = "the tissue is of one color"
        raise StainError(msg)
    # Densities point away from zero, so the plane is seen with them in front and no
    # angle wraps around.
    plane = axes[:, 1:]
    plane = plane * np.where((density.mean(axis=0) @ plane) < 0, -1, 1)
    flat = density @ plane
    angle = np.arctan2(flat[:, 0], flat[:, 1])
    ends = np.percentile(angle, _EXTREMES)
    return order_stains(np.stack([np.sin(ends), np.cos(ends)], axis=1) @ plane.T)


def learn_stains(
    density: NDArray[np.float64], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Learn two non-negative stains with sparse concentrations (Vahadane).

    Parameters
    ----------
    density : ndarray of float64, shape (pixel, 3)
        Optical density of stained pixels; `LEARNED_PIXELS` of them are used.
    start : ndarray of float64, shape (2, 3)
        Where to begin.

    Returns
    -------
    ndarray of float64, shape (2, 3)
        Hematoxylin and eosin, of unit length.

    Raises
    ------
    StainError
        If one of the two is not needed to explain the pixels.

    Notes
    -----
    Minimizes ``|V - C W|² / 2 + SPARSITY |C|₁`` over ``C, W >= 0`` with rows of ``W``
    of unit length, by turns: the concentrations of two stains have a closed form, and
    so has each row of ``W`` given the other. A round costs next to nothing, so rounds
    go on until `CHECKED_ROUNDS` of them turn no stain by `SETTLED_ANGLE`.

    References
    ----------
    .. [1] Vahadane et al., "Structure-preserving color normalization and sparse stain
       separation for histological images", IEEE TMI 35(8), 2016.
    """
    chosen = np.linspace(0, len(density) - 1, min(LEARNED_PIXELS, len(density)))
    sample = density[np.rint(chosen).astype(int)]
    stains = np.maximum(start, LEAST_NORM)
    stains = stains / np.linalg.norm(stains, axis=1, keepdims=True)
    for _ in range(MOST_ROUNDS // CHECKED_ROUNDS):
        before = stains
        for _ in range(CHECKED_ROUNDS):
            stains = _improve(sample, stains)
        turned = [angle_between(*pair) for pair in zip(before, stains, strict=True)]
        if max(turned) < SETTLED_ANGLE:
            break
    return order_stains(stains)


def _improve(
    density: NDArray[np.float64], stains: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Take one round: concentrations for the stains, then each stain for them."""
    amounts = sparse_amounts(density, stains, SPARSITY)
    gram, target = amounts.T @ amounts, amounts.T @ density
    improved = stains.copy()
    for index, other in ((0, 1), (1, 0)):
        if gram[index, index] < LEAST_NORM:
            msg = "one of the two stains is missing"
            raise StainError(msg)
        # The scale does not matter: the best unit vector points along this one.
        best = np.maximum(target[index] - gram[index, other] * improved[other], 0)
        norm = np.linalg.norm(best)
        if norm < LEAST_NORM:
            msg = "one of the two stains is missing"
            raise StainError(msg)
        improved[index] = best / norm
    return improved


def sparse_amounts(
    density: NDArray[np.floating], stains: NDArray[np.floating], sparsity: float
) -> NDArray[np.floating]:
    """Give the non-negative, sparse concentrations of two stains, in closed form.

    Parameters
    ----------
    density : ndarray of float, shape (pixel, 3)
        Optical density.
    stains : ndarray of float, shape (2, 3)
        Of unit length.
    sparsity : float
        Price of a unit of concentration.

    Returns
    -------
    ndarray of float, shape (pixel, 2)
        Minimizes ``|v - c W|² / 2 + sparsity |c|₁`` over ``c >= 0`` for every pixel.
    """
    overlap = float(stains[0] @ stains[1])
    gain = density @ stains.T - density.dtype.type(sparsity)
    first, second = gain[:, 0], gain[:, 1]
    scale = density.dtype.type(1 / (1 - overlap**2))
    shared = density.dtype.type(overlap)
    both_first = (first - shared * second) * scale
    both_second = (second - shared * first) * scale
    # Where the best pair is not allowed, the best lies on an axis: the one along which
    # the gain is larger.
    inside = (both_first >= 0) & (both_second >= 0)
    alone = first >= second
    amounts: NDArray[np.floating] = np.empty_like(gain)
    zero = density.dtype.type(0)
    amounts[:, 0] = np.where(inside, both_first, np.where(alone, first, zero))
    amounts[:, 1] = np.where(inside, both_second, np.where(alone, zero, second))
    np.maximum(amounts, zero, out=amounts)
    return amounts


def order_stains(stains: ArrayLike) -> NDArray[np.float64]:
    """Put hematoxylin, which takes more red, first; of unit length.

    Parameters
    ----------
    stains : array-like of float, shape (2, 3)
        In any order and scale.

    Returns
    -------
    ndarray of float64, shape (2, 3)
        Hematoxylin and eosin.

    Raises
    ------
    StainError
        If one of them is nothing.
    """
    vectors = np.asarray(stains, np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if norms.min() < LEAST_NORM or not np.isfinite(norms).all():
        msg = "one of the two stains is missing"
        raise StainError(msg)
    vectors = vectors / norms
    ordered = vectors if vectors[0, 0] >= vectors[1, 0] else vectors[::-1]
    return np.ascontiguousarray(ordered)


def check_stains(stains: NDArray[np.float64], reference: NDArray[np.float64]) -> None:
    """Refuse vectors that are not those of hematoxylin and eosin.

    Parameters
    ----------
    stains : ndarray of float64, shape (2, 3)
        As found, of unit length.
    reference : ndarray of float64, shape (2, 3)
        Hematoxylin and eosin of the reference.

    Raises
    ------
    StainError
        If both are one, or one is of another dye, such as the brown of DAB.
    """
    apart = angle_between(stains[0], stains[1])
    if apart < LEAST_ANGLE:
        msg = (
            "the two stains cannot be told apart: their vectors are "
            f"{apart:.1f}° apart, at least {LEAST_ANGLE:g}° expected"
        )
        raise StainError(msg)
    # Both dyes take green most; the brown of DAB takes blue most.
    if (stains[:, 2] >= stains[:, 1]).any():
        msg = (
            "the tissue is not stained with hematoxylin and eosin: it holds a brown or "
            "red dye"
        )
        raise StainError(msg)
    names = ("hematoxylin", "eosin")
    for name, found, known in zip(names, stains, reference, strict=True):
        off = angle_between(found, known)
        if off > FARTHEST_ANGLE:
            msg = (
                f"what would be its {name} lies {off:.0f}° from any {name}: the tissue "
                "is not stained with hematoxylin and eosin"
            )
            raise StainError(msg)
