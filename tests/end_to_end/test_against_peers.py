"""The comparison with other programs: what is compared, and that nothing is hidden."""

import importlib.util
import json
import sys
from dataclasses import replace

import pytest


@pytest.fixture
def script(repository, monkeypatch):
    path = repository / "benchmarks" / "against_peers.py"
    monkeypatch.setattr(sys, "path", [str(path.parent / "peers"), *sys.path])
    spec = importlib.util.spec_from_file_location("against_peers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("protocol", None)


@pytest.fixture
def task(script, tmp_path):
    return script.Task(
        slide="slide.svs",
        weights="w",
        script="s",
        bundle="b",
        folder=str(tmp_path),
        size_px=224,
        mpp=0.5,
        slide_mpp=0.25,
        shape=(1000, 1400),
        settings={},
    )


def entry(speed, seconds=10.0, memory=1000.0, patches=6, settings=None):
    return {
        "settings": settings or {},
        "version": "1",
        "patches": patches,
        "patches_per_second": speed,
        "whole_seconds": seconds,
        "peak_mb": memory,
    }


def test_the_patches_are_all_that_lie_wholly_within_the_slide(task):
    assert task.origins == [
        (0, 0),
        (0, 448),
        (0, 896),
        (448, 0),
        (448, 448),
        (448, 896),
    ]
    # 224 px at 0.5 um are 224.4 px of this slide, and do not fit ten times into 2240.
    finer = replace(task, slide_mpp=0.499, shape=(2240, 500))
    assert len(finer.origins) == 9 * 2


def test_a_program_that_is_absent_is_named_with_its_error(script, task, tmp_path):
    folder = tmp_path / "peers"
    assert script.run("wsinfer", folder, task, {}) == {"error": "not installed"}
    folder.mkdir()
    (folder / "wsinfer.error").write_text("no wheel for this Python\n")
    told = script.run("wsinfer", folder, task, {})
    assert told == {"error": "no wheel for this Python"}
    programs = {"wsinfer": script.summarize([{"settings": {}, **told}])}
    report = script.compare(programs, 6)
    assert report["failed"] == ["wsinfer {}: no wheel for this Python"]
    assert report["to_best_peer"] is None


def test_a_runner_that_fails_is_told_by_its_last_words(script, task, monkeypatch):
    monkeypatch.setattr(script, "find_python", lambda *_: script.Path(sys.executable))
    told = script.run("wsinfer", script.Path("nowhere"), task, {})
    assert set(told) == {"error"}
    assert "ModuleNotFoundError" in told["error"]


def test_time_and_memory_of_a_command_are_those_of_its_whole_tree(script, tmp_path):
    child = "import time; held = bytearray(80_000_000); time.sleep(1.5)"
    words = (
        "import pathlib, subprocess, sys; pathlib.Path('left').touch(); "
        f"subprocess.run([sys.executable, '-c', {child!r}])"
    )
    (tmp_path / "own").mkdir()
    with (tmp_path / "said").open("w") as said:
        command = [sys.executable, "-c", words]
        seconds, peak, code = script.watch(
            command, said.fileno(), str(tmp_path / "own")
        )
    assert code == 0
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["left"]
    assert seconds > 1.5
    assert peak > 80e6


def test_ratios_take_the_fastest_peer_and_every_default(script):
    fast = {"bfloat16": True}
    programs = {
        script.OWN: [entry(40.0, seconds=6.0, memory=900)],
        "a": [entry(10.0), entry(20.0, 12.0, 1800, settings=fast)],
        "b": [entry(8.0, patches=5)],
    }
    report = script.compare(programs, 6)
    assert report["to_best_peer"] == {
        "peer": "a",
        "settings": fast,
        "inference": 2.0,
        "whole": 2.0,
        "memory": 2.0,
    }
    assert report["to_defaults"]["a"]["inference"] == 4.0
    assert report["to_defaults"]["b"]["inference"] == 5.0
    assert report["other_patches"] == ["b {}: 5 patches"]
    assert report["failed"] == []
    assert "tuned" not in report
    json.dumps(report)


def test_other_settings_of_ours_are_set_beside_the_same_peers(script):
    int8 = {"precision": "int8"}
    programs = {
        script.OWN: [entry(40.0), entry(60.0, seconds=4.0, settings=int8)],
        "a": [entry(10.0), entry(20.0, 12.0, settings={"bfloat16": True})],
    }
    report = script.compare(programs, 6)
    assert report["to_best_peer"]["inference"] == 2.0
    assert report["tuned"]["settings"] == int8
    assert report["tuned"]["to_best_peer"]["inference"] == 3.0
    assert report["tuned"]["to_best_peer"]["whole"] == 3.0
    assert report["tuned"]["to_defaults"]["a"]["inference"] == 6.0
    programs[script.OWN][1] = {"settings": int8, "error": "no VNNI"}
    assert "tuned" not in script.compare(programs, 6)


def test_rounds_are_summed_up_by_their_median_and_one_failure_counts(script):
    rounds = [entry(speed) for speed in (10.0, 30.0, 20.0)]
    other = [entry(1.0, settings={"x": 1}), {"settings": {"x": 1}, "error": "boom"}]
    middle, failed = script.summarize(rounds + other)
    assert middle["patches_per_second"] == 20.0
    assert failed == {"settings": {"x": 1}, "error": "boom"}


def test_every_program_has_defaults_a_runner_and_a_list_of_packages(script):
    for name, settings in script.SETTINGS.items():
        assert settings[0] == {}
        runner = "own" if name == script.OWN else name
        assert (script.RUNNERS / f"run_{runner}.py").exists()
        if name != script.OWN:
            assert (script.RUNNERS / f"{name}.txt").read_text().strip()
