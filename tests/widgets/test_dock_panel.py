from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QTabWidget

from fakes.jobs import FakeJob
from napari_mmsubtype.widgets import job_bar
from napari_mmsubtype.widgets.analyze_panel import AnalyzePanel
from napari_mmsubtype.widgets.dock_panel import DockPanel
from napari_mmsubtype.widgets.job_bar import JobBar
from napari_mmsubtype.widgets.job_runner import JobRunner
from napari_mmsubtype.widgets.umap_panel import open_umap

PANELS = ("Analyze slide", "Result", "Colors", "Omics", "Train and cross-validate")


@pytest.fixture
def window(qtbot: Any) -> QMainWindow:
    window = QMainWindow()
    qtbot.addWidget(window)
    window.show()
    return window


@pytest.fixture
def ended() -> list[int]:
    """Threads in which panels ended."""
    return []


@pytest.fixture
def panel(ended: list[int]) -> DockPanel:
    panel = DockPanel()
    panel.destroyed.connect(lambda *_: ended.append(threading.get_ident()))
    return panel


@pytest.fixture
def dock(window: QMainWindow, panel: DockPanel) -> QDockWidget:
    dock = QDockWidget("Panel", window)
    dock.setWidget(panel)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    return dock


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(job_bar, "show_info", messages.append)
    return messages


def test_a_panel_that_is_taken_out_of_its_dock_is_deleted(
    qtbot, dock, panel, ended
) -> None:
    panel.setParent(None)
    qtbot.waitUntil(lambda: len(ended) == 1, timeout=5000)


def test_a_panel_that_is_moved_or_hidden_lives(
    qtbot, window, dock, panel, ended
) -> None:
    other = QDockWidget("Other", window)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, other)
    for is_floating in (True, False):
        dock.setFloating(is_floating)
        qtbot.wait(20)
    window.tabifyDockWidget(other, dock)
    qtbot.wait(20)
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
    qtbot.wait(20)
    dock.hide()
    qtbot.wait(20)
    dock.show()
    qtbot.wait(20)
    assert ended == []
    assert panel.isVisible()


def test_a_panel_that_gets_another_place_at_once_lives(
    qtbot, window, dock, panel, ended
) -> None:
    panel.setParent(None)
    tabs = QTabWidget(window)
    tabs.addTab(panel, "Panel")
    qtbot.wait(50)
    panel.setParent(None)
    panel.show()
    qtbot.wait(50)
    assert ended == []
    assert panel.isVisible(), "as a window of its own"
    panel.deleteLater()
    qtbot.waitUntil(lambda: len(ended) == 1, timeout=5000)


def test_a_panel_that_never_had_a_place_lives(qtbot, panel, ended) -> None:
    qtbot.addWidget(panel)
    qtbot.wait(50)
    assert ended == []


def test_a_worker_that_searches_for_cycles_ends_no_panel(
    qtbot, qapp, window, ended
) -> None:
    panel, dock = DockPanel(), QDockWidget("Panel", window)
    panel.destroyed.connect(lambda *_: ended.append(threading.get_ident()))
    panel.ring = panel
    dock.setWidget(panel)
    panel.setParent(None)
    del panel
    for _ in range(2):
        worker = threading.Thread(target=gc.collect)
        worker.start()
        worker.join()
        assert any(isinstance(x, DockPanel) for x in qapp.topLevelWidgets())
        qapp.processEvents()  # it asks to be deleted, which takes one turn more
    qtbot.waitUntil(lambda: ended == [threading.get_ident()], timeout=5000)


@pytest.mark.parametrize("is_running", [True, False])
def test_the_user_is_told_of_a_run_that_ended_with_its_panel(
    qtbot, dock, panel, ended, told, is_running: bool
) -> None:
    runner = JobRunner("Analyze slide", panel, has_bar=False)
    JobBar(runner, panel)
    job = FakeJob(steps=1000, pause_s=0.01)
    if is_running:
        with qtbot.waitSignal(runner.progressed, timeout=10_000):
            runner.start(job)
    panel.setParent(None)
    qtbot.waitUntil(lambda: len(ended) == 1, timeout=5000)
    if is_running:
        qtbot.waitUntil(lambda: job.closed_in is not None, timeout=5000)
        assert len(told) == 1
        assert "Analyze slide: stopped" in told[0]
        assert "Run again to resume" in told[0]
    else:
        assert told == []


@pytest.mark.gui
def test_panels_that_a_user_closes_are_gone(
    plugin_viewer, qtbot, notifications
) -> None:
    """Each is opened, moved, hidden and closed, twice over."""
    window, layers, listening = plugin_viewer.window, plugin_viewer.layers, []
    for _ in range(2):
        for name in (*PANELS, "Map"):
            if name == "Map":
                panel: Any = open_umap(plugin_viewer, "missing", "missing")
            else:
                _, panel = window.add_plugin_dock_widget("napari-mmsubtype", name)
            ended: list[object] = []
            panel.destroyed.connect(lambda *_, ended=ended: ended.append(None))
            assert panel.children(), "a new one, not what was closed"
            dock = panel.parent()
            dock.setFloating(True)
            qtbot.wait(20)
            dock.setFloating(False)
            dock.title.hide_button.click()
            qtbot.wait(20)
            dock.show()
            assert ended == [], name
            dock.title.close_button.click()
            qtbot.waitUntil(lambda ended=ended: len(ended) == 1, timeout=5000)
        listening.append(
            (
                len(layers.events.callbacks),
                len(layers.events.inserted.callbacks),
                len(layers.events.removed.callbacks),
                len(layers.selection.events.active.callbacks),
                len(plugin_viewer.mouse_drag_callbacks),
            )
        )
    assert listening[0] == listening[1]


@pytest.mark.gui
def test_an_analysis_ends_with_its_panel(plugin_viewer, qtbot, told) -> None:
    job = FakeJob(steps=1000, pause_s=0.01)
    panel = AnalyzePanel(plugin_viewer)
    dock = plugin_viewer.window.add_dock_widget(panel, name="Analyze slide")
    with qtbot.waitSignal(panel.runner.progressed, timeout=10_000):
        panel.runner.start(job)
    dock.destroyOnClose()
    qtbot.waitUntil(lambda: job.closed_in is not None, timeout=5000)
    assert len(told) == 1
