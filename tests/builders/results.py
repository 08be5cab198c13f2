"""Small stores, written by the real writer, with evidence that is known."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import zarr

from napari_mmsubtype.core.answers import RiskAnswer
from napari_mmsubtype.core.attributions import Attributions, TableAttribution
from napari_mmsubtype.core.cases import Modality, ordered, subset_key, subsets
from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.core.records import (
    Call,
    ModalityReport,
    PatchCounts,
    Prediction,
)
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.store import Result, open_result
from napari_mmsubtype.results.store_writer import StoreWriter

CLASSES = (LUMINAL, BASAL_HER2)
SLIDE_SHAPE = (512, 768)
MPP = 0.5


def make_prediction(
    modalities: tuple[str, ...] = ("image", "rna", "clinical"),
    *,
    patches: PatchCounts | None = None,
) -> Prediction:
    """A Luminal call of 0.8 that the image alone would not have made."""
    present = ordered(Modality(name) for name in modalities)

    def call(subset: tuple[Modality, ...]) -> Call:
        luminal = 0.8 if Modality.RNA in subset else 0.3
        return Call(
            tuple(str(m) for m in subset),
            (float(np.log(luminal)), float(np.log(1 - luminal))),
            (luminal, 1 - luminal),
        )

    reports = [
        ModalityReport(
            "rna", True, "", "TCGA-E2-A14V-01", "z-score", 180, 200, 0.9, ("ESR1",)
        ),
        ModalityReport(
            "clinical", False, "2 of 12 features found, at least 6 are needed"
        ),
    ]
    return Prediction(
        classes=("Luminal", "Basal/HER2"),
        call=call(present),
        subsets={subset_key(subset): call(subset) for subset in subsets(present)},
        shapley={
            str(m): ((1.5, -0.5) if m is Modality.RNA else (-0.4, 0.4)) for m in present
        },
        bias=(0.1, -0.1),
        patches=patches or PatchCounts(total=24, tissue=20, done=19, unreadable=1),
        modalities=tuple(r for r in reports if r.modality in modalities),
    )


def with_answers(prediction: Prediction) -> Prediction:
    """Add the risk of death: twice the average, other from image or RNA alone."""
    risks = {
        key: (1.0,) if key == "rna" else (0.0,) if key == "image" else (math.log(2),)
        for key in prediction.subsets
    }
    risk = RiskAnswer(subsets=risks, event="death", center=0.0)
    return replace(prediction, answers={"risk": risk})


def make_attributions(*, gap: float = 1e-4) -> Attributions:
    """Eleven genes, the most telling last, in two groups; and an age."""
    values = np.array([[0.1 * i, -0.1 * i] for i in range(11)], np.float32)
    rna = TableAttribution(
        "rna",
        tuple(f"GENE{i}" for i in range(11)),
        values * np.array([[1], [-1]] * 5 + [[1]]),
        {"even": (2, 4, 6), "odd": (1, 3)},
    )
    age = TableAttribution("clinical", ("age",), np.array([[0.03, 0.01]], np.float32))
    return Attributions((rna, age), (0.1, -0.1), gap, 1e-3, 8)


def make_result(
    folder: Path,
    *,
    slide: str = "missing.svs",
    complete: bool = True,
    stride_px: int = 128,
    unreadable: int = 1,
    synthetic: bool = True,
    mpp_source: str = "vendor",
    flags: dict[int, int] | None = None,
    excluded: tuple[int, ...] = (),
    says_nothing: bool = False,
    attributions: Attributions | None = None,
) -> Result:
    """Write a store of 4 x 6 patches (without overlap) whose left half is Luminal.

    With ``says_nothing`` no patch has evidence, as where a model looks at tables alone.
    """
    spec = PatchSpec(size_px=128, mpp=MPP, stride_px=stride_px)
    mask = np.ones((64, 96), bool)
    mask[:16, :16] = False
    grid = lay_grid(spec, SLIDE_SHAPE, PixelSize.square(MPP), (1.0,), mask)
    n, cells = len(grid), 8
    recipe = AnalyzeRecipe(slide=slide, patient="TCGA-E2-A14V", rna="rna.csv")
    writer = StoreWriter.create(
        folder / f"{Path(slide).stem.replace(':', '-')}{schema.SUFFIX}",
        attributes={
            "slide": {
                "path": slide,
                "name": Path(slide).stem,
                "shape": list(SLIDE_SHAPE),
                "mpp": [MPP, MPP],
                "mpp_source": mpp_source,
            },
            "recipe": recipe.to_dict(),
            "plan_digest": "0",
            "classes": [asdict(subtype) for subtype in CLASSES],
            "bundle": {"name": "demo", "synthetic": synthetic},
            "exact": True,
            "provenance": {},
        },
        grid=grid,
        tissue=mask,
        embedding_size=4,
        classes=len(CLASSES),
        cells=(cells, cells),
    )
    status = np.full(n, PatchStatus.DONE, np.uint8)
    status[n - unreadable :] = PatchStatus.UNREADABLE
    status[list(excluded)] = PatchStatus.EXCLUDED
    bits = np.zeros(n, np.uint8)
    for index, value in (flags or {}).items():
        bits[index] = value
    done = status == PatchStatus.DONE
    sign = np.where(grid.cell[:, 1] < grid.shape[1] / 2, 1.0, -1.0) * done
    evidence = np.stack([sign, -sign], axis=1).astype(np.float32) / n
    if says_nothing:
        evidence = np.zeros_like(evidence)
    spread = evidence[:, :, None, None] / cells**2 * np.ones((1, 1, cells, cells))
    writer.write_patches(0, status, np.ones((n, 4), np.float32), spread)
    writer.write_flags(bits, status == PatchStatus.EXCLUDED)
    if complete:
        writer.write_fusion((done / max(done.sum(), 1)).astype(np.float32), evidence)
        writer.write_map(grid, spread.astype(np.float32).__getitem__)
        if attributions is not None:
            writer.write_attributions(attributions)
        counts = PatchCounts(
            grid.positions, n, int(done.sum()), unreadable, len(excluded)
        )
        writer.finish(make_prediction(patches=counts), {})
    return open_result(writer.path)


def put_coarser_level(path: Path, half: np.ndarray, level: int = 1) -> None:
    """Add a level to the evidence map, as the maps of large slides have."""
    maps = zarr.open_group(path, mode="r+")[schema.EVIDENCE_MAP]
    maps.create_array(str(level), data=half.astype(np.float32), overwrite=True)
