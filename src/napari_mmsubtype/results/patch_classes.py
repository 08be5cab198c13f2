"""The class of a patch: that with the most evidence, if the patch has any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def patch_classes(evidence: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Give the class with the most evidence in each patch.

    Parameters
    ----------
    evidence : ndarray of float, shape (n, c)
        In logits, or any multiple of them.

    Returns
    -------
    ndarray of uint8, shape (n,)
        1 + index of the class; 0 where the patch says as much for every class, as all
        do where the model looks at tables alone.
    """
    # A single class has nothing but zero to be compared with.
    rival = evidence[:, :1] if evidence.shape[1] > 1 else 0.0
    tells = (evidence != rival).any(axis=1)
    return np.where(tells, 1 + evidence.argmax(axis=1), 0).astype(np.uint8)
