"""Seconds and memory for the tissue and the patch grid of a slide.

Usage: ``python benchmarks/tissue_grid.py SLIDE [--mpp 0.25] [--json]``

Timed from the closed slide to the grid, as an analysis begins. `peak_mb` is the highest
resident memory above that after the imports. `grid_seconds` is the grid alone; with
``--every-position`` it keeps all patches, tissue or not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import tifffile  # noqa: F401 - counted as import, not as work

from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tissue import find_tissue


def main() -> int:
    """Measure, then print one table or one JSON object."""
    arguments = parse()
    process = psutil.Process()
    before = process.memory_info().rss
    worked = time.process_time()
    start = time.perf_counter()
    with open_slide(arguments.slide, mpp=arguments.mpp) as slide:
        opened = time.perf_counter()
        tissue = find_tissue(slide)
        found = time.perf_counter()
        size = arguments.patch_size
        share = 0.0 if arguments.every_position else 0.5
        mask = np.ones((1, 1), bool) if arguments.every_position else tissue.mask
        grid = lay_grid(
            PatchSpec(size, arguments.target_mpp, size, min_tissue=share),
            slide.levels[0].shape,
            slide.require_pixel_size(),
            [level.downsample for level in slide.levels],
            mask,
            storage_tile=slide.storage_tile,
        )
        end = time.perf_counter()
        report = {
            "slide": Path(arguments.slide).name,
            "shape": list(slide.levels[0].shape),
            "levels": len(slide.levels),
            "stored_levels": slide.native_levels,
            "mask_shape": list(tissue.mask.shape),
            "tissue_share": round(float(tissue.mask.mean()), 4),
            "patches": len(grid),
            "open_seconds": round(opened - start, 3),
            "tissue_seconds": round(found - opened, 3),
            "grid_seconds": round(end - found, 3),
            "seconds": round(end - start, 3),
            "processor_seconds": round(time.process_time() - worked, 3),
            "peak_mb": round((peak_bytes(process) - before) / 1e6),
        }
    if arguments.json:
        print(json.dumps(report))
    else:
        for key, value in report.items():
            print(f"{key:>18}  {value}")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide")
    parser.add_argument("--mpp", type=float, help="of the slide, where it has none")
    parser.add_argument("--target-mpp", type=float, default=0.5)
    parser.add_argument("--patch-size", type=int, default=256)
    parser.add_argument("--every-position", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def peak_bytes(process: psutil.Process) -> int:
    """Give the highest resident memory of this process so far."""
    if sys.platform == "win32":
        return int(process.memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak * (1 if sys.platform == "darwin" else 1024))


if __name__ == "__main__":
    sys.exit(main())
