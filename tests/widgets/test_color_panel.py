from __future__ import annotations

import gc
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from builders.profiles import matrix_profile
from builders.slides import write_pyramid_tiff
from builders.stains import DAB, HEMATOXYLIN, stained_tissue
from napari_mmsubtype.plugin import color_view
from napari_mmsubtype.plugin.color_view import PREVIEW_KIND
from napari_mmsubtype.plugin.layers import METADATA_KEY, slide_layers
from napari_mmsubtype.slides.color import ColorTransform
from napari_mmsubtype.slides.registry import open_quietly, open_slide
from napari_mmsubtype.slides.stain import StainNormalizer
from napari_mmsubtype.widgets import color_panel
from napari_mmsubtype.widgets.color_panel import ColorPanel

PROFILE = matrix_profile(gamma=1.8, words="ScanScope v1")


@pytest.fixture(scope="module")
def image() -> Any:
    with open_slide("synthetic:seed=3,size=1024") as slide:
        return slide.read_region(0, 0, 0, 1024, 1024)


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def panel(qtbot: Any, viewer: ViewerModel) -> Any:
    panel = ColorPanel(viewer)
    qtbot.addWidget(panel)
    yield panel
    qtbot.waitUntil(lambda: not panel.runner.is_running, timeout=20_000)


@pytest.fixture
def add(tmp_path: Path, viewer: ViewerModel, image: Any) -> Any:
    def add(name: str = "a", pixels: Any = None, profile: Any = PROFILE) -> Any:
        path = tmp_path / f"{name}.tif"
        pixels = image if pixels is None else pixels
        write_pyramid_tiff(path, pixels, compression="lzw", iccprofile=profile)
        ((data, kwargs, _),) = slide_layers(open_quietly(path, icc=True))
        return viewer.add_layer(Image(data, **kwargs))

    return add


@pytest.fixture
def click(qtbot: Any, panel: Any) -> Any:
    def click(button: Any) -> None:
        button.click()
        qtbot.waitUntil(lambda: not panel.runner.is_running, timeout=20_000)

    return click


def kinds(viewer: Any) -> list[str]:
    return [layer.metadata.get(METADATA_KEY, {}).get("kind") for layer in viewer.layers]


def pixels_of(layer: Any) -> Any:
    return np.asarray(layer.data[0])


def test_nothing_can_be_done_without_a_slide(panel) -> None:
    assert panel.slide() is None
    assert not panel.previewButton.isEnabled()
    assert not panel.profile.isEnabled()
    assert "Open a slide" in panel.state.text()
    panel.showPreview()
    assert not panel.runner.is_running


def test_slides_of_the_viewer_are_offered(panel, viewer, add) -> None:
    viewer.add_layer(Image(np.zeros((4, 4))))
    assert panel.slide() is None
    first, second = add("a"), add("b")
    assert panel.slides.count() == 2
    viewer.layers.selection.active = first
    assert panel.slide() is first
    first.name = "renamed"
    assert panel.slides.currentText() == "renamed"
    viewer.layers.remove(first)
    assert panel.slide() is second
    viewer.layers.clear()
    assert panel.slide() is None


def test_the_profile_is_switched_in_place(
    panel, viewer, add, click, image, qtbot
) -> None:
    add("below")
    layer = add("a")
    add("above")
    viewer.layers.selection.active = layer
    layer.scale, layer.opacity = (0.7, 0.7), 0.5
    expected = ColorTransform(PROFILE).apply(image)
    assert panel.profile.isEnabled()
    assert panel.profile.isChecked()
    assert panel.profileName.text() == "ScanScope v1 (ACME)"
    assert (pixels_of(layer) == expected).all()
    for state, pixels in (("off", image), ("applied", expected)):
        click(panel.profile)
        assert layer.metadata[METADATA_KEY]["icc"] == state
        assert panel.profile.isChecked() == (state == "applied")
        assert (pixels_of(layer) == pixels).all()
    assert viewer.layers.index(layer) == 1
    assert tuple(layer.scale) == (0.7, 0.7)
    assert layer.opacity == 0.5
    assert panel.slide() is layer


@pytest.mark.parametrize(
    ("profile", "says"), [(None, "has no color profile"), (b"broken" * 30, "cannot be")]
)
def test_there_is_no_switch_without_a_profile(panel, add, profile, says) -> None:
    add("a", profile=profile)
    assert not panel.profile.isEnabled()
    assert not panel.profile.isChecked()
    assert says in panel.profileName.text()


@pytest.mark.parametrize("method", ["macenko", "reinhard", "vahadane"])
def test_a_preview_lies_directly_above_its_slide(
    panel, viewer, add, click, image, method
) -> None:
    layer = add("a", profile=None)
    add("above")
    viewer.layers.selection.active = layer
    panel.method.setCurrentIndex(panel.method.findData(method))
    click(panel.previewButton)
    assert kinds(viewer) == ["slide", PREVIEW_KIND, "slide"]
    preview = viewer.layers[1]
    assert panel.preview() is preview
    assert viewer.layers.selection.active is layer
    fit = StainNormalizer.from_dict(preview.metadata[METADATA_KEY]["stain"])
    assert fit.method == method
    assert (pixels_of(preview) == fit.transform(image)).all()
    np.testing.assert_allclose(preview.scale, layer.scale)
    assert preview.units == layer.units
    assert preview.multiscale
    assert panel.swatches.texts()[2].endswith("°")
    assert panel.fitted.note() == ""


def test_another_method_replaces_the_preview(panel, viewer, add, click, qtbot) -> None:
    add("a")
    click(panel.previewButton)
    first = panel.preview()
    before = pixels_of(first)
    panel.method.setCurrentIndex(panel.method.findData("reinhard"))
    qtbot.waitUntil(lambda: not panel.runner.is_running, timeout=20_000)
    assert kinds(viewer) == ["slide", PREVIEW_KIND]
    assert "Reinhard" in panel.preview().name
    assert (pixels_of(panel.preview()) != before).any()


def test_the_preview_follows_its_slide(panel, viewer, add, click) -> None:
    layer = add("a")
    click(panel.previewButton)
    layer.scale, layer.translate = (0.3, 0.3), (5, 6)
    np.testing.assert_allclose(panel.preview().scale, (0.3, 0.3))
    np.testing.assert_allclose(panel.preview().translate, (5, 6))


def test_the_preview_is_fitted_anew_to_other_colors(
    panel, viewer, add, click, image, qtbot
) -> None:
    add("a")
    click(panel.previewButton)
    before = panel.preview().metadata[METADATA_KEY]["stain"]
    panel.profile.click()
    qtbot.waitUntil(
        lambda: (
            not panel.runner.is_running
            and panel.preview().metadata[METADATA_KEY]["stain"] != before
        ),
        timeout=20_000,
    )
    fit = StainNormalizer.from_dict(panel.preview().metadata[METADATA_KEY]["stain"])
    assert (pixels_of(panel.preview()) == fit.transform(image)).all()


def test_previews_are_removed(panel, viewer, add, click, qtbot) -> None:
    layer = add("a")
    assert not panel.removeButton.isEnabled()
    click(panel.previewButton)
    click(panel.removeButton)
    assert kinds(viewer) == ["slide"]
    assert panel.preview() is None
    click(panel.previewButton)
    viewer.layers.remove(panel.preview())
    assert panel.preview() is None
    click(panel.previewButton)
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: kinds(viewer) == [], timeout=5_000)


def test_a_removed_preview_lets_go_of_its_file(
    panel, viewer, add, click, monkeypatch
) -> None:
    opened = []
    real = color_view.recolor

    def recolor(*args: Any, **given: Any) -> Any:
        slide = real(*args, **given)
        opened.append(weakref.ref(slide))
        return slide

    monkeypatch.setattr(color_view, "recolor", recolor)
    add("a")
    click(panel.previewButton)
    gc.collect()
    assert opened[0]() is not None
    click(panel.removeButton)
    gc.collect()
    assert opened[0]() is None


@pytest.mark.parametrize("way", ["clear", "selected"])
def test_slide_and_preview_go_together(panel, viewer, add, click, qtbot, way) -> None:
    add("a")
    click(panel.previewButton)
    if way == "clear":
        viewer.layers.clear()
    else:
        viewer.layers.select_all()
        viewer.layers.remove_selected()
    qtbot.wait(20)
    assert kinds(viewer) == []
    assert panel.slide() is None


def test_a_fit_that_fails_is_one_clear_sentence(panel, viewer, add, click) -> None:
    brown = stained_tissue(512 * 512, stains=(HEMATOXYLIN, DAB))[2]
    add("a", pixels=brown.reshape(512, 512, 3), profile=None)
    click(panel.previewButton)
    assert kinds(viewer) == ["slide"]
    assert panel.fitted.note() == (
        "The stain cannot be normalized: the tissue is not stained with hematoxylin "
        "and eosin: it holds a brown or red dye; colors stay as they are."
    )
    assert not panel.removeButton.isEnabled()
    add("b")
    click(panel.previewButton)
    assert panel.fitted.note() == ""


def test_wishes_during_work_are_kept_and_the_last_counts(
    panel, viewer, add, qtbot
) -> None:
    layer = add("a")
    panel.previewButton.click()
    assert panel.runner.is_running
    assert panel.state.text() == "Working…"
    for method in ("vahadane", "reinhard"):
        panel.method.setCurrentIndex(panel.method.findData(method))
        panel.showPreview()
    qtbot.waitUntil(
        lambda: (
            not panel.runner.is_running
            and panel.preview() is not None
            and "Reinhard" in panel.preview().name
        ),
        timeout=20_000,
    )
    assert kinds(viewer) == ["slide", PREVIEW_KIND]
    assert panel.slide() is layer


def test_a_slide_that_goes_during_work_takes_its_preview_along(
    panel, viewer, add, qtbot
) -> None:
    layer = add("a")
    panel.previewButton.click()
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not panel.runner.is_running, timeout=20_000)
    assert kinds(viewer) == []


def test_a_file_that_is_gone_is_a_notification(
    panel, viewer, add, click, tmp_path, notifications
) -> None:
    layer = add("a")
    (tmp_path / "a.tif").unlink()
    click(panel.profile)
    assert "no file or folder" in notifications[0]
    assert layer.metadata[METADATA_KEY]["icc"] == "applied"
    assert panel.profile.isChecked()


def test_the_window_is_not_stopped(panel, viewer, add, qtbot, monkeypatch) -> None:
    """Fitting, opening and reading happen elsewhere, however long they take."""
    real = color_panel.preview_job

    def slow(*args: Any) -> Any:
        time.sleep(0.3)
        return real(*args)

    monkeypatch.setattr(color_panel, "preview_job", slow)
    add("a")
    start = time.perf_counter()
    panel.previewButton.click()
    assert time.perf_counter() - start < 0.25
    qtbot.waitUntil(lambda: panel.preview() is not None, timeout=20_000)


def test_a_closed_panel_lets_go_of_the_viewer(qtbot, viewer, add) -> None:
    layer = add("a")
    panel = ColorPanel(viewer)
    qtbot.addWidget(panel)
    panel.close()
    panel.deleteLater()
    qtbot.wait(20)
    gc.collect()
    layer.name = "other"
    add("b")


@pytest.mark.gui
def test_the_panel_works_in_a_window(
    plugin_viewer: Any, real_data: Path, qtbot: Any
) -> None:
    _, panel = plugin_viewer.window.add_plugin_dock_widget("napari-mmsubtype", "Colors")
    path = real_data / "slides" / "CMU-1-Small-Region.svs"
    plugin_viewer.open(str(path), plugin="napari-mmsubtype")
    panel.previewButton.click()
    qtbot.waitUntil(lambda: panel.preview() is not None, timeout=30_000)
    assert kinds(plugin_viewer) == ["slide", PREVIEW_KIND]
    panel.removeButton.click()
    assert kinds(plugin_viewer) == ["slide"]
    qtbot.waitUntil(lambda: not panel.runner.is_running, timeout=30_000)
