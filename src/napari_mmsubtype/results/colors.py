"""Colours that read well over haematoxylin and eosin, as plain arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.core.subtypes import Subtype

AGAINST = (0.07, 0.07, 0.11)
"""Evidence against a class: near black, a colour that stained tissue never has."""

UNREADABLE = (0.55, 0.55, 0.55, 1.0)
"""Patches whose pixels could not be decoded."""

GRID_COLORS = [[0.0, 0.0, 0.0, 0.0], [0.05, 0.05, 0.1, 1.0], [0.3, 0.75, 0.95, 1.0]]
"""Background and the two fields of the chessboard that shows the patch grid."""

EXCLUDED = (0.12, 0.12, 0.14, 1.0)
"""Patches that were left out for a quality flag."""

FLAG_COLORS = [
    [0.0, 0.0, 0.0, 0.0],
    [0.95, 0.9, 0.25, 1.0],
    [0.35, 0.7, 0.9, 1.0],
    [0.9, 0.6, 0.0, 1.0],
    [0.0, 0.62, 0.45, 1.0],
]
"""Background, then one color per flag in the order of `core.quality_spec.FLAGS`."""

_STEPS = 64
_MOST_OPAQUE = 0.6


def evidence_colors(subtype: Subtype) -> NDArray[np.float32]:
    """Give a diverging colour scale whose middle is transparent.

    Parameters
    ----------
    subtype : Subtype
        The class whose colour stands for evidence in its favour.

    Returns
    -------
    ndarray of float32, shape (129, 4)
        Red, green, blue and alpha, 0 to 1, from the strongest evidence against the
        class to the strongest for it. Tissue without evidence stays visible.

    Notes
    -----
    Opacity grows faster than the evidence: half the strength is already plain to see,
    while the noise about zero hides nothing.
    """
    strength = np.linspace(0.0, 1.0, _STEPS + 1, dtype=np.float32)
    alpha = _MOST_OPAQUE * np.clip((strength - 0.04) / 0.96, 0.0, 1.0) ** 0.6
    against = _side(AGAINST, alpha)[:0:-1]
    return np.concatenate([against, _side(subtype.rgb, alpha)])


def _side(
    color: tuple[float, float, float], alpha: NDArray[np.float32]
) -> NDArray[np.float32]:
    rgb = np.tile(np.asarray(color, np.float32), (len(alpha), 1))
    return np.column_stack([rgb, alpha]).astype(np.float32)


def label_colors(classes: tuple[Subtype, ...]) -> list[list[float]]:
    """Give the colour cycle of a class layer.

    Parameters
    ----------
    classes : tuple of Subtype
        The model's classes, in order.

    Returns
    -------
    list of list of float
        Red, green, blue and alpha, 0 to 1: the transparent background, one row per
        class, the grey of patches that could not be read, the near black of those
        that were left out, and last the transparent color of those without a class.
    """
    return [
        [0.0, 0.0, 0.0, 0.0],
        *([*subtype.rgb, 1.0] for subtype in classes),
        list(UNREADABLE),
        list(EXCLUDED),
        [0.0, 0.0, 0.0, 0.0],
    ]
