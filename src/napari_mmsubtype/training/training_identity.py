"""What makes a training this one: settings, model and every number of the data."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.training.bag_statistics import bag_summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from torch import nn

    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.training.bags import BagSet
    from napari_mmsubtype.training.config import (
        FusionTrainingConfig,
        PatchTrainingConfig,
    )
    from napari_mmsubtype.training.stored_patches import Patches


def training_identity(
    model: FusionModel,
    train: BagSet,
    validation: BagSet,
    config: FusionTrainingConfig,
    heads: Heads | None,
) -> dict[str, dict[str, Any]]:
    """Fingerprint everything that decides the weights at the end of a training.

    Parameters
    ----------
    model : FusionModel
        With its first weights.
    train, validation : BagSet
        The cases.
    config : FusionTrainingConfig
        How it is trained.
    heads : Heads or None
        The questions that the logits answer.

    Returns
    -------
    dict of str to dict
        By part (``settings``, ``model``, ``training cases``, ``validation cases``) and
        name: values, and fingerprints of what is long. Plain JSON types. It does not
        depend on where the data lie.
    """
    asked = "classes" if heads is None else repr(sorted(heads.heads.items()))
    return {
        "settings": config.to_dict(),
        "model": {
            "name": model.name,
            "options": _digest([repr(sorted(model.options.items())).encode()]),
            "heads": _digest([asked.encode()]),
            "first weights": _weights(model),
        },
        "training cases": _cases(train),
        "validation cases": _cases(validation),
    }


def patch_identity(
    encoder: Encoder,
    patches: Patches,
    targets: NDArray[np.float32],
    config: PatchTrainingConfig,
    validation: tuple[Patches, NDArray[np.float32]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Fingerprint everything that decides an encoder at the end of its training.

    Parameters
    ----------
    encoder : Encoder
        With its first weights.
    patches : ndarray of uint8, shape (n, y, x, 3), or StoredPatches
        Training patches.
    targets : ndarray of float32, shape (n, ...)
        Their labels.
    config : PatchTrainingConfig
        How it is trained.
    validation : tuple of (patches, targets), optional
        Patches that choose the best epoch.

    Returns
    -------
    dict of str to dict
        As `training_identity`.
    """
    found = {
        "settings": config.to_dict(),
        "encoder": {
            "name": encoder.name,
            "options": _digest([repr(sorted(encoder.options.items())).encode()]),
            "first weights": _weights(encoder),
        },
        "patches": _pixels(patches, targets),
    }
    if validation is not None:
        found["validation patches"] = _pixels(*validation)
    return found


def _pixels(patches: Patches, targets: NDArray[np.float32]) -> dict[str, Any]:
    """Fingerprint patches and their labels."""
    return {
        "number": len(patches),
        # One by one: they may lie in files larger than the memory.
        "pixels": _digest(part for patch in patches for part in _array(patch)),
        "labels": _digest(_array(targets)),
    }


def _weights(module: nn.Module) -> str:
    """Fingerprint weights with their names."""
    return _digest(
        part
        for name, values in module.state_dict().items()
        for part in (name.encode(), *_array(values.cpu().numpy()))
    )


def _cases(cases: BagSet) -> dict[str, Any]:
    """Fingerprint cases, part by part."""
    tables = {f"{modality} table": rows for modality, rows in cases.omics.items()}
    targets = {f"targets of {name}": rows for name, rows in cases.targets.items()}
    return {
        "number": len(cases),
        "patients": _digest(patient.encode() for patient in cases.patients),
        "labels": _digest(_array(cases.labels)),
        "modalities": _digest(_array(cases.present)),
        "embeddings": _digest(bag_summary(bag).digest.encode() for bag in cases.bags),
        **{name: _digest(_array(rows)) for name, rows in {**tables, **targets}.items()},
    }


def _array(values: NDArray[Any]) -> tuple[bytes, bytes]:
    """Give an array as bytes, with its shape and type."""
    return f"{values.shape} {values.dtype}".encode(), np.ascontiguousarray(
        values
    ).tobytes()


def _digest(parts: Iterable[bytes]) -> str:
    """Fingerprint some parts, none of which runs into the next."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
