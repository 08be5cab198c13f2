"""Seconds of an analysis in the window of napari, beside the same one without a window.

Usage: ``python benchmarks/window.py SLIDE [--json] [--model demo] [--rounds 2]``

It needs a display, a virtual one will do. Both run in turns, on the CPU and in the
precision that is named, so that none of them chooses another one, each in a process
of its own that has imported nothing for the analysis yet. The window shows the slide,
which is open before, the panel, and the maps as they fill.

- ``library_seconds``, ``window_seconds``: from the request to its result.
- ``ratio``: of their medians.
- ``longest_pause_seconds``: for which the window answered nothing, in each round.
- ``renderer``: what draws the window; ``llvmpipe`` is the processor itself.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 1600, 1000
TICK_MS = 5
SETTLE_MS = 4000
"""After which the slide is on the screen."""


def run_library(slide: str, model: str, precision: str, out: str) -> dict[str, Any]:
    """Analyse a slide by the function."""
    from napari_mmsubtype import analyze

    began = time.perf_counter()
    result = analyze(slide, model, out=out, device="cpu", precision=precision)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "patches": len(result.grid)}


def run_window(slide: str, model: str, precision: str, out: str) -> dict[str, Any]:
    """Analyse a slide by the panel, as a user does."""
    import napari
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication
    from vispy.gloo import gl

    from napari_mmsubtype.core.recipe import AnalyzeRecipe
    from napari_mmsubtype.results.store import open_result
    from napari_mmsubtype.widgets.analyze_panel import AnalyzePanel

    viewer = napari.Viewer()
    window = viewer.window._qt_window
    window.resize(WIDTH, HEIGHT)
    panel = AnalyzePanel(viewer)
    viewer.window.add_dock_widget(panel, name="Analyze slide")
    recipe = AnalyzeRecipe(
        slide=slide, bundle=model, out=out, device="cpu", precision=precision
    )
    seen: list[float] = []
    stores: list[str] = []
    ends: list[float] = []
    renderers: list[str] = []
    canvas = viewer.window._qt_viewer.canvas._scene_canvas
    canvas.events.draw.connect(
        lambda _: renderers.append(gl.glGetParameter(gl.GL_RENDERER))
    )
    ticks = QTimer()
    ticks.timeout.connect(lambda: seen.append(time.perf_counter()))
    panel.runner.succeeded.connect(lambda shown: stores.append(shown.summary.store))
    panel.runner.finished.connect(lambda: ends.append(time.perf_counter()))
    panel.runner.finished.connect(lambda: QApplication.instance().quit())

    def begin() -> None:
        panel.form.setValue(recipe)
        ticks.start(TICK_MS)
        seen.append(time.perf_counter())
        panel.bar.runButton.click()

    panel.opener.finished.connect(lambda: QTimer.singleShot(SETTLE_MS, begin))
    panel.openSlide(slide)
    QApplication.instance().exec()
    if not stores:
        msg = f"the panel gave no result: {panel.bar.text()}"
        raise SystemExit(msg)
    pauses = [later - sooner for sooner, later in itertools.pairwise(seen)]
    return {
        "seconds": ends[0] - seen[0],
        "patches": len(open_result(stores[0]).grid),
        "longest_pause": max(pauses),
        "renderer": renderers[0],
    }


RUNS = {"library": run_library, "window": run_window}


def measure(which: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one of both in a process of its own."""
    words = [arguments.slide, "--model", arguments.model]
    words += ["--precision", arguments.precision, "--only", which]
    done = subprocess.run(
        [sys.executable, __file__, *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=RUNS, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.only:
        with tempfile.TemporaryDirectory() as out:
            found = RUNS[arguments.only](
                arguments.slide, arguments.model, arguments.precision, out
            )
        print(json.dumps(found), flush=True)
        # What is left of a window has nothing to say.
        os._exit(0)
    found = {which: [] for which in RUNS}
    for _ in range(arguments.rounds):
        for which, rows in found.items():
            rows.append(measure(which, arguments))
    library, window = (
        [round(row["seconds"], 2) for row in rows] for rows in found.values()
    )
    report = {
        "slide": Path(arguments.slide).name,
        "precision": arguments.precision,
        "patches": found["window"][0]["patches"],
        "renderer": found["window"][0]["renderer"],
        "library_seconds": library,
        "window_seconds": window,
        "ratio": round(statistics.median(window) / statistics.median(library), 2),
        "longest_pause_seconds": [
            round(row["longest_pause"], 2) for row in found["window"]
        ],
    }
    if arguments.json:
        print(json.dumps(report))
    else:
        for name, value in report.items():
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
