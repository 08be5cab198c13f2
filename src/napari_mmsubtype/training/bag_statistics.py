"""Where the embeddings of a cohort lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_mmsubtype.training.bags import BagSet

_ROWS_AT_ONCE = 1024


def bag_moments(
    bag: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average the patches of one case, and their squares.

    Parameters
    ----------
    bag : ndarray of float, shape (patches, d)
        At least one patch; in memory or on disk, and then read in small parts.

    Returns
    -------
    mean, square : ndarray of float64, shape (d,)
        Of each channel.
    """
    total = np.zeros((2, bag.shape[1]))
    for start in range(0, len(bag), _ROWS_AT_ONCE):
        part = np.asarray(bag[start : start + _ROWS_AT_ONCE], dtype=np.float64)
        total += part.sum(axis=0), np.einsum("nd,nd->d", part, part)
    mean, square = total / len(bag)
    return mean, square


def embedding_statistics(cases: BagSet) -> tuple[Tensor, Tensor]:
    """Average the patches of all cases, each case weighing the same.

    Parameters
    ----------
    cases : BagSet
        Training cases.

    Returns
    -------
    mean, std : Tensor of float32, shape (d,)
        Of the mixture; 0 and 1 where no case has patches.
    """
    found = [
        bag_moments(bag)
        for has_image, bag in zip(cases.present[:, 0], cases.bags, strict=True)
        if has_image
    ]
    if not found:
        return torch.zeros(cases.dim), torch.ones(cases.dim)
    mean, square = (np.mean(part, axis=0) for part in zip(*found, strict=True))
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()
