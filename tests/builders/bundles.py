"""Tiny bundles with random weights and made-up features."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pandas as pd
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.models.bundle import save_bundle
from napari_mmsubtype.models.bundle_files import sha256_file
from napari_mmsubtype.models.bundle_manifest import find_bundle, read_json
from napari_mmsubtype.models.bundle_schema import CALIBRATION, MANIFEST
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.omics.preprocessing import ModalitySpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_mmsubtype.evaluation.calibration_record import Calibration
    from napari_mmsubtype.evaluation.guard import Guard
    from napari_mmsubtype.models.heads import Heads

GENES = ("ESR1", "PGR", "FOXA1", "GATA3", "KRT5", "KRT14", "KRT17", "EGFR", "ERBB2")
"""RNA and methylation features: real symbols, invented numbers."""


def molecular_features(genes: tuple[str, ...] = GENES) -> pd.DataFrame:
    """Features of a molecular modality, already scaled."""
    return pd.DataFrame(
        {
            "feature": list(genes),
            "ensembl": ["" for _ in genes],
            "entrez": ["" for _ in genes],
            "aliases": ["" for _ in genes],
            "mean": [5.0 for _ in genes],
            "std": [2.0 for _ in genes],
            "fill": [5.0 for _ in genes],
            "weight": [1.0 for _ in genes],
        }
    )


def clinical_features() -> pd.DataFrame:
    """Age with its missing indicator, and menopause as categories."""
    rows = (
        ("age", "age", "numeric", "", 58.0, 13.0, 58.0),
        ("age missing", "age", "missing", "", 0.0, 1.0, 0.0),
        ("menopause=pre", "menopause", "category", "pre", 0.0, 1.0, 0.0),
        ("menopause=post", "menopause", "category", "post", 0.0, 1.0, 0.0),
    )
    columns = ("feature", "variable", "kind", "category", "mean", "std", "fill")
    return pd.DataFrame(rows, columns=list(columns))


def modality_spec(modality: Modality) -> ModalitySpec:
    """Specification of one made-up modality."""
    if modality is Modality.CLINICAL:
        unit, features = "", clinical_features()
    elif modality is Modality.METHYLATION:
        unit, features = (
            "beta",
            molecular_features().assign(mean=0.5, std=0.2, fill=0.5),
        )
    else:
        unit, features = "log2(tpm+1)", molecular_features()
    return ModalitySpec(
        modality=modality, unit=unit, clip=5.0, min_coverage=0.3, features=features
    )


def tiny_bundle(
    folder: str | Path,
    fusion: str = "evidence",
    *,
    modalities: tuple[str, ...] = ("rna", "methylation", "clinical"),
    seed: int = 0,
    name: str = "tiny",
    patch: PatchSpec | None = None,
    temperature: float = 1.5,
    info: dict[str, object] | None = None,
    specs: Mapping[Modality, ModalitySpec] | None = None,
    calibration: Calibration | None = None,
    guard: Guard | None = None,
    heads: Heads | None = None,
    reference: Mapping[str, object] | None = None,
    encoder_name: str = "demo-cnn",
    **options: object,
) -> Path:
    """Write a small bundle: demo-cnn, two classes, random but fixed weights.

    ``heads`` are all questions, the class first; ``options`` go to the fusion model;
    ``specs`` stand in for made-up features. The global random state is left as it was.
    """
    specs = specs or {Modality(m): modality_spec(Modality(m)) for m in modalities}
    patch = patch or PatchSpec(size_px=128, mpp=1.0, stride_px=128, min_tissue=0.3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = create_encoder(encoder_name, input_size=patch.size_px)
        model = create_fusion(
            fusion,
            dim=encoder.dim,
            classes=2 if heads is None else heads.size,
            omics={m: len(spec.features) for m, spec in specs.items()},
            **options,
        ).eval()
    return save_bundle(
        folder,
        name=name,
        version="0.0.1",
        classes=(LUMINAL, BASAL_HER2),
        encoder=encoder,
        fusion=model,
        patch=patch,
        modalities=specs,
        heads=heads,
        temperature=temperature,
        info={
            "description": "Random weights for tests.",
            "data": "none (synthetic)",
            **(info or {}),
        },
        reference={
            "embedding_mean": torch.zeros(encoder.dim).numpy(),
            "embedding_std": torch.ones(encoder.dim).numpy(),
            **(reference or {}),
        },
        calibration=calibration,
        guard=guard,
    )


def first_schema_demo(folder: Path) -> Path:
    """Write the demo bundle as its version 1.0.0, of schema 1, was."""
    shutil.copytree(find_bundle("demo"), folder)
    manifest = read_json(folder / MANIFEST)
    for key in ("heads", "needs"):
        del manifest[key]
    manifest |= {"schema": 1, "version": "1.0.0"}
    calibration = folder / CALIBRATION
    calibration.write_text('{"temperature": 0.8106304517598659}')
    manifest["files"][CALIBRATION] = sha256_file(calibration)
    for name in ("reference.npz", "README.md"):
        (folder / name).unlink()
        del manifest["files"][name]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder
