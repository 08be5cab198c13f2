from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from builders.results import make_result
from napari_mmsubtype.plugin import reader
from napari_mmsubtype.plugin.layers import METADATA_KEY
from napari_mmsubtype.plugin.reader import get_reader, is_result
from napari_mmsubtype.slides.registry import SLIDE_SUFFIXES


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been shown as a notification."""
    messages: list[str] = []
    monkeypatch.setattr(
        "napari_mmsubtype.plugin.slide_opening.show_problem",
        lambda text, *_: messages.append(text),
    )
    return messages


@pytest.fixture
def tiff(tmp_path: Path) -> Path:
    path = tmp_path / "region.tif"
    image = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    tifffile.imwrite(path, image, tile=(128, 128), photometric="rgb")
    return path


@pytest.mark.parametrize(
    "path", [None, 3, [], ["a.svs", "b.svs"], "", "nothing.svs", "a\0b.tif", "x" * 5000]
)
def test_get_reader_declines_what_is_not_ours(path: Any) -> None:
    assert get_reader(path) is None


@pytest.mark.parametrize("name", ["notes.txt", "table.csv"])
def test_get_reader_declines_other_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("a,b\n1,2\n")
    assert get_reader(str(path)) is None


def test_get_reader_declines_an_ordinary_folder(tmp_path: Path) -> None:
    assert get_reader(str(tmp_path)) is None


def test_slide_without_pixel_size_opens_in_pixels_with_a_warning(
    tiff: Path, warned: list[str]
) -> None:
    read = get_reader(str(tiff))
    assert read is not None
    ((_, kwargs, kind),) = read(str(tiff))
    assert kind == "image"
    assert kwargs["units"] == ("pixel", "pixel")
    assert "0.25" in warned[0]
    assert "region" in warned[0]


def test_plain_images_are_slides_of_one_level(
    tmp_path: Path, warned: list[str]
) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((60, 80, 3), 200, np.uint8)).save(path)
    read = get_reader(str(path))
    assert read is not None
    ((data, kwargs, _),) = read(str(path))
    assert kwargs["multiscale"] is False
    assert data.shape == (60, 80, 3)


def test_store_opens_as_slide_and_overlays(tmp_path: Path) -> None:
    result = make_result(tmp_path, slide="synthetic:seed=1,size=512x768")
    read = get_reader(str(result.path))
    assert read is not None
    kinds = [x[1]["metadata"][METADATA_KEY]["kind"] for x in read(str(result.path))]
    assert kinds == ["slide", "tissue", "patches", "class", "evidence", "evidence"]


def test_interrupted_store_opens_with_a_warning(
    tmp_path: Path, warned: list[str]
) -> None:
    result = make_result(
        tmp_path, slide="synthetic:seed=1,size=512x768", complete=False
    )
    assert len(reader.read_result(str(result.path))) == 3
    assert "interrupted" in warned[0]


def test_is_result_needs_a_folder_of_that_name(tmp_path: Path) -> None:
    folder = tmp_path / "a.mmsubtype.zarr"
    assert not is_result(folder)
    folder.mkdir()
    assert is_result(folder)
    assert is_result(f"{folder}/")
    assert not is_result(tmp_path)


def test_manifest_offers_every_kind_of_slide(repository: Path) -> None:
    manifest = yaml.safe_load((repository / "napari.yaml").read_text("utf-8"))
    (entry,) = manifest["contributions"]["readers"]
    patterns = entry["filename_patterns"]
    missing = {
        suffix
        for suffix in SLIDE_SUFFIXES
        if not any(fnmatch(f"slide{suffix}", pattern) for pattern in patterns)
    }
    assert missing == set()
    assert any(fnmatch("a.mmsubtype.zarr", pattern) for pattern in patterns)
    assert "*" not in patterns
    assert entry["accepts_directories"] is True


def test_asking_for_a_reader_imports_nothing_heavy(tiff: Path) -> None:
    code = (
        "import sys\n"
        "from napari_mmsubtype.plugin.reader import get_reader\n"
        f"assert get_reader({str(tiff)!r}) is not None\n"
        "heavy = {'torch', 'pandas', 'anndata', 'napari', 'qtpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.gui
def test_viewer_opens_a_slide_through_the_plugin(
    plugin_viewer: Any, tiff: Path
) -> None:
    plugin_viewer.open(str(tiff), plugin="napari-mmsubtype")
    (layer,) = plugin_viewer.layers
    assert layer.name == "region (no pixel size)"
    assert layer.metadata[METADATA_KEY]["kind"] == "slide"


@pytest.mark.gui
def test_dropped_slide_opens_in_microns(
    plugin_viewer: Any, real_data: Path, drop: Any
) -> None:
    drop(plugin_viewer, real_data / "slides" / "CMU-1-Small-Region.svs")
    (layer,) = plugin_viewer.layers
    assert layer.metadata[METADATA_KEY]["kind"] == "slide"
    np.testing.assert_allclose(layer.scale, 0.499, atol=1e-3)
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert layer.rgb


@pytest.mark.gui
def test_dropped_store_opens_with_overlays(
    plugin_viewer: Any, tmp_path: Path, drop: Any
) -> None:
    result = make_result(tmp_path, slide="synthetic:seed=1,size=512x768")
    drop(plugin_viewer, result.path)
    names = [layer.name for layer in plugin_viewer.layers]
    assert names[-1] == "evidence: Luminal"
    assert len(names) == 6
    units = {str(unit) for layer in plugin_viewer.layers for unit in layer.units}
    assert units == {"micrometer"}


def test_warning_offers_to_set_the_size_of_that_slide(
    tiff: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button calls the command by its name, with the path of the slide."""
    from napari.utils.notifications import notification_manager
    from npe2 import PluginManager

    asked: list[tuple[Any, ...]] = []

    class Manager(list[str]):
        class commands:  # noqa: N801 - as npe2 names it
            @staticmethod
            def execute(*words: Any) -> None:
                asked.append(words)

    known = Manager(["napari-mmsubtype"])
    monkeypatch.setattr(PluginManager, "instance", lambda: known)
    reader.read_slide(str(tiff))
    assert notification_manager.records[-1].source == "napari-mmsubtype"
    ((text, press),) = notification_manager.records[-1].actions
    assert text == "Set pixel size…"
    press("the notification itself")
    assert asked == [(reader.PIXEL_SIZE_COMMAND, (str(tiff),))]
    known.clear()
    reader.read_slide(str(tiff))
    assert not notification_manager.records[-1].actions


@pytest.mark.gui
def test_warning_opens_the_dialog_and_the_panel_follows(
    plugin_viewer: Any, real_data: Path
) -> None:
    from napari._qt.dialogs.qt_notification import NapariQtNotification
    from napari.utils.notifications import notification_manager
    from qtpy.QtWidgets import QPushButton

    from napari_mmsubtype.widgets.analyze_panel import AnalyzePanel
    from napari_mmsubtype.widgets.pixel_size_dialog import PixelSizeDialog

    plugin_viewer.window._qt_window.show()
    panel = AnalyzePanel(plugin_viewer)
    plugin_viewer.window.add_dock_widget(panel)
    path = str(real_data / "slides" / "TCGA-CR-7395-01A-01-TS1.svs")
    shown = NapariQtNotification.show_notification
    notification_manager.notification_ready.connect(shown)
    try:
        plugin_viewer.open(path, plugin="napari-mmsubtype")
    finally:
        notification_manager.notification_ready.disconnect(shown)
    (layer,) = plugin_viewer.layers
    assert layer.name.endswith("(no pixel size)")
    assert panel.form.slide.problem()
    (notice,) = NapariQtNotification._instances
    assert notice.source_label.text() == "Source: napari-mmsubtype"
    button = next(
        b for b in notice.findChildren(QPushButton) if "pixel size" in b.text()
    )
    button.click()
    notice.close()
    window = plugin_viewer.window._qt_window
    (dialog,) = window.findChildren(PixelSizeDialog)
    assert dialog.isVisible()
    dialog._spin.setValue(0.5)
    dialog.accept()
    np.testing.assert_allclose(layer.scale, 0.5)
    assert layer.name == "TCGA-CR-7395-01A-01-TS1"
    assert panel.value().mpp == 0.5
    assert panel.form.slide.problem() == ""
