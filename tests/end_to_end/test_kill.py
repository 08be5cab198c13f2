"""A killed analysis leaves a store that opens, and resumes to the same numbers."""

import os
import signal
import subprocess
import sys
import time

import numpy as np

from builders.bundles import tiny_bundle
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows.analyze import analyze

SLIDE = "synthetic:seed=8,size=2048"


def run_and_kill(bundle, out, after_patches):
    """Start the analysis in a process of its own and kill -9 it under way."""
    code = (
        "from napari_mmsubtype import analyze\n"
        f"analyze({SLIDE!r}, {str(bundle)!r}, out={str(out)!r}, device='cpu',\n"
        "    batch_size=8, on_progress=lambda e: print(e.stage, e.done, flush=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            stage, done = line.split()
            if stage == "patches" and int(done) >= after_patches:
                os.kill(process.pid, signal.SIGKILL)
                break
    return process.returncode


def test_kill_minus_nine_loses_at_most_one_batch(tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny")
    out = tmp_path / "out"
    started = time.monotonic()
    assert run_and_kill(bundle, out, after_patches=40) == -signal.SIGKILL
    store = next(out.glob("*.mmsubtype.zarr"))
    partial = open_result(store)
    assert partial.status == "partial"
    assert (partial.patch_status == 1).sum() >= 40
    resumed = analyze(SLIDE, bundle, out=out, device="cpu", batch_size=8)
    straight = analyze(SLIDE, bundle, out=tmp_path / "b", device="cpu", batch_size=8)
    assert resumed.path == store
    np.testing.assert_array_equal(resumed.embeddings, straight.embeddings)
    np.testing.assert_allclose(
        resumed.prediction.call.logits, straight.prediction.call.logits, rtol=1e-6
    )
    assert time.monotonic() - started < 300
