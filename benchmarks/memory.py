"""Peak memory of an analysis, for slides of 10k, 40k and 100k pixels a side.

Usage: ``python benchmarks/memory.py [--sides 10000 40000 100000] [--json]``

Every slide is synthetic and made as it is read. The same number of patches is analyzed
on each, in regions that are spread over the whole slide, so that only what grows with
the slide itself can differ. Each size runs in a process of its own; `peak_mb` is its
highest resident memory above that after the imports.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from napari_mmsubtype.workflows.analyze import analyze

REGION_PX = 1024
PLACES = (0.3, 0.5, 0.7)


def main() -> int:
    """Measure each size in a new process, then print one table or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[10000, 40000, 100000])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return 0
    rows = []
    for side in arguments.sides:
        words = [sys.executable, __file__, "--one", str(side)]
        told = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(told.stdout))
    if arguments.json:
        print(json.dumps({"runs": rows}))
    else:
        for row in rows:
            print("  ".join(f"{key} {value}" for key, value in row.items()))
    return 0


def measure(side: int) -> dict[str, float]:
    """Analyze one slide in this process."""
    process = psutil.Process()
    before = process.memory_info().rss
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        regions = Path(folder) / "regions.geojson"
        regions.write_text(json.dumps(spread(side)))
        result = analyze(
            f"synthetic:seed=0,size={side}",
            regions=regions,
            out=folder,
            device="cpu",
        )
        patches = len(result.grid)
    return {
        "side_px": side,
        "patches": patches,
        "seconds": round(time.perf_counter() - start, 1),
        "peak_mb": round((peak_bytes(process) - before) / 1e6),
    }


def spread(side: int) -> dict[str, object]:
    """Lay nine squares over the slide."""
    features = []
    for y in PLACES:
        for x in PLACES:
            top, left = int(y * side), int(x * side)
            corners = [(0, 0), (0, 1), (1, 1), (1, 0), (0, 0)]
            ring = [[left + b * REGION_PX, top + a * REGION_PX] for a, b in corners]
            shape = {"type": "Polygon", "coordinates": [ring]}
            features.append({"type": "Feature", "properties": {}, "geometry": shape})
    return {"type": "FeatureCollection", "features": features}


def peak_bytes(process: psutil.Process) -> int:
    """Give the highest resident memory of this process so far."""
    if sys.platform == "win32":
        return int(process.memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak * (1 if sys.platform == "darwin" else 1024))


if __name__ == "__main__":
    sys.exit(main())
