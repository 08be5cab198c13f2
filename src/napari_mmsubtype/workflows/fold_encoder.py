"""The patch encoder of one fold, trained on its training patients alone."""

from __future__ import annotations

import copy
import hashlib
import shutil
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.recipe import digest
from napari_mmsubtype.training.checkpoint import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from napari_mmsubtype.training.patch_trainer import fit_patch_encoder
from napari_mmsubtype.training.stored_patches import StoredPatches
from napari_mmsubtype.workflows.embedding_model import in_precision, model_of
from napari_mmsubtype.workflows.fold_bundle import plain_name
from napari_mmsubtype.workflows.fold_fusion import LEAST_PER_CLASS, SkippedFoldError
from napari_mmsubtype.workflows.folder_files import finite
from napari_mmsubtype.workflows.pixel_embeddings import embed_pixels_job
from napari_mmsubtype.workflows.training_device import lent_to

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_mmsubtype.core.progress import Job
    from napari_mmsubtype.evaluation.splits import Split
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.training.bags import BagSet
    from napari_mmsubtype.training.preset import Preset
    from napari_mmsubtype.workflows.cohort import Cohort
    from napari_mmsubtype.workflows.cohort_request import CohortRequest
    from napari_mmsubtype.workflows.cohort_setup import PresetInput
    from napari_mmsubtype.workflows.model_list import FusionVariant
    from napari_mmsubtype.workflows.patch_pixels import PatchPixels

    Labelled = tuple[StoredPatches, NDArray[np.float32]]

ENCODERS = "encoders"
"""Folder of the encoders of all folds, each with the embeddings that it made."""

_EMBEDDINGS = "embeddings"
_VERSION = 1


def fold_input_job(
    request: CohortRequest,
    cohort: Cohort,
    entry: PresetInput,
    preset: Preset,
    split: Split,
    *,
    place: str,
    labels: NDArray[np.int64] | None = None,
) -> Job[PresetInput]:
    """Train the encoder of a fold, where the preset asks for it, and embed with it.

    Parameters
    ----------
    request : CohortRequest
        Its ``out`` keeps the encoder and its embeddings.
    cohort : Cohort
        The patients.
    entry : PresetInput
        The preset with its encoder before training.
    preset : Preset
        With the seed of the repeat.
    split : Split
        Patches of its training part train, those of its validation part choose the
        epoch.
    place : str
        Folder of the encoder, below those of all encoders of the preset.
    labels : ndarray of int64, shape (n,), optional
        Class of each patient in place of the true one; -1 where not known.

    Yields
    ------
    Progress
        Stages ``patch training``, ``slides`` and ``patches``; nothing where all is
        done.

    Returns
    -------
    PresetInput
        With the encoder of the fold, its embeddings of all patients, and what is known
        of its training. The same as given where no encoder is trained.

    Raises
    ------
    SkippedFoldError
        If a class has too few training patients with an image.
    """
    pixels = entry.pixels
    if pixels is None:
        return entry
    truth = cohort.labels if labels is None else labels
    folder = request.out / ENCODERS / plain_name(preset) / place
    asked = {
        "version": _VERSION,
        "encoder": preset.to_dict()["encoder"],
        "training": preset.to_dict()["patch_training"],
        "seed": preset.fusion_training.seed,
        "embeddings": entry.digest,
        "manifest": cohort.manifest.digest,
        "labels": hashlib.sha256(truth.tobytes()).hexdigest(),
        "parts": {
            part: [cohort.patients[row] for row in rows]
            for part, rows in split.parts().items()
            if part != "test"
        },
    }
    identity = {"encoder": {"request": digest(finite(asked))}}
    kept = folder / f"encoder-{identity['encoder']['request'][:12]}.safetensors"
    encoder = copy.deepcopy(entry.encoder)
    known = read_checkpoint(kept, identity)
    if known is None:
        train = _labelled(cohort, pixels, split.train, truth)
        _check(cohort, pixels, split.train, truth)
        job = _train_job(
            encoder,
            train,
            _labelled(cohort, pixels, split.validation, truth),
            preset,
            request.device,
            kept.with_name(f"training-{kept.name}"),
        )
        with closing(job):
            facts = yield from job
        write_checkpoint(kept, Checkpoint(encoder.state_dict(), facts, identity))
        _sweep(folder, kept)
    else:
        encoder.load_state_dict(dict(known.tensors))
        facts = dict(known.facts)
    model = in_precision(model_of(encoder, preset.patch), request.precision)
    embedded = yield from embed_pixels_job(
        cohort.manifest.slides,
        pixels,
        model,
        folder / _EMBEDDINGS,
        device=request.device,
        precision=request.precision,
        batch_size=request.batch_size,
    )
    return replace(
        entry,
        encoder=encoder,
        bags=cohort.bags(embedded, encoder.dim),
        failures={**entry.failures, **embedded.failures},
        training=facts,
    )


def _train_job(
    encoder: Encoder,
    train: Labelled | None,
    validation: Labelled | None,
    preset: Preset,
    device: str,
    checkpoint: Path,
) -> Job[dict[str, Any]]:
    """Train an encoder in place; give what is known of its training."""
    config = preset.patch_training
    if train is None or config is None:
        msg = f"preset {preset.name!r} has no patches to train its encoder on"
        raise SkippedFoldError(msg)
    started = time.monotonic()
    with lent_to(device, encoder, "patch_training") as place:
        fit = yield from fit_patch_encoder(
            encoder, *train, config, validation=validation, checkpoint=checkpoint
        )
    return {
        "device": str(place),
        "patches": len(train[0]),
        "validation_patches": 0 if validation is None else len(validation[0]),
        "epochs": len(fit.losses),
        "best_epoch": fit.best_epoch,
        "training_losses": list(fit.losses),
        "validation_losses": list(fit.validation_losses),
        "seconds": time.monotonic() - started,
    }


def _labelled(
    cohort: Cohort,
    pixels: PatchPixels,
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
) -> Labelled | None:
    """Give every patch of some patients the class of its patient."""
    paths, classes = [], []
    for row in rows.tolist():
        for slide in cohort.manifest.patients[row].slides:
            if labels[row] >= 0 and slide.path in pixels.files:
                paths.append(pixels.files[slide.path])
                classes.append(int(labels[row]))
    if not paths:
        return None
    patches = StoredPatches(paths)
    each = np.repeat(classes, patches.counts)
    return patches, np.eye(len(cohort.classes), dtype=np.float32)[each]


def _check(
    cohort: Cohort,
    pixels: PatchPixels,
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
) -> None:
    """Refuse to train on what cannot be learned from."""
    seen = [
        int(labels[row])
        for row in rows.tolist()
        if labels[row] >= 0
        and any(s.path in pixels.files for s in cohort.manifest.patients[row].slides)
    ]
    counts = np.bincount(seen, minlength=len(cohort.classes))
    if counts.min() < LEAST_PER_CLASS:
        msg = (
            f"the encoder is trained on patches, and {counts.tolist()} training "
            f"patients of the classes have an image; at least {LEAST_PER_CLASS} of "
            "each are needed: add slides, or set patch_training=null"
        )
        raise SkippedFoldError(msg)


def _sweep(folder: Path, kept: Path) -> None:
    """Remove what the encoder of another request left in the folder of a fold."""
    for file in folder.glob("*.safetensors"):
        if file != kept:
            file.unlink()
    shutil.rmtree(folder / _EMBEDDINGS, ignore_errors=True)


def labels_of(cohort: Cohort, cases: BagSet) -> NDArray[np.int64]:
    """Bring the classes of some cases, such as shuffled ones, into a cohort's order.

    Parameters
    ----------
    cohort : Cohort
        The patients.
    cases : BagSet
        Of these patients.

    Returns
    -------
    ndarray of int64, shape (n,)
        -1 for patients that are no case.
    """
    known = dict(zip(cases.patients, cases.labels.tolist(), strict=True))
    return np.array([known.get(name, -1) for name in cohort.patients], np.int64)


def with_encoder(
    facts: Mapping[str, Any], variant: FusionVariant, entry: PresetInput
) -> dict[str, Any]:
    """Add the training of a fold's encoder to what is known of the fold.

    Parameters
    ----------
    facts : mapping of str to object
        Of a model of the fold.
    variant : FusionVariant
        The model; what the encoder cost is counted once, with the preset itself and
        with its control, which has an encoder of its own.
    entry : PresetInput
        As `fold_input_job` gave it.

    Returns
    -------
    dict
        Plain JSON types.
    """
    if not entry.training:
        return dict(facts)
    cost = 0.0
    if variant.kind == "fusion" or variant.shuffled:
        cost = float(entry.training["seconds"])
    return {
        **facts,
        "seconds": float(facts["seconds"]) + cost,
        "encoder": dict(entry.training),
    }
