"""The panel in a window that is really drawn."""

from pathlib import Path

import pytest

from builders.results import make_result
from fakes.jobs import FakeJob
from fakes.viewers import ADDRESS
from napari_mmsubtype.widgets.analyze_panel import AnalyzePanel


@pytest.mark.gui
def test_panel_in_a_real_window_shows_layers_and_result(
    make_napari_viewer, qtbot, tmp_path: Path
) -> None:
    viewer = make_napari_viewer(show=True)
    panel = AnalyzePanel(viewer, job=FakeJob(make_result(tmp_path, slide=ADDRESS)))
    viewer.window.add_dock_widget(panel, name="Analyze slide")
    with qtbot.waitSignal(panel._adder.finished, timeout=20_000):
        panel.openSlide(ADDRESS)
    with qtbot.waitSignal(panel._adder.finished, timeout=20_000):
        panel.bar.runButton.click()
    assert len(viewer.layers) == 6
    assert set(viewer.window.dock_widgets) >= {"Analyze slide", "Result"}
    screenshot = viewer.screenshot(canvas_only=True, flash=False)
    # The overlay is painted over the tissue: some of the picture has its blue.
    blue = screenshot[..., 2].astype(int) - screenshot[..., 0]
    assert (blue > 60).mean() > 0.05
