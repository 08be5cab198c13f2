"""Memory of an analysis does not grow with its slide."""

import json
import subprocess
import sys

import pytest

from builders.bundles import tiny_bundle

pytest.importorskip("resource", reason="the system does not tell the peak of a process")

MOST_MB = 200
"""How much more a slide of a hundred times the area may take. What is bounded takes 120
at most: decoded tiles, and the tissue mask. One full-size evidence map would take 300,
the map of this slide in double precision, or a mask of its thumbnail, more."""

CODE = """
import json, resource, sys
import torch
import zarr
from napari_mmsubtype.workflows.analyze import analyze

torch.set_num_threads(1)
bundle, out = sys.argv[1:]
unit = 1 if sys.platform == "darwin" else 1024


def ring(top, left):
    corners = [(0, 0), (0, 1), (1, 1), (1, 0), (0, 0)]
    return [[left + 512 * x, top + 512 * y] for y, x in corners]


def peak_mb(side):
    # Four pieces of tissue in the corners: the grid and the map span the whole slide.
    places = [int(share * side) for share in (0.1, 0.85)]
    shapes = [
        {"type": "Polygon", "coordinates": [ring(top, left)]}
        for top in places
        for left in places
    ]
    features = [{"type": "Feature", "properties": {}, "geometry": s} for s in shapes]
    path = f"{out}/{side}.geojson"
    with open(path, "w") as file:
        json.dump({"type": "FeatureCollection", "features": features}, file)
    result = analyze(
        f"synthetic:seed=0,size={side}",
        bundle,
        regions=path,
        min_tissue=0.0,
        out=out,
        device="cpu",
        batch_size=8,
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    drawn = zarr.open_group(result.path, mode="r")["maps/evidence/0"]
    return peak, len(result.grid), drawn.shape[1:]


told = [peak_mb(side) for side in (10_000, 100_000)]
print(json.dumps(told))
"""


def test_a_slide_of_a_hundred_times_the_area_takes_hardly_more(tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny")
    told = subprocess.run(
        [sys.executable, "-c", CODE, str(bundle), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert told.returncode == 0, told.stderr
    (small_mb, small, small_map), (large_mb, large, large_map) = json.loads(told.stdout)
    assert min(small, large) > 40
    assert large_map[0] * large_map[1] > 50 * small_map[0] * small_map[1]
    assert large_mb - small_mb < MOST_MB
