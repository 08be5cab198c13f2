import json
import os
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest

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


REAL = """
import json, sys
import numpy as np
import pytest
from napari_mmsubtype.inference.umap_layout import lay_out
from napari_mmsubtype.results.patch_map import MapSpec

draw = np.random.default_rng(0)
group = np.repeat([0, 1, 2], 30)
rows = draw.normal(size=(90, 12)) + 12 * draw.normal(size=(3, 12))[group]
used = np.ones(90, bool)
used[7] = False
spec = MapSpec(neighbors=8, fit_limit=66)
one, two = (
    lay_out(rows.astype(np.float16), used, spec, lambda *_: None)[0] for _ in range(2)
)
away = np.hypot(*(one[used][:, None] - one[used][None]).transpose(2, 0, 1))
np.fill_diagonal(away, np.inf)
nearest = group[used][away.argmin(axis=1)]
print(json.dumps({
    "same": bool(np.array_equal(one, two, equal_nan=True)),
    "unused": np.flatnonzero(np.isnan(one).any(axis=1)).tolist(),
    "strangers": int((nearest != group[used]).sum()),
}))
"""


@pytest.mark.slow
def test_umap_itself_keeps_groups_together_and_repeats_itself():
    # In a process of its own, as always: its compiler stays out of this one.
    told = subprocess.run(
        [sys.executable, "-c", REAL],
        # Compiling without optimization takes two thirds of the time.
        env=os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_OPT": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert told.returncode == 0, told.stderr
    # A third of the patches was placed on the map after the fit.
    assert json.loads(told.stdout) == {"same": True, "unused": [7], "strangers": 0}
