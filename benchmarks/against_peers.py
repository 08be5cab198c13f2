"""One slide, its patches and one ResNet-50 through this program and four others.

Usage: ``nox -s bench_peers -- SLIDE``, which makes the environments first, or
``python benchmarks/against_peers.py SLIDE --environments FOLDER [--rounds 3] [--json]``

``--repeat 2`` puts the slide twice beside and below itself, into a file of its own in
the layout of an Aperio slide: where a slide is small, what a program does before the
first patch hides how fast it is.

Every program embeds the same patches: 224 px at 0.5 um per pixel, side by side, all
that lie wholly within the slide. None looks for tissue, so choose a slide that is
tissue throughout. Each runs from its own environment in a process of its own, in turns,
with its defaults and with settings that may be faster.

- ``patches_per_second``: from the first patch read to the last embedding, as the
  program's own call for that takes.
- ``whole_seconds``: from starting Python to its end, with imports, network and files.
- ``peak_mb``: highest memory of the process and its children, shared pages counted once
  where the system tells (Linux).

A program that is not installed or fails is named with its error.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tifffile
import torch
import torchvision

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from protocol import Task

from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.models.bundle_writer import save_bundle
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.slides.registry import open_slide

RUNNERS = Path(__file__).parent / "peers"
OWN = "napari-mmsubtype"
SIZE_PX, MPP = 224, 0.5
PAUSE_S = 1.0
"""Between two looks at the memory: ten a second slow a program down by a seventh."""

SETTINGS: dict[str, list[dict[str, Any]]] = {
    OWN: [{}, {"precision": "int8"}],
    "lazyslide": [
        {},
        {"bfloat16": True, "batch_size": 16},
        {"bfloat16": True, "batch_size": 16, "channels_last": True},
        {"bfloat16": True, "batch_size": 16, "channels_last": True, "num_workers": 1},
    ],
    "slideflow": [
        {},
        {"batch_size": 16},
        {"batch_size": 16, "channels_last": True},
    ],
    "tiatoolbox": [{}, {"batch_size": 16}, {"batch_size": 16, "num_workers": 1}],
    "wsinfer": [
        {},
        {"batch_size": 16, "speedup": True},
        {"batch_size": 16, "speedup": True, "num_workers": 1},
    ],
}
"""The first of each are the defaults."""


def main() -> int:
    """Run all in turns, then print one JSON object or one line per program."""
    arguments = parse()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in arguments.only}
    with tempfile.TemporaryDirectory() as folder:
        slide, mpp = arguments.slide, arguments.mpp
        if arguments.repeat > 1:
            slide = repeat_slide(Path(folder), slide, mpp, arguments.repeat)
            mpp = None
        task = prepare(Path(folder), slide, mpp)
        for _ in range(arguments.rounds):
            for name in arguments.only:
                for settings in choose(name, arguments):
                    told = run(name, arguments.environments, task, settings)
                    runs[name].append({"settings": settings, **told})
    programs = {name: summarize(told) for name, told in runs.items()}
    report = {
        "slide": Path(arguments.slide).name,
        "repeat": arguments.repeat,
        "patches": len(task.origins),
        "processors": os.cpu_count(),
        "rounds": arguments.rounds,
        "programs": programs,
        **compare(programs, len(task.origins)),
    }
    if arguments.json:
        print(json.dumps(report))
        return 0
    for name, entries in programs.items():
        for entry in entries:
            print(name, *(f"{key} {value}" for key, value in entry.items()), sep="  ")
    for key in ("to_best_peer", "to_defaults", "tuned"):
        if key in report:
            print(key, json.dumps(report[key]), sep="  ")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide")
    parser.add_argument("--mpp", type=float, help="of the slide, where it has none")
    parser.add_argument("--repeat", type=int, default=1, help="in both directions")
    parser.add_argument("--environments", type=Path, default=Path(".nox/peers"))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--defaults", action="store_true", help="no other settings")
    choice.add_argument("--tuned", action="store_true", help="not the peers' defaults")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def choose(name: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    if arguments.defaults:
        return SETTINGS[name][:1]
    tuned = arguments.tuned and name != OWN
    return SETTINGS[name][1:] if tuned else SETTINGS[name]


def prepare(folder: Path, slide: str, mpp: float | None) -> Task:
    """Write one ResNet-50 in the three forms that the programs read."""
    torch.manual_seed(0)
    network = torchvision.models.resnet50().eval()
    weights = folder / "resnet50.pth"
    torch.save(network.state_dict(), weights)
    script = folder / "resnet50.pt"
    torch.jit.save(
        torch.jit.trace(network, torch.zeros(1, 3, SIZE_PX, SIZE_PX)), script
    )
    encoder = create_encoder("resnet50", weights=weights, input_size=SIZE_PX)
    classes = (LUMINAL, BASAL_HER2)
    bundle = save_bundle(
        folder / "bundle",
        name="benchmark",
        version="1",
        classes=classes,
        encoder=encoder,
        fusion=create_fusion("evidence", dim=encoder.dim, classes=2, omics={}),
        patch=PatchSpec(SIZE_PX, MPP, SIZE_PX, min_tissue=0.0),
        modalities={},
    )
    with open_slide(slide, mpp=mpp) as opened:
        size, shape = opened.require_pixel_size(), opened.levels[0].shape
    return Task(
        slide=str(Path(slide).resolve()),
        weights=str(weights),
        script=str(script),
        bundle=str(bundle),
        folder=str(folder),
        size_px=SIZE_PX,
        mpp=MPP,
        slide_mpp=size.mean,
        shape=shape,
        settings={},
    )


def repeat_slide(folder: Path, slide: str, mpp: float | None, times: int) -> str:
    """Write a slide that shows another several times, as Aperio would."""
    with open_slide(slide, mpp=mpp) as opened:
        size = opened.require_pixel_size()
        height, width = opened.levels[0].shape
        pixels = opened.read_region(0, 0, 0, height, width)
    pixels = np.tile(pixels, (times, times, 1))
    height, width = pixels.shape[:2]
    told = (
        f"Aperio Image Library v11.2.1\r\n{width}x{height} (240x240) JPEG/RGB Q=90"
        f"|AppMag = 20|MPP = {size.mean:.4f}"
    )
    path = folder / "repeated.svs"
    tifffile.imwrite(
        path,
        pixels,
        photometric="rgb",
        tile=(240, 240),
        compression="jpeg",
        compressionargs={"level": 90},
        description=told,
        metadata=None,
    )
    return str(path)


def run(
    name: str, environments: Path, task: Task, settings: dict[str, Any]
) -> dict[str, Any]:
    """Run one program once; ``error`` says why it gave no figures."""
    python = find_python(name, environments)
    if not python.exists():
        note = environments / f"{name}.error"
        why = note.read_text(encoding="utf-8") if note.exists() else "not installed"
        return {"error": why.strip()}
    with tempfile.TemporaryDirectory(dir=task.folder) as folder:
        place, report = Path(folder) / "task.json", Path(folder) / "report.json"
        work = Path(folder) / "work"
        work.mkdir()
        entries = asdict(task) | {"folder": str(work), "settings": settings}
        place.write_text(json.dumps(entries), encoding="utf-8")
        script = f"run_{'own' if name == OWN else name}.py"
        words = [str(python), str(RUNNERS / script), str(place), str(report)]
        with (Path(folder) / "said.txt").open("w+", encoding="utf-8") as said:
            seconds, peak, code = watch(words, said.fileno(), folder)
            said.seek(0)
            lines = said.read().strip().splitlines()
        if code or not report.exists():
            return {"error": " | ".join(lines[-3:]) or f"ended with {code}"}
        told = json.loads(report.read_text(encoding="utf-8"))
    return {
        "version": told["version"],
        "patches": told["patches"],
        "patches_per_second": told["patches"] / told["seconds"],
        "whole_seconds": seconds,
        "peak_mb": peak / 1e6,
    }


def find_python(name: str, environments: Path) -> Path:
    if name == OWN:
        return Path(sys.executable)
    # Not resolved: a link to another Python would leave the environment.
    inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return environments.absolute() / name / Path(*inside)


def watch(words: list[str], out: int, folder: str) -> tuple[float, int, int]:
    """Run a command in a folder; give its seconds, peak memory and exit code."""
    start = time.perf_counter()
    # Slideflow leaves a log where it is started.
    process = subprocess.Popen(words, stdout=out, stderr=out, cwd=folder)
    tree = psutil.Process(process.pid)
    peak = 0
    while True:
        try:
            code = process.wait(PAUSE_S)
        except subprocess.TimeoutExpired:
            peak = max(peak, measure(tree))
            continue
        return time.perf_counter() - start, peak, code


def measure(tree: psutil.Process) -> int:
    """Add up the memory of a process and its children."""
    total = 0
    try:
        members = [tree, *tree.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in members:
        try:
            full = member.memory_full_info()
        except psutil.Error:
            continue  # it ended just now
        total += getattr(full, "pss", full.rss)
    return total


def summarize(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Take the median over the rounds, settings by settings."""
    entries: list[dict[str, Any]] = []
    for settings in unique([told["settings"] for told in runs]):
        mine = [told for told in runs if told["settings"] == settings]
        failed = [told["error"] for told in mine if "error" in told]
        if failed:
            entries.append({"settings": settings, "error": failed[0]})
            continue
        middle = {
            key: round(statistics.median(told[key] for told in mine), 2)
            for key in ("patches_per_second", "whole_seconds", "peak_mb")
        }
        same = {key: mine[0][key] for key in ("version", "patches")}
        entries.append({"settings": settings, **same, **middle})
    return entries


def unique(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for value in values:
        if value not in kept:
            kept.append(value)
    return kept


def compare(programs: dict[str, list[dict[str, Any]]], patches: int) -> dict[str, Any]:
    """Set this program beside the others: more than 1 is better.

    First at its defaults, then, under ``tuned``, at its fastest settings.
    """
    failed = [
        f"{name} {entry['settings']}: {entry['error']}"
        for name, entries in programs.items()
        for entry in entries
        if "error" in entry
    ]
    other = [
        f"{name} {entry['settings']}: {entry['patches']} patches"
        for name, entries in programs.items()
        for entry in entries
        if entry.get("patches", patches) != patches
    ]
    told: dict[str, Any] = {"failed": failed, "other_patches": other}
    first, *others = programs.get(OWN, [{"error": "left out"}])
    peers = {
        name: [entry for entry in entries if "error" not in entry]
        for name, entries in programs.items()
        if name != OWN
    }
    tried = [(name, entry) for name, entries in peers.items() for entry in entries]
    if "error" in first or not tried:
        return told | {"to_best_peer": None, "to_defaults": {}}
    best, entry = max(tried, key=lambda pair: pair[1]["patches_per_second"])

    def _set_beside(own: dict[str, Any]) -> dict[str, Any]:
        return {
            "to_best_peer": {"peer": best, **ratios(own, entry)},
            "to_defaults": {
                name: ratios(own, entries[0])
                for name, entries in peers.items()
                if entries and not entries[0]["settings"]
            },
        }

    told |= _set_beside(first)
    worked = [own for own in others if "error" not in own]
    if worked:
        own = max(worked, key=lambda entry: entry["patches_per_second"])
        told["tuned"] = {"settings": own["settings"], **_set_beside(own)}
    return told


def ratios(own: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    return {
        "settings": peer["settings"],
        "inference": round(own["patches_per_second"] / peer["patches_per_second"], 2),
        "whole": round(peer["whole_seconds"] / own["whole_seconds"], 2),
        "memory": round(peer["peak_mb"] / own["peak_mb"], 2),
    }


if __name__ == "__main__":
    sys.exit(main())
