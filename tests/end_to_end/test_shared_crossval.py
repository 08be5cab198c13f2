"""Processes that torchrun starts share out a run, to the numbers of one process."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from builders.crossval import SETTINGS, draw, write
from builders.processes import QUICK, TORCHRUN, environment
from builders.tiles import SETTINGS as TILES
from builders.tiles import write_tiles

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kills with SIGKILL")

LIMIT_S = 240
BAGS = f"""
from pathlib import Path

import pytest

from builders.crossval import use_bags

use_bags(pytest.MonkeyPatch(), Path(__file__).parent)
{QUICK}"""
"""The same, on embeddings that lie beside this script."""


def begin(start, *words):
    """Start a command line: ``start`` is the interpreter, or torchrun."""
    return subprocess.Popen(
        [str(word) for word in (*start, *words)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(start, *words):
    """Run a command line that has to end well; give what it printed."""
    process = begin(start, *words)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    return out, err


def request(manifest, out, settings, *more):
    """Write the words of a cross-validation."""
    changes = [word for change in settings for word in ("--set", change)]
    words = ["crossval", manifest, "--preset", "evidence", "--out", out]
    return [*words, "--device", "cpu", *more, *changes]


def numbers(content):
    """Leave out of results what tells of a run: times, versions, folders."""
    told = {"seconds", "provenance", "command"}
    if isinstance(content, dict):
        return {k: numbers(v) for k, v in content.items() if k not in told}
    if isinstance(content, list):
        return [numbers(value) for value in content]
    return content


def compare(one, other):
    """Two folders hold the same answers, results, models and encoders."""
    frames = [pd.read_parquet(out / "predictions.parquet") for out in (one, other)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    known, found = (
        numbers(json.loads((out / "results.json").read_text(encoding="utf-8")))
        for out in (one, other)
    )
    assert known["complete"] is True
    assert found == known
    weights = sorted(path.relative_to(one) for path in one.glob("bundles/*/*/w*"))
    assert weights
    for path in weights:
        assert (one / path).read_bytes() == (other / path).read_bytes(), path
    # Nothing half-written is left, nor anything more than one process leaves.
    left, right = (
        sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
        for out in (one, other)
    )
    assert left == right


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """What one process makes of tiles on which each fold trains its encoder."""
    folder = tmp_path_factory.mktemp("tiles")
    script = folder / "quick.py"
    script.write_text(QUICK, encoding="utf-8")
    manifest = write_tiles(folder / "tiles", patients=14, each=1)
    words = request(manifest, folder / "one", TILES, "--mpp", "0.5")
    run([sys.executable], script, *words)
    return folder, script, words


def test_two_processes_find_what_one_finds(tmp_path):
    options = write(tmp_path, draw(32))
    script = tmp_path / "bags.py"
    script.write_text(BAGS, encoding="utf-8")
    tables = ["--rna", options["rna"], "--rna-unit", "z-score"]
    outs = [tmp_path / "one", tmp_path / "two"]
    for start, out in zip(([sys.executable], TORCHRUN), outs, strict=True):
        words = request(options["manifest"], out, SETTINGS, *tables)
        told, err = run(start, script, *words)
        # One process speaks for both, on either stream.
        assert told.count("results  ") == 1
        assert err.count("open checking presets and manifest") == 1
        assert "/18 " in err
    compare(*outs)


def victim(parent, rank):
    """Find one of the processes that torchrun started."""
    for child in psutil.Process(parent).children(recursive=True):
        if child.environ().get("RANK") == str(rank):
            return child
    msg = f"no process of rank {rank}"
    raise AssertionError(msg)


def test_a_killed_process_ends_all_and_one_goes_on(tiles):
    folder, script, words = tiles
    out = folder / "killed"
    words = [out if word == folder / "one" else word for word in words]
    process = begin(TORCHRUN, script, *words)
    deadline = time.monotonic() + LIMIT_S
    while not list(out.glob("encoders/*/*/encoder-*")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    victim(process.pid, 1).send_signal(signal.SIGKILL)
    told, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode != 0
    assert told == ""
    assert err.count("cancelled: process 0 was stopped") == 1
    assert "the same command goes on, with any number of processes" in err
    assert "(SIGKILL)" in err
    assert not (out / "report.html").exists()
    run([sys.executable], script, *words)
    compare(folder / "one", out)


def test_two_processes_train_the_same_encoders(tiles):
    folder, script, words = tiles
    out = folder / "two"
    words = [out if word == folder / "one" else word for word in words]
    run(TORCHRUN, script, *words)
    compare(folder / "one", out)


def test_what_is_wrong_is_told_once_and_nothing_is_written(tmp_path):
    words = request(tmp_path / "none.csv", tmp_path / "out", ())
    process = begin(TORCHRUN, "-m", "napari_mmsubtype", *words)
    told, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode != 0
    assert told == ""
    assert err.count("error: manifest") == 1
    assert "this was process 0 (of 0 to 1)" in err
    assert not Path(tmp_path / "out").exists()


def test_slides_are_embedded_by_both_and_told_by_one(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    slides = [*(f"synthetic:seed={seed},size=256" for seed in range(3)), "broken.png"]
    rows = [f'P{n},"{slide}",x,0.5' for n, slide in enumerate(slides)]
    manifest = tmp_path / "cohort.csv"
    manifest.write_text("\n".join(["patient_id,slide,label,mpp", *rows]))
    words = ["--encoder", "demo-cnn", "--patch-size", "64", "--device", "cpu", "--json"]
    process = begin(
        [*TORCHRUN, "-m", "napari_mmsubtype", "embed"],
        *(manifest, "--out", tmp_path / "out", *words),
    )
    told, err = process.communicate(timeout=LIMIT_S)
    found = json.loads(told)
    assert list(found["embedded"]) == slides[:3]
    assert list(found["failed"]) == [str(tmp_path / "broken.png")]
    assert all(Path(bag).is_file() for bag in found["embedded"].values())
    # As of one process: some slides failed.
    assert "exitcode  : 3" in err
    assert err.count("WARNING: slide") == 1
