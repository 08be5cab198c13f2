"""Make the screenshots of the documentation in a real napari window.

``python docs/screenshots.py synthetic docs/images/window.png``
``python docs/screenshots.py CMU-1-Small-Region.svs docs/images/analyze_cmu1.png``

A real slide is shown without tables: those of another patient would make a call of
nobody. Needs the package with its ``gui`` extra installed, and a display (or
``xvfb-run``).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from PIL import Image
from qtpy.QtCore import QEvent, QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QApplication

from napari_mmsubtype.core.recipe import AnalyzeRecipe

if TYPE_CHECKING:
    from collections.abc import Callable

PLUGIN = "napari-mmsubtype"
SIZE = (1500, 940)
COLORS = 256


def wait(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Let the window live for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QApplication.processEvents()
        # Without a loop of events nothing else takes away what has had its day.
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        time.sleep(0.005)


def drop(viewer: Any, path: Path) -> None:
    """Drop a file on the viewer, as a user who told napari to remember this reader."""
    settings = napari.settings.get_settings().plugins
    settings.extension2reader = {f"*{path.suffix}": PLUGIN}
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path.resolve()))])
    event = QDropEvent(
        QPointF(10, 10),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    viewer.window._qt_viewer.dropEvent(event)


def synthetic_patient(folder: Path) -> AnalyzeRecipe:
    """Run the demo and give its request, which the panel then replays."""
    from napari_mmsubtype.workflows.demo import demo_job
    from napari_mmsubtype.workflows.jobs import run_job

    return run_job(demo_job(folder)).result.recipe


def main() -> None:
    """Open a slide, run the panel and save what the window shows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", help="path of a slide, or 'synthetic'")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--bundle", default="demo")
    given = parser.parse_args()
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Analyze slide")
    with tempfile.TemporaryDirectory() as folder:
        if given.slide == "synthetic":
            recipe = synthetic_patient(Path(folder))
            panel.openSlide(recipe.slide)
        else:
            recipe = AnalyzeRecipe(
                slide=str(Path(given.slide).resolve()),
                mpp=given.mpp,
                bundle=given.bundle,
                out=folder,
            )
            drop(viewer, Path(given.slide))
        wait(60, lambda: len(viewer.layers) > 0 and not panel.opener.is_running)
        panel.setValue(recipe)
        wait(0.5)
        panel.bar.runButton.click()
        wait(300, lambda: not panel.runner.is_running)
        wait(2.0)
        viewer.reset_view()
        wait(1.0)
        pixels = viewer.screenshot(canvas_only=False, flash=False)[..., :3]
        picture = Image.fromarray(pixels).quantize(COLORS)
        picture.save(given.picture, optimize=True)
        sys.stdout.write(f"{panel.bar.text()} {given.picture}\n")
        viewer.close()


if __name__ == "__main__":
    main()
