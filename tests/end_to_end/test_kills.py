"""However often and whenever an analysis is killed, its numbers stay the same.

One process imports everything and forks a new one for every attempt, so that twenty
kills take seconds; each attempt goes on where the killed ones before it stopped.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from builders.bundles import tiny_bundle
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_writer import StoreWriter
from napari_mmsubtype.workflows.analyze import analyze

KILLS = 20
SEED = int(os.environ.get("MMSUBTYPE_KILL_SEED", "0"))
"""Another seed kills at other moments."""

SLIDE = "synthetic:seed=8,size=1536"
TESTS = Path(__file__).resolve().parents[1]

ARRAYS = (
    schema.STATUS,
    schema.EMBEDDING,
    schema.CELL_EVIDENCE,
    schema.MAPPED,
    schema.QUALITY,
    schema.FLAGS,
    schema.EVIDENCE,
    schema.WEIGHT,
    f"{schema.EVIDENCE_MAP}/0",
)


def run_and_kill(slide, bundle, folder):
    """Run analyses in forked processes until twenty were killed; tell what happened."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)

    def attempt(out, limit_s):
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                analyze(slide, bundle, out=out, device="cpu", batch_size=2)
                code = 0
            finally:
                os._exit(code)
        ended = 0
        while not ended and time.monotonic() - started < limit_s:
            time.sleep(0.002)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGKILL:
            left.append(is_partial(out))
        return code, time.monotonic() - started

    left, finished = [], ["0"]
    code, whole_s = attempt(f"{folder}/0", 60)
    codes = [code]
    while len(left) < KILLS and len(codes) < 5 * KILLS:
        out = str(len(finished))
        codes.append(attempt(f"{folder}/{out}", rng.uniform(0.1, 0.9) * whole_s)[0])
        if codes[-1] == 0:
            finished.append(out)
    out = str(len(finished))
    codes.append(attempt(f"{folder}/{out}", 60)[0])
    finished.append(out)
    json.dump({"codes": codes, "finished": finished, "left": left}, sys.stdout)


def is_partial(out):
    """Tell whether a store was left half-made.

    Read without zarr, which starts a thread: a process with threads must not be forked.
    """
    found = list(Path(out).glob("*.mmsubtype.zarr/zarr.json"))
    return bool(found) and '"partial"' in found[0].read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="forks and kills with SIGKILL")
def test_twenty_kills_at_random_moments_change_no_number(tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny")
    code = (
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        f"from end_to_end.test_kills import run_and_kill\n"
        f"run_and_kill({SLIDE!r}, {str(bundle)!r}, {str(tmp_path)!r})\n"
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
    # Many of the kills hit between the first patch and the prediction.
    assert sum(story["left"]) >= KILLS // 4, story
    straight, *killed = (the_store(tmp_path / name) for name in story["finished"])
    assert killed
    for store in killed:
        assert_same(store, straight)


def the_store(folder):
    """Find the only thing in a folder: no lock and no draft is left beside it."""
    (store,) = folder.iterdir()
    return store


def assert_same(store, straight):
    one, other = StoreWriter(store), StoreWriter(straight)
    for name in ARRAYS:
        np.testing.assert_array_equal(one.read(name), other.read(name), err_msg=name)
    found, expected = open_result(store), open_result(straight)
    assert found.status == "complete"
    assert found.prediction == expected.prediction
