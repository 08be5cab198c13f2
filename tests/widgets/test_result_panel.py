from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QLabel

from builders.pages import Page
from builders.results import make_result
from napari_mmsubtype.core.result_words import INTERRUPTED, RUNNING
from napari_mmsubtype.plugin.layers import to_layers
from napari_mmsubtype.plugin.placement import store_of
from napari_mmsubtype.results.store_lock import LockOwner, StoreLock, lock_path
from napari_mmsubtype.widgets import result_panel, save_dialog
from napari_mmsubtype.widgets.result_panel import ResultPanel
from napari_mmsubtype.widgets.result_summary import summarize


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def panel(qtbot: Any, viewer: ViewerModel) -> ResultPanel:
    widget = ResultPanel(viewer)
    qtbot.addWidget(widget)
    return widget


def add(viewer: ViewerModel, result: Any) -> None:
    for data, kwargs, kind in to_layers(result, with_slide=False):
        viewer.add_layer(Layer.create(data, kwargs, kind))


def settle(qtbot: Any, panel: ResultPanel) -> None:
    qtbot.waitUntil(lambda: not panel._runner.is_running, timeout=10_000)


def test_empty_panel_says_what_to_do(panel) -> None:
    assert panel.summary() is None
    assert "Run an analysis" in panel._scroll.findChild(QLabel).text()


def test_store_that_is_opened_is_read_and_shown(panel, viewer, qtbot, tmp_path) -> None:
    add(viewer, make_result(tmp_path))
    qtbot.waitUntil(lambda: panel.summary() is not None, timeout=10_000)
    assert panel.summary().slide_name == "missing"
    settle(qtbot, panel)


def test_panel_opened_late_finds_the_result(viewer, qtbot, tmp_path) -> None:
    add(viewer, make_result(tmp_path))
    panel = ResultPanel(viewer)
    qtbot.addWidget(panel)
    qtbot.waitUntil(lambda: panel.summary() is not None, timeout=10_000)
    settle(qtbot, panel)


def test_panel_follows_the_selected_layer(panel, viewer, qtbot, tmp_path: Path) -> None:
    add(viewer, make_result(tmp_path, slide="one.svs"))
    add(viewer, make_result(tmp_path, slide="two.svs"))
    qtbot.waitUntil(lambda: panel._combo.count() == 2, timeout=10_000)
    settle(qtbot, panel)
    viewer.layers.selection.active = viewer.layers[0]
    assert panel.summary().slide_name == "one"
    viewer.layers.selection.active = viewer.layers[-1]
    assert panel.summary().slide_name == "two"
    assert not panel._combo.isHidden()


def choose(panel: ResultPanel, index: int) -> None:
    """As a user does."""
    panel._combo.setCurrentIndex(index)
    panel._combo.activated.emit(index)


def test_two_results_of_one_slide_can_be_told_apart(
    panel, viewer, qtbot, tmp_path: Path, monkeypatch
) -> None:
    first, second = (make_result(tmp_path / name) for name in "ab")
    add(viewer, first)
    qtbot.waitUntil(lambda: panel._combo.count() == 1, timeout=10_000)
    assert panel._combo.currentText() == "missing (demo)"
    add(viewer, second)
    qtbot.waitUntil(lambda: panel._combo.count() == 2, timeout=10_000)
    settle(qtbot, panel)
    assert [panel._combo.itemText(i) for i in range(2)] == [
        "missing (demo): a/missing",
        "missing (demo): b/missing",
    ]
    assert panel._combo.toolTip() == str(second.path)
    role = Qt.ItemDataRole.ToolTipRole
    assert panel._combo.itemData(0, role) == str(first.path)
    asked: list[str] = []
    monkeypatch.setattr(
        result_panel, "open_umap", lambda *words: asked.append(words[2])
    )
    panel._map.click()
    assert asked == ["missing (demo): b/missing"]
    for layer in [x for x in viewer.layers if store_of(x) == str(second.path)]:
        viewer.layers.remove(layer)
    assert panel._combo.currentText() == "missing (demo)"


def test_choosing_a_result_selects_the_map_that_is_seen_of_it(
    panel, viewer, qtbot, tmp_path: Path
) -> None:
    add(viewer, make_result(tmp_path, slide="one.svs"))
    seen = viewer.layers[-1]
    add(viewer, make_result(tmp_path, slide="two.svs"))
    qtbot.waitUntil(lambda: panel._combo.count() == 2, timeout=10_000)
    settle(qtbot, panel)
    choose(panel, 0)
    assert viewer.layers.selection.active is seen
    assert panel._maps.legend().startswith(f"{seen.name}: ")
    # Where no map is seen, anything else that is.
    seen.visible = False
    seen_class = next(x for x in viewer.layers if x.name.startswith("class"))
    seen_class.visible = True
    choose(panel, 1)
    choose(panel, 0)
    assert viewer.layers.selection.active is seen_class


def test_what_is_chosen_stays_until_the_user_selects_another_layer(
    panel, viewer, qtbot, tmp_path: Path
) -> None:
    add(viewer, make_result(tmp_path, slide="one.svs"))
    two = make_result(tmp_path, slide="two.svs")
    add(viewer, two)
    qtbot.waitUntil(lambda: panel._combo.count() == 2, timeout=10_000)
    settle(qtbot, panel)
    choose(panel, 0)
    more = [Layer.create(*x) for x in to_layers(two, with_slide=False)]
    viewer.add_layer(more[0])
    assert viewer.layers.selection.active is more[0]
    assert panel.summary().slide_name == "one"
    viewer.layers.remove_selected()
    assert panel.summary().slide_name == "one", "napari selects what lay below"
    qtbot.wait(20)
    viewer.layers.selection.active = None
    viewer.layers.selection.active = viewer.layers[-1]
    assert panel.summary().slide_name == "two"


def test_a_result_that_is_read_does_not_overrule_a_choice_made_meanwhile(
    panel, viewer, qtbot, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        panel.addSummary(replace(summarize(make_result(tmp_path / name)), store=name))
    add(viewer, make_result(tmp_path, slide="three.svs"))
    choose(panel, 0)
    settle(qtbot, panel)
    assert panel._combo.count() == 3
    assert panel.summary().store == "one"
    add(viewer, make_result(tmp_path, slide="four.svs"))
    qtbot.waitUntil(lambda: panel._combo.count() == 4, timeout=10_000)
    settle(qtbot, panel)
    assert panel.summary().slide_name == "four", "it was opened after the choice"


def test_a_running_analysis_does_not_take_the_place_of_a_result(
    panel, viewer, qtbot, tmp_path: Path
) -> None:
    result = make_result(tmp_path, complete=False)
    panel.addSummary(replace(summarize(result), store="one"))
    assert panel._combo.isHidden()
    with StoreLock.acquire(result.path):
        add(viewer, result)
        qtbot.waitUntil(lambda: panel._combo.count() == 2, timeout=10_000)
        settle(qtbot, panel)
    assert panel.summary().store == "one"
    assert not panel._combo.isHidden()
    panel.addSummary(summarize(result))
    assert panel.summary().store == str(result.path)


def test_the_legend_follows_what_is_seen(panel, viewer, qtbot, tmp_path: Path) -> None:
    add(viewer, make_result(tmp_path))
    qtbot.waitUntil(lambda: panel.summary() is not None, timeout=10_000)
    settle(qtbot, panel)
    viewer.layers.selection.active = None
    top, other = (x for x in reversed(viewer.layers) if x.name.startswith("evidence"))
    top.visible, other.visible = False, True
    assert panel._maps.legend().startswith(f"{other.name}: ")
    other.contrast_limits = (-0.25, 0.25)
    assert panel._maps.colors.words()[0] == "-0.25 against"


def test_result_whose_layers_are_removed_is_forgotten(
    panel, viewer, qtbot, tmp_path: Path
) -> None:
    add(viewer, make_result(tmp_path))
    qtbot.waitUntil(lambda: panel.summary() is not None, timeout=10_000)
    settle(qtbot, panel)
    viewer.layers.clear()
    assert panel.summary() is None


def test_new_summary_of_a_store_replaces_the_old(panel, qtbot, tmp_path: Path) -> None:
    summary = summarize(make_result(tmp_path))
    panel.addSummary(replace(summary, prediction=None))
    panel.addSummary(summary)
    assert panel._combo.count() == 1
    assert panel.summary() is summary
    assert "Luminal" in panel._scroll.findChild(QLabel).text()


def test_broken_store_is_reported_once(
    panel, viewer, qtbot, tmp_path: Path, notifications
) -> None:
    result = make_result(tmp_path)
    layers = to_layers(result, with_slide=False)
    (result.path / "zarr.json").unlink()
    for data, kwargs, kind in layers:
        viewer.add_layer(Layer.create(data, kwargs, kind))
    qtbot.waitUntil(lambda: len(notifications) > 0, timeout=10_000)
    settle(qtbot, panel)
    assert len(notifications) == 1
    assert panel.summary() is None


def headline(panel: ResultPanel) -> str:
    return str(panel._scroll.findChild(QLabel).text())


def test_a_running_analysis_is_said_to_run_until_it_ends(
    panel, viewer, qtbot, tmp_path: Path
) -> None:
    panel._again.setInterval(10)
    result = make_result(tmp_path, complete=False)
    with StoreLock.acquire(result.path):
        add(viewer, result)
        qtbot.waitUntil(lambda: panel.summary() is not None, timeout=10_000)
        assert headline(panel) == RUNNING
        buttons = panel._save, panel._copy, panel._map, panel._maps_part
        assert all(button.isHidden() for button in buttons)
        # It is read again and again, which nobody sees.
        shown = panel._scroll.widget()
        with qtbot.waitSignals([panel._again.timeout] * 3, timeout=10_000):
            pass
        assert panel._scroll.widget() is shown
    qtbot.waitUntil(lambda: headline(panel) == INTERRUPTED, timeout=10_000)
    assert not panel._again.isActive()
    assert not panel._save.isHidden()
    settle(qtbot, panel)


def test_an_analysis_on_another_machine_is_named_with_a_way_out(
    panel, viewer, qtbot, tmp_path: Path
) -> None:
    result = make_result(tmp_path, complete=False)
    owner = replace(LockOwner.current(), host="lab-7", pid=7)
    lock_path(result.path).write_text(json.dumps(asdict(owner)))
    add(viewer, result)
    qtbot.waitUntil(lambda: panel.summary() is not None, timeout=10_000)
    assert headline(panel) == RUNNING
    shown = " ".join(label.text() for label in panel._scroll.findChildren(QLabel))
    assert "belongs to process 7 on lab-7" in shown
    assert f"napari-mmsubtype unlock {str(result.path)!r}" in shown
    settle(qtbot, panel)


def test_a_running_analysis_is_shown_when_it_is_done(
    panel, viewer, qtbot, tmp_path: Path
) -> None:
    panel._again.setInterval(10)
    result = make_result(tmp_path, complete=False)
    with StoreLock.acquire(result.path):
        add(viewer, result)
        qtbot.waitUntil(lambda: panel.summary() is not None, timeout=10_000)
        settle(qtbot, panel)
        panel._again.stop()
        done = make_result(tmp_path / "done")
        result.path.rename(tmp_path / "old")
        done.path.rename(result.path)
        panel._read_again()
        qtbot.waitUntil(lambda: "Luminal" in headline(panel), timeout=10_000)
    settle(qtbot, panel)


def test_a_running_analysis_is_read_again_after_a_read_that_failed(
    panel, viewer, qtbot, tmp_path: Path, notifications
) -> None:
    panel._again.setInterval(10)
    result = make_result(tmp_path, complete=False)
    with StoreLock.acquire(result.path):
        add(viewer, result)
        qtbot.waitUntil(lambda: panel.summary() is not None, timeout=10_000)
        aside = result.path.rename(tmp_path / "aside")
        qtbot.waitUntil(lambda: panel._failures > 1, timeout=10_000)
        aside.rename(result.path)
    qtbot.waitUntil(lambda: headline(panel) == INTERRUPTED, timeout=10_000)
    assert 1 < len(notifications) < 8
    settle(qtbot, panel)


def test_an_analysis_that_was_killed_is_interrupted(
    panel, viewer, qtbot, tmp_path: Path
) -> None:
    result = make_result(tmp_path, complete=False)
    lock = StoreLock.acquire(result.path)
    gone = asdict(replace(lock.owner, birth="another process"))
    lock.path.write_text(json.dumps(gone))
    add(viewer, result)
    qtbot.waitUntil(lambda: panel.summary() is not None, timeout=10_000)
    settle(qtbot, panel)
    assert headline(panel) == INTERRUPTED


def test_a_result_that_is_removed_while_it_is_read_is_not_offered(
    panel, viewer, qtbot, tmp_path: Path
) -> None:
    result = make_result(tmp_path)
    add(viewer, result)
    assert panel._runner.is_running
    viewer.layers.clear()
    settle(qtbot, panel)
    assert panel.summary() is None
    add(viewer, result)
    qtbot.waitUntil(lambda: panel.summary() is not None, timeout=10_000)
    settle(qtbot, panel)


def test_result_can_be_copied_as_text(panel, tmp_path: Path) -> None:
    panel.addSummary(summarize(make_result(tmp_path)))
    panel._copy.click()
    assert "Luminal" in QGuiApplication.clipboard().text()


def test_report_of_the_result_that_is_shown_is_saved(
    panel, qtbot, tmp_path: Path, monkeypatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(result_panel, "show_info", told.append)
    asked: list[str] = []

    def choose(*words: Any) -> tuple[str, str]:
        asked.append(words[2])
        return str(tmp_path / "chosen"), ""

    monkeypatch.setattr(save_dialog.QFileDialog, "getSaveFileName", choose)
    assert panel._save.isHidden()
    panel.addSummary(summarize(make_result(tmp_path)))
    assert not panel._save.isHidden()
    with qtbot.waitSignal(panel._reporter.finished, timeout=20_000):
        panel._save.click()
        assert not panel._save.isEnabled()
    assert panel._save.isEnabled()
    path = tmp_path / "chosen.html"
    assert asked == [str(tmp_path / "missing.mmsubtype.html")]
    assert told == [f"Report saved as {path}"]
    assert "Luminal" in Page(path).text


def test_no_report_is_written_where_none_is_chosen(
    panel, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(save_dialog.QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    panel.addSummary(summarize(make_result(tmp_path)))
    panel._save.click()
    assert not panel._reporter.is_running
    assert not list(tmp_path.glob("*.html"))


def test_report_that_cannot_be_written_is_a_notification(
    panel, qtbot, tmp_path: Path, notifications
) -> None:
    panel.addSummary(summarize(make_result(tmp_path)))
    with qtbot.waitSignal(panel._reporter.finished, timeout=20_000):
        panel.saveReport(str(tmp_path / "no" / "r.html"))
    assert len(notifications) == 1
    assert "create it first" in notifications[0]
    assert panel._save.isEnabled()


def test_closed_panel_no_longer_listens(viewer, qtbot, tmp_path: Path) -> None:
    panel = ResultPanel(viewer)
    before = len(viewer.layers.events.inserted.callbacks)
    panel.close()
    panel.deleteLater()
    qtbot.wait(50)
    assert len(viewer.layers.events.inserted.callbacks) < before
