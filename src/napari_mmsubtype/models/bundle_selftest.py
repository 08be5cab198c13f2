"""The self-test of a bundle: fixed inputs and the logits they must give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from napari_mmsubtype.core.cases import Modality

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.models.fusion import FusionModel

TOLERANCE = 1e-3
"""Largest difference of a logit, absolute below 1 and relative above."""

PATCHES = "patches"
LOGITS = "logits"
_OMICS = "omics."
_COUNT = 4


def make_selftest(encoder: Encoder, fusion: FusionModel) -> dict[str, Tensor]:
    """Make inputs and record what the model says about them.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode, on the CPU.
    fusion : FusionModel
        In evaluation mode, on the CPU.

    Returns
    -------
    dict of str to Tensor
        ``patches`` (uint8, shape (n, y, x, 3)), ``omics.<modality>`` (float32, shape
        (g,)) and ``logits`` (float32, shape (k, c)): one row for all modalities
        together and one for each alone, in the order of ``fusion.modalities``.
    """
    rng = np.random.default_rng(0)
    size = encoder.input_size
    # Blocks of color rather than noise, which averages out to the same embedding.
    blocks = rng.integers(0, 256, (_COUNT, 4, 4, 3), dtype=np.uint8)
    index = np.arange(size) * 4 // size
    tensors = {PATCHES: torch.from_numpy(blocks[:, index][:, :, index].copy())}
    for modality, length in fusion.omics.items():
        values = rng.standard_normal(length).astype(np.float32)
        tensors[f"{_OMICS}{modality}"] = torch.from_numpy(values)
    tensors[LOGITS] = run_selftest(encoder, fusion, tensors)
    return tensors


def run_selftest(
    encoder: Encoder, fusion: FusionModel, tensors: Mapping[str, Tensor]
) -> Tensor:
    """Compute the logits of a self-test.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode, on the device of the inputs.
    fusion : FusionModel
        In evaluation mode, on the same device.
    tensors : mapping of str to Tensor
        Inputs as made by `make_selftest`, on any device.

    Returns
    -------
    Tensor of float32, shape (k, c)
        All modalities together, then each alone.
    """
    with torch.no_grad():
        bag = encoder(encoder.normalize(tensors[PATCHES]))
        count = len(fusion.modalities)
        whole = torch.ones(1, count, dtype=torch.bool, device=bag.device)
        alone = torch.eye(count, dtype=torch.bool, device=bag.device)
        present = torch.cat([whole, alone])
        rows = len(present)
        omics: dict[str, Tensor] = {
            modality: tensors[f"{_OMICS}{modality}"].expand(rows, -1)
            for modality in fusion.modalities
            if modality is not Modality.IMAGE
        }
        output = fusion(
            bag.expand(rows, -1, -1),
            torch.ones(rows, len(bag), dtype=torch.bool, device=bag.device),
            omics,
            present,
        )
    logits: Tensor = output.logits
    return logits.contiguous()


def selftest_error(found: Tensor, expected: Tensor) -> float:
    """Measure how far logits are from those expected.

    Parameters
    ----------
    found, expected : Tensor of float32, shape (k, c)
        Logits.

    Returns
    -------
    float
        Largest difference, absolute below 1 and relative above; infinity where shapes
        differ or a value is not finite.
    """
    if found.shape != expected.shape:
        return float("inf")
    error = ((found - expected).abs() / expected.abs().clamp_min(1.0)).max()
    return float(error) if torch.isfinite(error) else float("inf")
