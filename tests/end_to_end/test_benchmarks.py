"""The benchmarks run, and report what their documentation promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from builders.slides import draw_scene, write_svs

OWN = "napari-mmsubtype"


def run(script: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(script), *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    report: dict[str, Any] = json.loads(line)
    return report


@pytest.fixture
def slide(tmp_path: Path) -> str:
    write_svs(tmp_path / "a b.svs", draw_scene(1600, 1400), tile=128, levels=2)
    return str(tmp_path / "a b.svs")


@pytest.mark.slow
def test_viewing_reports_every_measure_beside_its_peers(
    repository: Path, slide: str
) -> None:
    report = run(
        repository / "benchmarks" / "viewing.py",
        slide,
        *("--count", "3", "--steps", "3", "--pause-ms", "1"),
    )
    assert report["slide"] == "a b.svs"
    assert report["shape"] == [1600, 1400]
    assert report["pixels_decoded_at_open"] == 0
    peers = {"napari-wsi", "tifffile"} - set(report["absent"])
    assert "tifffile" in peers
    for level in ("level_0", "level_1"):
        assert {"cold", "warm"} <= set(report[level])
        for kind in ("cold", "warm"):
            assert set(report[level][kind]) == {OWN, *peers}
            check(report[level][kind])
    check(report["open"])
    check(report["first"])
    assert set(report["pan"]) == {"with_prefetch", "without_prefetch"}
    assert set(report["peak_rss_mb"]) == {OWN, *peers}
    assert all(50 < value < 4000 for value in report["peak_rss_mb"].values())


@pytest.mark.slow
def test_heads_reports_every_family_in_its_own_process(repository: Path) -> None:
    names = ["evidence", "feature_concat-transmil"]
    report = run(
        repository / "benchmarks" / "heads.py",
        *("--patches", "300", "--dim", "16", "32", "--repeats", "2"),
        *("--only", *names),
    )
    assert list(report["families"]) == names
    assert report["budget"] == {"seconds": 1.0, "peak_mb": 2000}
    for entries in report["families"].values():
        assert set(entries) == {"16", "32"}
        for entry in entries.values():
            assert 0 < entry["fastest"] <= entry["seconds"]
            assert 0 < entry["imports_mb"] <= entry["peak_mb"]
            fits = entry["one_core_seconds"] < 1 and entry["peak_mb"] < 2000
            assert entry["within_budget"] == fits


def check(measure: dict[str, dict[str, float]]) -> None:
    """Each reader has its percentiles, and the ratios are those of the figures."""
    own = measure[OWN]
    assert 0 < own["p50_ms"] <= own["p95_ms"]
    for name, values in measure.items():
        if name != OWN:
            expected = values["p95_ms"] / own["p95_ms"]
            assert values["p95_ratio"] == pytest.approx(expected, abs=0.02, rel=0.02)


@pytest.mark.gui
@pytest.mark.slow
def test_window_reports_both_ways_and_their_ratio(repository: Path) -> None:
    script = repository / "benchmarks" / "window.py"
    report = run(script, "synthetic:seed=0,size=1024", "--rounds", "1")
    (library,), (window,) = report["library_seconds"], report["window_seconds"]
    assert report["patches"] > 10
    assert report["ratio"] == pytest.approx(window / library, abs=0.01, rel=0.02)
    assert 0 < report["longest_pause_seconds"][0] <= window
    assert report["renderer"]
