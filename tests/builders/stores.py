"""Small result stores with random but consistent numbers."""

import numpy as np

from builders.grids import small_grid
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.core.records import Call, ModalityReport, PatchCounts, Prediction
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_writer import StoreWriter


def attributes(slide="slide.tif", shape=(256, 320)):
    """Describe a made-up request."""
    return {
        "slide": {
            "path": str(slide),
            "name": "slide",
            "shape": list(shape),
            "mpp": [0.5, 0.5],
            "mpp_source": "vendor",
            "backend": "tifffile",
            "vendor": "generic",
        },
        "recipe": AnalyzeRecipe(slide=str(slide)).to_dict(),
        "plan_digest": "0" * 64,
        "classes": [{"name": s.name, "color": s.color} for s in (LUMINAL, BASAL_HER2)],
        "bundle": {
            "name": "tiny",
            "version": "1",
            "digest": "1" * 64,
            "synthetic": True,
        },
        "exact": True,
        "provenance": {"device": "cpu", "precision": "float32"},
    }


def begin_store(folder, *, grid=None, slide="slide.tif", shape=(256, 320), **more):
    """Make an empty store; ``more`` adds attributes."""
    grid = small_grid(shape=shape) if grid is None else grid
    tissue = np.ones((shape[0] // 8, shape[1] // 8), bool)
    return StoreWriter.create(
        folder / "slide.mmsubtype.zarr",
        attributes=attributes(slide, shape) | more,
        grid=grid,
        tissue=tissue,
        embedding_size=5,
        classes=2,
        cells=(4, 4),
    )


def begun_store(folder):
    """Make a store of 20 patches, five of them done."""
    writer = begin_store(folder)
    rng = np.random.default_rng(0)
    cells = np.zeros((5, 2, 4, 4), np.float32)
    writer.use_processor("cpu", "float32")
    writer.write_patches(0, np.ones(5, np.uint8), rng.normal(size=(5, 5)), cells)
    return writer


def first_chunk(store, name):
    """Find the file of the first chunk of an array."""
    return next(f for f in sorted((store / name / "c").rglob("*")) if f.is_file())


def complete_store(
    folder,
    *,
    slide="slide.tif",
    shape=(256, 320),
    answers=None,
    conformal=None,
    guard=None,
):
    """Make a complete store whose patch evidence adds up to its logits."""
    grid = small_grid(shape=shape)
    writer = begin_store(folder, grid=grid, slide=slide, shape=shape)
    rng = np.random.default_rng(0)
    n = len(grid)
    cells = rng.normal(size=(n, 2, 4, 4)).astype(np.float32)
    weight = np.full(n, 1 / n, np.float32)
    status = np.ones(n, np.uint8)
    writer.use_processor("cpu", "float32")
    writer.write_patches(0, status, rng.normal(size=(n, 5)), cells)
    writer.write_flags(np.zeros(n, np.uint8), np.zeros(n, bool))
    weighted = cells * weight[:, None, None, None]
    evidence = weighted.sum(axis=(2, 3))
    writer.write_fusion(weight, evidence)
    writer.write_map(grid, weighted.__getitem__)
    logits = tuple(float(v) for v in evidence.sum(axis=0))
    odds = np.exp(logits) / np.exp(logits).sum()
    call = Call(("image",), logits, tuple(odds.tolist()))
    writer.finish(
        Prediction(
            classes=("Luminal", "Basal/HER2"),
            call=call,
            subsets={"image": call},
            shapley={"image": logits},
            bias=(0.0, 0.0),
            patches=PatchCounts(grid.positions, n, n, 0),
            modalities=(ModalityReport("rna", used=False, reason="too few genes"),),
            answers=answers or {},
            conformal=conformal,
            guard=guard,
        ),
        {},
    )
    return open_result(writer.path)
