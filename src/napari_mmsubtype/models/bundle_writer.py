"""Writing a bundle: all of it or nothing."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.torch
import torch

from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.core.whole_file import draft_folder
from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.evaluation.guard import Guard
from napari_mmsubtype.models.bundle_files import sha256_file, swap_folder
from napari_mmsubtype.models.bundle_names import HUB_CARD
from napari_mmsubtype.models.bundle_schema import (
    CALIBRATION,
    CARD,
    FEATURES,
    MANIFEST,
    NEEDS_VERSION,
    REFERENCE,
    SCHEMA_VERSION,
    SELFTEST,
    WEIGHTS,
    check_info,
    check_parts,
)
from napari_mmsubtype.models.bundle_selftest import LOGITS, make_selftest
from napari_mmsubtype.models.bundle_trust import check_trust, trust_lines
from napari_mmsubtype.models.class_heads import ClassHead
from napari_mmsubtype.models.heads import CLASS_HEAD, Heads
from napari_mmsubtype.models.model_card import render_card
from napari_mmsubtype.models.training_facts import TrainingFacts
from napari_mmsubtype.omics.spec_files import describe_spec, write_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from napari_mmsubtype.core.patch_grid import PatchSpec
    from napari_mmsubtype.core.subtypes import Subtype
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.omics.modality_spec import ModalitySpec


def save_bundle(
    folder: str | Path,
    *,
    name: str,
    version: str,
    classes: Sequence[Subtype],
    encoder: Encoder,
    fusion: FusionModel,
    patch: PatchSpec,
    modalities: Mapping[Modality, ModalitySpec],
    heads: Heads | None = None,
    temperature: float = 1.0,
    info: TrainingFacts | Mapping[str, Any] | None = None,
    reference: Mapping[str, ArrayLike] | None = None,
    calibration: Calibration | None = None,
    guard: Guard | None = None,
) -> Path:
    """Write a model as a bundle folder.

    The folder appears complete or not at all; an older bundle there is replaced. The
    same model and facts give the same files.

    Parameters
    ----------
    folder : str or Path
        Where the bundle goes; its parent is made if needed.
    name, version : str
        Of the bundle.
    classes : sequence of Subtype
        In the order of the logits of the first head.
    encoder : Encoder
        Made by `registry.create_encoder`; not changed.
    fusion : FusionModel
        Made by `fusion.create_fusion`; not changed.
    patch : PatchSpec
        What a patch must be; its size is the encoder's.
    modalities : mapping of Modality to ModalitySpec
        One for each omics modality of the fusion model.
    heads : Heads, optional
        The questions that the model answers; by default only the class.
    temperature : float, default: 1.0
        Logits of the first head are divided by it before the softmax; that of
        `calibration` counts where one is given.
    info : TrainingFacts or mapping of str to Any, optional
        Facts about training; a mapping has them in plain JSON types, as
        `TrainingFacts.from_info` reads them. For ``icc`` and ``stain`` see
        `bundle_schema.check_info`.
    reference : mapping of str to array-like, optional
        Numeric statistics of the training data.
    calibration : Calibration, optional
        Temperatures of subsets of the modalities and prediction sets.
    guard : Guard, optional
        What the training patients look like, as `guard.fit_guard` learns it; goes into
        ``reference.npz``.

    Returns
    -------
    Path
        The bundle's folder.

    Raises
    ------
    BundleError
        If the parts do not fit each other, or the folder holds something else.
    """
    target = Path(folder)
    facts = (
        info if isinstance(info, TrainingFacts) else TrainingFacts.from_info(info or {})
    )
    stated = facts.to_info()
    tables = {m: modalities[m] for m in OMICS if m in modalities}
    if heads is None:
        heads = Heads({CLASS_HEAD: ClassHead(tuple(s.name for s in classes))})
    calibration = calibration or Calibration(float(temperature))
    guard = guard or Guard()
    check_parts(classes, heads, encoder, fusion, patch, tables, calibration.temperature)
    check_trust(
        calibration,
        guard,
        classes=len(classes),
        dim=encoder.dim,
        features={m: len(spec) for m, spec in tables.items()},
    )
    check_info(stated)
    if target.exists() and not _replaceable(target):
        msg = (
            f"{str(target)!r} exists and is not a bundle (no {MANIFEST}); choose "
            "another folder or remove it"
        )
        raise BundleError(msg)
    encoder = copy.deepcopy(encoder).cpu().float().eval()
    fusion = copy.deepcopy(fusion).cpu().float().eval()
    selftest = make_selftest(encoder, fusion)
    if not torch.isfinite(selftest[LOGITS]).all():
        msg = (
            f"bundle {name!r} was not written: its model gives logits that are not "
            "finite; train it again"
        )
        raise BundleError(msg)
    card = render_card(
        name=name,
        version=version,
        classes=classes,
        heads=heads,
        encoder=encoder,
        fusion=fusion,
        patch=patch,
        modalities=tables,
        calibration=trust_lines(calibration, guard),
        facts=facts,
    )
    manifest = {
        "schema": SCHEMA_VERSION,
        "needs": NEEDS_VERSION,
        "name": name,
        "version": version,
        **_describe(classes, heads, encoder, fusion, patch, tables),
        "info": stated,
    }
    with draft_folder(target) as folder:
        fresh = folder / "new"
        fresh.mkdir()
        _write_tensors(fresh, encoder, fusion, selftest)
        _write_tables(fresh, tables)
        _write_json(fresh / CALIBRATION, calibration.to_dict())
        arrays = {key: np.asarray(value) for key, value in (reference or {}).items()}
        arrays |= guard.to_arrays()
        if arrays:
            np.savez(fresh / REFERENCE, allow_pickle=False, **arrays)
        (fresh / CARD).write_text(card, encoding="utf-8", newline="\n")
        manifest["files"] = {
            path.relative_to(fresh).as_posix(): sha256_file(path)
            for path in sorted(fresh.rglob("*"))
            if path.is_file()
        }
        _write_json(fresh / MANIFEST, manifest)
        # After the list of files was made: see `bundle_names.HUB_CARD`.
        (fresh / HUB_CARD).write_text(card, encoding="utf-8", newline="\n")
        swap_folder(fresh, target)
    return target


def _describe(
    classes: Sequence[Subtype],
    heads: Heads,
    encoder: Encoder,
    fusion: FusionModel,
    patch: PatchSpec,
    tables: Mapping[Modality, ModalitySpec],
) -> dict[str, Any]:
    """Put the model's architecture into plain JSON types."""
    return {
        "classes": [{"name": s.name, "color": s.color} for s in classes],
        "heads": heads.describe(),
        "encoder": {
            "name": encoder.name,
            "options": encoder.options,
            "dim": encoder.dim,
            "input_size": encoder.input_size,
            "mean": list(encoder.mean),
            "std": list(encoder.std),
            **({"origin": encoder.origin} if encoder.origin else {}),
        },
        "fusion": {"name": fusion.name, "options": fusion.options},
        "patch": {
            "size_px": patch.size_px,
            "mpp": patch.mpp,
            "stride_px": patch.stride_px,
            "min_tissue": patch.min_tissue,
        },
        "modalities": {
            modality.value: describe_spec(spec) for modality, spec in tables.items()
        },
    }


def _write_tensors(
    folder: Path,
    encoder: Encoder,
    fusion: FusionModel,
    selftest: Mapping[str, torch.Tensor],
) -> None:
    """Write the weights of both parts, and the self-test."""
    weights = {
        f"{part}.{key}": value.contiguous()
        for part, module in (("encoder", encoder), ("fusion", fusion))
        for key, value in module.state_dict().items()
    }
    # save_file would leave files that only their owner may read.
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(weights))
    (folder / SELFTEST).write_bytes(safetensors.torch.save(dict(selftest)))


def _write_tables(folder: Path, tables: Mapping[Modality, ModalitySpec]) -> None:
    """Write the features of each modality."""
    for spec in tables.values():
        target = folder / FEATURES
        target.mkdir(exist_ok=True)
        write_tables(target, spec)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON for people to read, the same for the same content."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def _replaceable(target: Path) -> bool:
    """Whether a new bundle may take this place: an old bundle or an empty folder."""
    if not target.is_dir():
        return False
    return (target / MANIFEST).is_file() or not any(target.iterdir())
