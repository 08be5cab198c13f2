"""However often drawing by another method is killed, the map stays the same.

Drawn in forked processes, as analyses are in `test_kills`; every file that is left must
be that of a drawing nobody disturbed.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from builders.bundles import tiny_bundle
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows.analyze import analyze
from napari_mmsubtype.workflows.draw_cam import draw_cam

KILLS = 4
SEED = int(os.environ.get("MMSUBTYPE_KILL_SEED", "0"))
"""Another seed kills at other moments."""

PAUSE_S = 0.01
"""A kill comes up to so much later than the step it waits for."""

METHOD = "layer-cam"
SLIDE = "synthetic:seed=8,size=768"
TESTS = Path(__file__).resolve().parents[1]


def draw_and_kill(store, folder):
    """Draw in forked processes until enough were killed; tell what happened."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)

    def attempt(copy, steps=None):
        """Draw, and kill a moment after so many steps; give exit code and steps."""
        hear, tell = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                draw_cam(
                    copy,
                    METHOD,
                    device="cpu",
                    on_progress=lambda _: os.write(tell, b"."),
                )
                code = 0
            finally:
                os._exit(code)
        os.close(tell)
        heard = 0
        # The pipe ends with the process.
        while heard != steps and os.read(hear, 1):
            heard += 1
        if heard == steps:
            time.sleep(rng.uniform(0, PAUSE_S))
            os.kill(child, signal.SIGKILL)
        os.close(hear)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == -signal.SIGKILL:
            left.append(is_begun(copy))
        return code, heard

    def fresh():
        copies.append(Path(folder, str(len(copies)), Path(store).name))
        shutil.copytree(store, copies[-1])
        return copies[-1]

    left, copies = [], []
    code, steps = attempt(fresh())
    codes, copy = [code], fresh()
    while len(left) < KILLS and len(codes) < 5 * KILLS:
        # From the first patch to just before the last, the stitching included.
        codes.append(attempt(copy, int(rng.integers(4, steps)))[0])
        if codes[-1] == 0:
            copy = fresh()
    codes.append(attempt(copy)[0])
    story = {"codes": codes, "left": left, "copies": list(map(str, copies))}
    json.dump(story, sys.stdout)


def is_begun(store):
    """Tell whether a drawing was left half-made; without zarr, as in `test_kills`."""
    cam = Path(store, "cams", METHOD)
    about = cam / "zarr.json"
    return any(cam.glob("cells/c/*/*/*/*")) and '"levels": 0' in about.read_text()


def files(store):
    """Read every file of a folder with a store, hidden ones as well."""
    return {
        str(path.relative_to(store.parent)): path.read_bytes()
        for path in store.parent.rglob("*")
        if path.is_file()
    }


@pytest.mark.skipif(sys.platform != "linux", reason="forks and kills with SIGKILL")
def test_kills_at_random_moments_change_no_file_of_a_drawing(tmp_path):
    bundle = tiny_bundle(tmp_path / "late", fusion="late", width=32)
    store = analyze(SLIDE, bundle, batch_size=1, out=tmp_path, device="cpu").path
    code = (
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        f"from end_to_end.test_cam_kills import draw_and_kill\n"
        f"draw_and_kill({str(store)!r}, {str(tmp_path / 'copies')!r})\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert told.returncode == 0, told.stderr
    story = json.loads(told.stdout)
    codes = story["codes"]
    assert set(codes) <= {0, -signal.SIGKILL}, told.stderr
    assert codes.count(-signal.SIGKILL) == KILLS
    assert sum(story["left"]) >= KILLS - 1, story
    straight, *killed = map(Path, story["copies"])
    expected = files(straight)
    (cam,) = open_result(straight).cams
    assert np.ptp(cam.read(0)) > 0
    for copy in killed:
        found = files(copy)
        assert found.keys() == expected.keys()
        assert [name for name in found if found[name] != expected[name]] == []
