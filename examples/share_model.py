"""Share a model: write its bundle, verify, pack, and take it into a library.

Usage: ``python examples/share_model.py [--out FOLDER]``

The model has random weights and its card says so; train your own instead.
"""

import argparse
import os
from pathlib import Path

import torch

from napari_mmsubtype import load_bundle
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.models.bundle import save_bundle
from napari_mmsubtype.models.bundle_import import import_bundle
from napari_mmsubtype.models.bundle_library import list_bundles
from napari_mmsubtype.models.bundle_pack import pack_bundle
from napari_mmsubtype.models.bundle_verify import verify_bundle
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.models.training_facts import TrainingFacts

FACTS = TrainingFacts(
    description="An example with random weights: it knows nothing.",
    intended_use="Showing how a model is shared.",
    limits="Its calls mean nothing.",
    synthetic=True,
    license="BSD-3-Clause",
)


def main() -> None:
    """Write, verify, pack, import and load a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("example_out"))
    out = parser.parse_args().out
    # Without this line the library is the user's own.
    os.environ["MMSUBTYPE_BUNDLE_DIR"] = str(out / "library")

    spec = load_bundle("demo").modalities[Modality.RNA]
    torch.manual_seed(0)
    encoder = create_encoder("demo-cnn", input_size=128)
    fusion = create_fusion(
        "evidence", dim=encoder.dim, classes=2, omics={"rna": len(spec)}
    )
    folder = save_bundle(
        out / "random-model",
        name="random-model",
        version="0.1",
        classes=(LUMINAL, BASAL_HER2),
        encoder=encoder,
        fusion=fusion,
        patch=PatchSpec(size_px=128, mpp=0.5, stride_px=128),
        modalities={Modality.RNA: spec},
        info=FACTS,
    )
    for check, found in verify_bundle(folder).checks.items():
        print(f"{check}: {found}")

    packed = pack_bundle(folder, out / "random-model.zip")
    imported = import_bundle(packed, replace=True)
    print("library:", ", ".join(entry.name for entry in list_bundles()))
    same = load_bundle(imported.name).digest == load_bundle(folder).digest
    print("the same model:", same)


if __name__ == "__main__":
    main()
