"""Colors of patches as dots: by class, by evidence, by share of tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.attributions import against_others
from napari_mmsubtype.results.patch_classes import patch_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.core.subtypes import Subtype

CLASS, TISSUE, EVIDENCE = "class", "tissue", "evidence"

_MIDDLE = (0.93, 0.93, 0.93)
_AGAINST = (0.42, 0.42, 0.48)
"""Darker than the middle and lighter than the dark ground that dots lie on."""
_TISSUE = (0.0, 0.62, 0.45)
_PERCENTILE = 99.0


def color_choices(classes: tuple[Subtype, ...]) -> list[str]:
    """List what patches can be colored by.

    Parameters
    ----------
    classes : tuple of Subtype
        The model's.

    Returns
    -------
    list of str
        ``"class"``, ``"evidence: <class>"`` for each, and ``"tissue"``.
    """
    return [CLASS, *(f"{EVIDENCE}: {subtype.name}" for subtype in classes), TISSUE]


def patch_colors(
    choice: str,
    classes: tuple[Subtype, ...],
    evidence: NDArray[np.float32],
    tissue: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Color patches.

    Parameters
    ----------
    choice : str
        Of `color_choices`.
    classes : tuple of Subtype
        The model's.
    evidence : ndarray of float32, shape (n, c)
        In logits.
    tissue : ndarray of float32, shape (n,)
        Share of each patch that is tissue, 0 to 1.

    Returns
    -------
    ndarray of uint8, shape (n, 3)
        Red, green, blue. A patch that says as much for every class is light grey, the
        middle of evidence, which runs from dark grey (against the class) over light
        grey to the color of the class, and saturates at the 99th percentile.
    """
    if choice == TISSUE:
        return _bytes(_between(_MIDDLE, _TISSUE, tissue))
    if choice == CLASS:
        palette = np.array([_MIDDLE, *(subtype.rgb for subtype in classes)])
        return _bytes(palette[patch_classes(evidence)])
    number = color_choices(classes).index(choice) - 1
    values = against_others(evidence, number)
    limit = float(np.percentile(np.abs(values), _PERCENTILE)) if len(values) else 0.0
    strength = np.clip(values / (limit or 1.0), -1, 1)
    above = _between(_MIDDLE, classes[number].rgb, strength)
    below = _between(_MIDDLE, _AGAINST, -strength)
    return _bytes(np.where(strength[:, None] >= 0, above, below))


def class_colors(
    classes: tuple[Subtype, ...], known: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Color the patches of a reference, paler than those of the slide.

    Parameters
    ----------
    classes : tuple of Subtype
        The model's.
    known : ndarray of uint8, shape (k,)
        Class of each; grey where it is none of these.

    Returns
    -------
    ndarray of uint8, shape (k, 3)
        Red, green, blue.
    """
    palette = np.array([*(subtype.rgb for subtype in classes), (0.5, 0.5, 0.5)])
    full = palette[np.minimum(known, len(classes))]
    return _bytes(0.35 * full + 0.65 * 0.5)


def _between(
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    share: NDArray[np.floating],
) -> NDArray[np.float64]:
    part = np.clip(np.asarray(share, np.float64), 0, 1)[:, None]
    return np.asarray((1 - part) * np.array(low) + part * np.array(high))


def _bytes(color: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(color * 255).astype(np.uint8)
