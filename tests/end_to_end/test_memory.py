"""Memory of an analysis does not grow with its slide."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("resource", reason="the system does not tell the peak of a process")

MOST_MB = 200
"""How much more a slide of a hundred times the area may take."""

CODE = """
import json, resource, sys
import numpy as np
import torch
import zarr
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tissue import TissueMask
from napari_mmsubtype.slides.tissue_file import write_tissue
from napari_mmsubtype.workflows.analyze import analyze

torch.set_num_threads(1)
out, unit = sys.argv[1], 1 if sys.platform == "darwin" else 1024


def peak_mb(side):
    # Two pieces of tissue in far corners: grid and map span the whole slide.
    count = round(side / 31.25)
    mask = np.zeros((count, count), bool)
    for corner in (slice(10, 30), slice(count - 30, count - 10)):
        mask[corner, corner] = True
    address = f"synthetic:seed=0,size={side}"
    with open_slide(address) as slide:
        size = 0.5 * side / count
        made = TissueMask(mask, PixelSize(size, size), 0.1)
        path = write_tissue(f"{out}/{side}.tissue.zarr", made, slide)
    result = analyze(address, tissue=path, out=out, device="cpu", batch_size=8)
    drawn = zarr.open_group(result.path, mode="r")["maps/evidence/0"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return peak, len(result.grid), drawn.shape[1:]


print(json.dumps([peak_mb(side) for side in (10_000, 100_000)]))
"""


def test_a_slide_of_a_hundred_times_the_area_takes_hardly_more(tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert told.returncode == 0, told.stderr
    (small_mb, small, small_map), (large_mb, large, large_map) = json.loads(told.stdout)
    assert min(small, large) > 30
    assert abs(small - large) < 5
    # In one piece, this map alone would take 280 MB for two classes.
    assert 4 * 2 * large_map[0] * large_map[1] > 280e6
    assert large_map[0] > 9 * small_map[0]
    assert large_mb - small_mb < MOST_MB, (small_mb, large_mb)
