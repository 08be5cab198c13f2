"""Multimodal cancer-subtype classification of whole-slide images in napari."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.triton_gate import install_gate

if TYPE_CHECKING:
    from napari_mmsubtype.core.recipe import AnalyzeRecipe
    from napari_mmsubtype.models.bundle import load_bundle
    from napari_mmsubtype.omics.omics_file import write_omics
    from napari_mmsubtype.omics.table import read_omics
    from napari_mmsubtype.plugin.layers import to_layers
    from napari_mmsubtype.results.export_omezarr import export_ome_zarr
    from napari_mmsubtype.results.html_report import write_report
    from napari_mmsubtype.results.store import open_result
    from napari_mmsubtype.slides.registry import open_slide
    from napari_mmsubtype.slides.stain import fit_stain
    from napari_mmsubtype.workflows.analyze import analyze
    from napari_mmsubtype.workflows.crossval import crossval
    from napari_mmsubtype.workflows.draw_cam import draw_cam
    from napari_mmsubtype.workflows.embed import embed
    from napari_mmsubtype.workflows.patch_umap import umap
    from napari_mmsubtype.workflows.train import train

# Public name -> module. Resolved on first use: importing the package loads none of
# torch, napari, Qt, OpenSlide and pandas (tests/test_repository.py).
_PUBLIC = {
    "AnalyzeRecipe": "napari_mmsubtype.core.recipe",
    "analyze": "napari_mmsubtype.workflows.analyze",
    "crossval": "napari_mmsubtype.workflows.crossval",
    "draw_cam": "napari_mmsubtype.workflows.draw_cam",
    "embed": "napari_mmsubtype.workflows.embed",
    "export_ome_zarr": "napari_mmsubtype.results.export_omezarr",
    "fit_stain": "napari_mmsubtype.slides.stain",
    "load_bundle": "napari_mmsubtype.models.bundle",
    "open_result": "napari_mmsubtype.results.store",
    "open_slide": "napari_mmsubtype.slides.registry",
    "read_omics": "napari_mmsubtype.omics.table",
    "to_layers": "napari_mmsubtype.plugin.layers",
    "train": "napari_mmsubtype.workflows.train",
    "umap": "napari_mmsubtype.workflows.patch_umap",
    "write_omics": "napari_mmsubtype.omics.omics_file",
    "write_report": "napari_mmsubtype.results.html_report",
}

__version__ = "0.1.0"

# Before anything here, or anything it uses, can load Triton.
install_gate()

__all__ = [
    "AnalyzeRecipe",
    "analyze",
    "crossval",
    "draw_cam",
    "embed",
    "export_ome_zarr",
    "fit_stain",
    "load_bundle",
    "open_result",
    "open_slide",
    "read_omics",
    "to_layers",
    "train",
    "umap",
    "write_omics",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _PUBLIC:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, "__version__"])
