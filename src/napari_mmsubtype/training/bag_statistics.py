"""Where the embeddings of a cohort lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.training.stored_bags import BagSummary, StoredBag, summarize_bag

if TYPE_CHECKING:
    from torch import Tensor

    from napari_mmsubtype.training.bags import Bag, BagSet


def bag_summary(bag: Bag) -> BagSummary:
    """Average the patches of one case, and fingerprint them.

    Parameters
    ----------
    bag : ndarray or StoredBag of float, shape (patches, d)
        What lies on disk is read once, and its summary is kept: the folds of a
        cross-validation share it.

    Returns
    -------
    BagSummary
        Of all patches.
    """
    return bag.summary if isinstance(bag, StoredBag) else summarize_bag(bag)


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
        bag_summary(bag)
        for has_image, bag in zip(cases.present[:, 0], cases.bags, strict=True)
        if has_image
    ]
    if not found:
        return torch.zeros(cases.dim), torch.ones(cases.dim)
    mean = np.mean([case.mean for case in found], axis=0)
    square = np.mean([case.square for case in found], axis=0)
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()
