import importlib.util
import json
import sys
from types import SimpleNamespace

import pytest

from builders.stores import complete_store
from fakes.jobs import FakeJob
from napari_mmsubtype.cli import demo as demo_module
from napari_mmsubtype.cli.main import DONE, main
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows import demo


@pytest.fixture
def outcome(tmp_path, monkeypatch):
    complete_store(tmp_path)
    made = SimpleNamespace(
        result=open_result(tmp_path / "slide.mmsubtype.zarr"),
        picture=tmp_path / "slide.png",
        truth="Luminal",
    )

    def job(_out, **_options):
        return FakeJob(made)()

    monkeypatch.setattr(demo, "demo_job", job)
    return made


@pytest.fixture
def windows(monkeypatch):
    """Collect the stores that a window would have shown."""
    shown = []
    monkeypatch.setattr(demo_module, "show_in_napari", shown.append)
    return shown


@pytest.fixture
def _linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def test_headless_prints_call_and_paths_and_opens_nothing(outcome, windows, capsys):
    assert main(["demo", "--headless"]) == DONE
    shown = capsys.readouterr().out
    assert outcome.result.prediction.label in shown
    assert str(outcome.result.path) in shown
    assert str(outcome.picture) in shown
    assert windows == []


@pytest.mark.usefixtures("_linux")
def test_without_a_display_it_says_so(outcome, windows, capsys):
    assert main(["demo"]) == DONE
    assert "No display" in capsys.readouterr().err
    assert windows == []


@pytest.mark.usefixtures("_linux")
def test_with_a_display_the_store_is_shown(outcome, windows, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    assert main(["demo"]) == DONE
    assert windows == [outcome.result.path]


@pytest.mark.usefixtures("_linux")
def test_without_napari_it_says_what_to_install(outcome, windows, monkeypatch, capsys):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert main(["demo"]) == DONE
    assert 'pip install "napari-mmsubtype[gui]"' in capsys.readouterr().err
    assert windows == []


def test_json_holds_picture_and_truth(outcome, windows, capsys):
    assert main(["demo", "--json"]) == DONE
    record = json.loads(capsys.readouterr().out)
    assert record["picture"] == str(outcome.picture)
    assert record["truth"] == "Luminal"
    assert windows == []


@pytest.mark.gui
def test_window_shows_overlays_and_panels(plugin_viewer, monkeypatch, tmp_path, qtbot):
    import napari

    viewer = plugin_viewer
    monkeypatch.setattr(napari, "Viewer", lambda **_options: viewer)
    monkeypatch.setattr(napari, "run", lambda: None)
    complete_store(tmp_path, slide="synthetic:seed=1,size=256x320")
    demo_module.show_in_napari(tmp_path / "slide.mmsubtype.zarr")
    names = [layer.name for layer in viewer.layers]
    assert any(name.startswith("class") for name in names)
    assert any(name.startswith("evidence") for name in names)
    docked = viewer.window.dock_widgets
    assert any("Result" in name for name in docked)
    panel = next(widget for name, widget in docked.items() if "Result" in name)
    qtbot.waitUntil(lambda: panel.summary() is not None, timeout=10_000)
