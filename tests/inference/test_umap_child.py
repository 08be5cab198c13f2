import json
import os
import subprocess
import sys
from dataclasses import asdict

import numpy as np

from builders.stores import complete_store
from builders.umaps import use_stand_in
from napari_mmsubtype.results.patch_map import MapSpec

CODE = (
    "import sys, json; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from napari_mmsubtype.inference.umap_child import main; main()"
)


def test_it_tells_how_far_it_is_and_leaves_the_places(tmp_path, monkeypatch):
    use_stand_in(tmp_path, monkeypatch)
    result = complete_store(tmp_path)
    used = np.ones(20, bool)
    used[4] = False
    np.save(tmp_path / "used.npy", used)
    request = {
        "store": str(result.path),
        "folder": str(tmp_path),
        "spec": asdict(MapSpec()),
        "parent": os.getpid(),
    }
    with subprocess.Popen(
        [sys.executable, "-P", "-c", CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        for line in (sys.path, request):
            process.stdin.write(json.dumps(line).encode() + b"\n")
        process.stdin.flush()
        told = [json.loads(line) for line in process.stdout]
        assert process.wait(60) == 0
    assert [line["stage"] for line in told] == ["load", "read", "fit", "done"]
    assert told[1] == {"stage": "read", "done": 0, "total": 19}
    points = np.load(tmp_path / "points.npy")
    assert np.isnan(points[4]).all()
    assert np.isfinite(points[used]).all()
    assert np.load(tmp_path / "known.npy").shape == (0, 2)
