"""The patient of whom nothing is known: where explanations of a table start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.omics.modality_spec import ModalitySpec


def baseline_values(spec: ModalitySpec) -> NDArray[np.float32]:
    """Give what the model sees where every value of a table is missing.

    Parameters
    ----------
    spec : ModalitySpec
        As fitted on the training patients.

    Returns
    -------
    ndarray of float32, shape (g,)
        The fill of each feature (training median of a number, unknown or the training
        shares of a category), on the model's scale.
    """
    mean, std, fill = (
        spec.features[name].to_numpy(np.float64) for name in ("mean", "std", "fill")
    )
    scaled = np.clip((fill - mean) / std, -spec.clip, spec.clip)
    return np.asarray(scaled, np.float32)
