"""Analyze a slide with napari-mmsubtype, by the job that all its doors drive."""

from __future__ import annotations

import atexit
import gc
import json
import time
from pathlib import Path

from protocol import Report, Task, begin

import napari_mmsubtype
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.workflows.analyze import analyze_job


def main() -> None:
    task, report = begin()
    atexit.register(gc.freeze)  # as the command does
    recipe = AnalyzeRecipe(
        slide=task.slide,
        bundle=task.bundle,
        tissue=str(write_whole_slide(task)),
        edge="inside",
        device="cpu",
        out=task.folder,
        exclude=[],
        **task.settings,
    )
    report.finish(patches=run(recipe, report), version=napari_mmsubtype.__version__)


def run(recipe: AnalyzeRecipe, report: Report) -> int:
    """Drive the job; what lies between planning and fusing counts as inference.

    That includes laying out the store and preparing the network, because the job
    tells of no moment between them and the first patch.
    """
    patches = 0
    job = analyze_job(recipe)
    start = end = time.perf_counter()
    for event in job:
        now = time.perf_counter()
        if event.stage in ("open", "tables", "tissue"):
            start = now
        elif event.stage == "patches":
            end, patches = now, event.done
    report.seconds = end - start
    return patches


def write_whole_slide(task: Task) -> Path:
    """Mark the whole slide as tissue: no program is to choose its own patches."""
    height, width = task.shape
    ring = [[0, 0], [width, 0], [width, height], [0, height], [0, 0]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {}, "geometry": shape}
    path = Path(task.folder) / "whole.geojson"
    collection = {"type": "FeatureCollection", "features": [feature]}
    path.write_text(json.dumps(collection), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
