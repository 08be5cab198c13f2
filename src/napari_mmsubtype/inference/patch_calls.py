"""What a fused model would call if one patch were the whole slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.core.cases import Modality, subset_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_mmsubtype.inference.fuse import CaseTensors
    from napari_mmsubtype.models.fusion import FusionOutput

_BATCH = 256


@torch.inference_mode()
def patch_calls(
    case: CaseTensors,
    embeddings: NDArray[np.float16],
    temperature: float,
    *,
    temperatures: Mapping[str, float] | None = None,
) -> NDArray[np.float32] | None:
    """Classify the patient from each patch alone, with all tables at hand.

    Parameters
    ----------
    case : CaseTensors
        Model and tables.
    embeddings : ndarray of float16, shape (n, d)
        The analysed patches.
    temperature : float
        Divides the logits before the softmax.
    temperatures : mapping of str to float, optional
        Of subsets with a temperature of their own, by `cases.subset_key`.

    Returns
    -------
    ndarray of float32, shape (n, c), or None
        Probabilities from a bag that holds the patch and nothing else; None where the
        model does not look at the image.
    """
    if Modality.IMAGE not in case.model.uses:
        return None
    divisor = (temperatures or {}).get(subset_key(case.available), temperature)
    queries = case.queries()
    parts = []
    for start in range(0, len(embeddings), _BATCH):
        part = torch.from_numpy(embeddings[start : start + _BATCH].astype(np.float32))
        logits = (
            _alone(case, part)
            if queries is None
            else _tables_alone(case, part[:1]) + part @ queries.T
        )
        parts.append(torch.softmax(logits.double() / divisor, dim=1).float().numpy())
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
