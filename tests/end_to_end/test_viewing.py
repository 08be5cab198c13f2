"""A slide in a real napari window: the pixels on the canvas are those of the slide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.slides import break_tile, write_svs
from napari_mmsubtype.plugin.layers import slide_layers
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.slide import Slide

pytestmark = pytest.mark.gui

SIDE = 3072
TILE = 256


def draw_squares() -> np.ndarray:
    """A square of its own color for every tile, so that each place is known."""
    rows, cols = np.mgrid[0:SIDE, 0:SIDE] // TILE
    image = np.stack([40 + 15 * rows, 40 + 15 * cols, 90 + 0 * rows], axis=2)
    return image.astype(np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_svs(tmp_path / "squares.svs", draw_squares(), tile=TILE, levels=2)
    return tmp_path / "squares.svs"


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def slicing(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Let napari read slices in the window's thread, or in one of its own."""
    from napari.settings import get_settings

    settings = get_settings().experimental
    before = settings.async_
    settings.async_ = request.param
    yield request.param
    settings.async_ = before


@pytest.fixture
def show(make_napari_viewer: Any, qtbot: Any) -> Callable[[Slide], Any]:
    """Open a window on a slide and give its viewer and layer."""

    def show(slide: Slide) -> tuple[Any, Any]:
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(900, 700)
        ((data, kwargs, _),) = slide_layers(slide)
        layer = viewer.add_image(data, **kwargs)
        return viewer, layer

    return show


def look_at(viewer: Any, layer: Any, qtbot: Any, y: float, x: float, zoom: float):
    """Move the camera to a place in level-0 pixels and wait for what is there."""
    mpp = float(layer.scale[0])
    camera = getattr(viewer, "scene", viewer).camera  # moved in napari 0.9
    camera.center = (0, y * mpp, x * mpp)
    camera.zoom = zoom / mpp

    def has_arrived() -> None:
        assert layer.loaded
        top, left = layer.corner_pixels[0] * layer.downsample_factors[layer.data_level]
        assert top <= y
        assert left <= x
        assert middle(viewer) is not None

    qtbot.waitUntil(has_arrived, timeout=20_000)
    qtbot.wait(50)
    qtbot.waitUntil(has_arrived, timeout=20_000)


def middle(viewer: Any) -> np.ndarray:
    """Give the color in the middle of the canvas."""
    picture = viewer.screenshot(canvas_only=True, flash=False)
    y, x = (side // 2 for side in picture.shape[:2])
    return np.median(picture[y - 3 : y + 4, x - 3 : x + 4, :3], axis=(0, 1))


def expect_color(viewer: Any, qtbot: Any, color: Any) -> None:
    def shows() -> None:
        assert np.abs(middle(viewer) - color).max() <= 6

    qtbot.waitUntil(shows, timeout=20_000)


def test_panning_and_zooming_shows_the_pixels_of_the_slide(
    show: Any, slicing: bool, qtbot: Any, path: Path
) -> None:
    image = draw_squares()
    with open_slide(path, icc=True) as slide:
        viewer, layer = show(slide)
        levels = set()
        for y, x, zoom in [
            (640, 900, 1.0),
            (640, 2180, 1.0),
            (2700, 2180, 1.0),
            (2700, 300, 0.2),
            (1400, 1400, 2.0),
        ]:
            look_at(viewer, layer, qtbot, y, x, zoom)
            expect_color(viewer, qtbot, image[y, x])
            # What napari holds is the slide itself, wherever it looks.
            (top, left), (bottom, right) = layer.corner_pixels[:, :2]
            held = np.asarray(layer._slice.image.raw)
            level = layer.data_level
            size = (bottom - top + 1, right - left + 1)
            assert (held == slide.read_region(level, top, left, *size)).all()
            levels.add(level)
        assert len(levels) == 2
        assert slide.unreadable_tiles == ()
        viewer.layers.clear()


def test_a_damaged_tile_is_a_white_patch_in_a_window_that_goes_on(
    show: Any, slicing: bool, qtbot: Any, path: Path
) -> None:
    from napari.utils.notifications import notification_manager

    image = draw_squares()
    break_tile(path, 0, 12 * 5 + 5)
    with open_slide(path, icc=True) as slide:
        viewer, layer = show(slide)
        notification_manager.records.clear()
        bad = 5 * TILE + TILE // 2
        look_at(viewer, layer, qtbot, bad, bad, 1.0)
        expect_color(viewer, qtbot, (255, 255, 255))
        look_at(viewer, layer, qtbot, bad, bad + TILE, 1.0)
        expect_color(viewer, qtbot, image[bad, bad + TILE])
        assert slide.unreadable_tiles == ((0, 5, 5),)
        assert [str(record) for record in notification_manager.records] == []
        viewer.layers.clear()
