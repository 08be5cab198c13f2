"""Where the embeddings of a cohort lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.training.stored_bags import StoredBag, table_moments

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_mmsubtype.training.bags import Bag, BagSet


def bag_moments(bag: Bag) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average the patches of one case, and their squares.

    Parameters
    ----------
    bag : ndarray or StoredBag of float, shape (patches, d)
        At least one patch. What lies on disk is read once, and its averages are kept:
        the folds of a cross-validation share them.

    Returns
    -------
    mean, square : ndarray of float64, shape (d,)
        Of each channel.
    """
    return bag.moments if isinstance(bag, StoredBag) else table_moments(bag)


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
