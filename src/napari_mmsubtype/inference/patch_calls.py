"""What a fused model would call if one patch were the whole slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.core.cases import Modality, subset_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.evaluation.calibration_record import Calibration
    from napari_mmsubtype.inference.fuse import CaseTensors
    from napari_mmsubtype.models.fusion import FusionOutput

_BATCH = 256


@torch.inference_mode()
def patch_calls(
    case: CaseTensors,
    embeddings: NDArray[np.float16],
    calibration: Calibration,
) -> NDArray[np.float32] | None:
    """Classify the patient from each patch alone, with all tables at hand.

    Parameters
    ----------
    case : CaseTensors
        Model and tables.
    embeddings : ndarray of float16, shape (n, d)
        The analysed patches.
    calibration : Calibration
        Turns the logits into probabilities.

    Returns
    -------
    ndarray of float32, shape (n, c), or None
        Probabilities from a bag that holds the patch and nothing else; None where the
        model does not look at the image.
    """
    if Modality.IMAGE not in case.model.uses:
        return None
    scaling = calibration.scaling_of(subset_key(case.available))
    queries = case.queries()
    parts = []
    for start in range(0, len(embeddings), _BATCH):
        part = torch.from_numpy(embeddings[start : start + _BATCH].astype(np.float32))
        logits = (
            _alone(case, part)
            if queries is None
            else _tables_alone(case, part[:1]) + part @ queries.T
        )
        parts.append(scaling.probabilities(logits.numpy()).astype(np.float32))
    return np.concatenate(parts)


def _alone(case: CaseTensors, patches: torch.Tensor) -> torch.Tensor:
    """Run the model on as many bags of one patch."""
    count = len(patches)
    output: FusionOutput = case.model(
        patches[:, None],
        torch.ones((count, 1), dtype=torch.bool),
        {name: values.expand(count, -1) for name, values in case.omics.items()},
        case.present(case.available).expand(count, -1),
    )
    return output.logits[:, : case.classes]


def _tables_alone(case: CaseTensors, patch: torch.Tensor) -> torch.Tensor:
    """Give the part of an exact model's logits that no patch has a share in."""
    output = case.forward(patch[None], case.available)
    return (output.logits - output.evidence.sum(dim=1))[:, : case.classes]
