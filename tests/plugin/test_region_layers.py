from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Layer, Shapes

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.plugin.layers import METADATA_KEY
from napari_mmsubtype.plugin.region_layers import (
    ANALYZE,
    EXCLUDE,
    drawn_shapes,
    region_layer,
    set_drawn_class,
)
from napari_mmsubtype.slides.regions import Region, draw_region

SIZE = (100, 200)
SQUARE = [(10, 20), (10, 60), (50, 60), (50, 20)]


def slide_layer(scale: tuple[float, float] = (0.5, 0.25), unit: str = "um") -> Layer:
    facts = {"kind": "slide", "path": "/s/a.svs"}
    return Image(
        np.zeros((*SIZE, 3), np.uint8),
        rgb=True,
        scale=scale,
        units=(unit, unit),
        metadata={METADATA_KEY: facts},
    )


@pytest.fixture
def slide() -> Layer:
    return slide_layer()


def regions_of(layer: Any, slide: Layer) -> tuple[Region, ...]:
    return drawn_shapes(layer, slide).to_regions()


def test_regions_with_holes_come_back_from_a_layer(slide) -> None:
    holes = ([(15, 25), (15, 35), (25, 35)], [(30, 40), (30, 55), (45, 50)])
    given = [Region(SQUARE, holes, "Tumor"), Region([(60, 0), (60, 9), (99, 9)])]
    layer = Layer.create(*region_layer(slide, given))
    back = regions_of(layer, slide)
    assert [region.name for region in back] == ["Tumor", ANALYZE]
    for one, other in zip(given, back, strict=True):
        assert len(one.holes) == len(other.holes)
        for ring, again in zip(one.rings, other.rings, strict=True):
            np.testing.assert_allclose(again, ring, atol=1e-3)
        drawn = draw_region(other, SIZE, SIZE)
        np.testing.assert_array_equal(drawn, draw_region(one, SIZE, SIZE))


def test_layer_lies_on_the_slide_and_shows_what_is_excluded(slide) -> None:
    regions = [Region(SQUARE, name=n) for n in ("Tumor", "Ignore*", "", "exclude")]
    layer = Layer.create(*region_layer(slide, regions))
    np.testing.assert_allclose(layer.scale, slide.scale)
    assert layer.units == slide.units
    tumor, ignored, plain, excluded = layer.edge_color.tolist()
    assert tumor == plain
    assert ignored == excluded
    assert tumor != ignored
    assert layer.metadata[METADATA_KEY]["path"] == "/s/a.svs"


def test_what_is_drawn_next_has_the_class_that_was_chosen(slide) -> None:
    layer = Layer.create(*region_layer(slide))
    layer.add_polygons([SQUARE])
    set_drawn_class(layer, EXCLUDE)
    layer.add_rectangles([[(0, 0), (9, 9)]])
    set_drawn_class(layer, ANALYZE)
    layer.add_ellipses([[(0, 0), (0, 9), (9, 9), (9, 0)]])
    assert list(layer.features["class"]) == [ANALYZE, EXCLUDE, ANALYZE]
    assert [r.is_excluded for r in regions_of(layer, slide)] == [False, True, False]
    first, second, third = layer.edge_color.tolist()
    assert first == third != second


def test_selected_shapes_change_their_class(slide) -> None:
    layer = Layer.create(*region_layer(slide, [Region(SQUARE), Region(SQUARE)]))
    layer.mode = "select"
    layer.selected_data = {1}
    set_drawn_class(layer, EXCLUDE)
    assert list(layer.features["class"]) == [ANALYZE, EXCLUDE]
    first, second = layer.edge_color.tolist()
    assert first != second


def test_shape_drawn_last_keeps_its_class(slide) -> None:
    """It stays selected while its successor is drawn."""
    layer = Layer.create(*region_layer(slide))
    layer.mode = "add_polygon"
    layer.add_polygons([SQUARE])
    layer.selected_data = {0}
    set_drawn_class(layer, EXCLUDE)
    layer.add_polygons([SQUARE])
    assert list(layer.features["class"]) == [ANALYZE, EXCLUDE]
    first, second = layer.edge_color.tolist()
    assert first != second


def test_any_layer_of_shapes_gets_classes(slide) -> None:
    layer = Shapes([SQUARE], shape_type="polygon")
    set_drawn_class(layer, EXCLUDE)
    layer.add_polygons([SQUARE])
    assert [r.is_excluded for r in regions_of(layer, slide)] == [False, True]


def test_classes_of_other_programs_are_understood(slide) -> None:
    table = pd.DataFrame({"classification": ["Ignore*", None]})
    layer = Shapes([SQUARE, SQUARE], shape_type="polygon", features=table)
    assert [r.name for r in regions_of(layer, slide)] == ["Ignore*", ""]


def test_rectangles_and_ellipses_cover_their_area(slide) -> None:
    box = np.array([(20, 20), (20, 80), (60, 80), (60, 20)], float)
    layer = Layer.create(*region_layer(slide))
    layer.add_rectangles([box - 0.5])
    layer.add_ellipses([box - 0.5])
    rectangle, ellipse = (draw_region(r, SIZE, SIZE) for r in regions_of(layer, slide))
    assert rectangle.sum() == 40 * 60
    assert ellipse.sum() == pytest.approx(np.pi * 20 * 30, rel=0.01)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    inside = ((y - 40) / 20) ** 2 + ((x - 50) / 30) ** 2 <= 1
    assert (inside != ellipse).mean() < 0.002


def test_turned_ellipses_stay_turned(slide) -> None:
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    box = np.array([(-10, -30), (-10, 30), (10, 30), (10, -30)], float) @ turn + 50
    layer = Layer.create(*region_layer(slide))
    layer.add_ellipses([box])
    outline = regions_of(layer, slide)[0].outline - 50.5
    back = outline @ turn.T
    np.testing.assert_allclose((back / (10, 30)) ** 2 @ (1, 1), 1, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.1, 20),
    st.floats(-500, 500),
    st.floats(-180, 180),
    st.sampled_from(["um", "mm", "nm"]),
)
def test_layers_are_taken_as_they_are_seen(scale, shift, angle, unit) -> None:
    """A shape lies on the tissue under it, wherever and in whatever unit its layer."""
    slide = slide_layer()
    per_um = {"um": 1.0, "mm": 1e-3, "nm": 1e3}[unit]
    layer = Shapes(
        [np.array(SQUARE, float)],
        shape_type="polygon",
        scale=(scale, scale * 1.5),
        translate=(shift, -shift),
        rotate=angle,
        affine=[[1, 0.2, 3], [0, 1, -2], [0, 0, 1]],
        units=(unit, unit),
    )
    (region,) = regions_of(layer, slide)
    for corner, there in zip(layer.data[0], region.outline, strict=True):
        seen = np.array(layer.data_to_world(corner)) / per_um
        expected = np.array(slide.world_to_data(seen)) + 0.5
        np.testing.assert_allclose(there, expected, rtol=1e-4, atol=1e-3)


def test_pixels_and_microns_meet_one_to_one(slide) -> None:
    (region,) = regions_of(Shapes([SQUARE], shape_type="polygon"), slide)
    assert region.outline.max() == pytest.approx(60 / 0.25 + 0.5)


def test_what_encloses_nothing_is_refused_by_its_name(slide) -> None:
    layer = Shapes([SQUARE], shape_type="polygon", name="mine")
    layer.add_lines([[(0, 0), (9, 9)]])
    layer.add_paths([[(0, 0), (9, 9), (20, 3)]])
    match = r"'mine': shapes of the kind line and path enclose no area \(2 found\)"
    with pytest.raises(ConfigurationError, match=match):
        regions_of(layer, slide)


def test_empty_and_degenerate_layers_are_refused(slide) -> None:
    empty = Layer.create(*region_layer(slide, name="mine"))
    with pytest.raises(
        ConfigurationError, match="no regions are drawn in layer 'mine'"
    ):
        regions_of(empty, slide)
    flat = Shapes([[(0, 0), (0, 0), (5, 5)]], shape_type="polygon", name="mine")
    with pytest.raises(
        ConfigurationError, match=r"shape 1 of layer 'mine'.*3 different"
    ):
        regions_of(flat, slide)


def test_layers_of_more_axes_are_refused(slide) -> None:
    layer = Shapes([[(0, *corner) for corner in SQUARE]], shape_type="polygon")
    with pytest.raises(ConfigurationError, match="has 3 axes"):
        drawn_shapes(layer, slide)


def test_later_strokes_change_nothing_that_was_taken_down(slide) -> None:
    layer = Layer.create(*region_layer(slide, [Region(SQUARE)]))
    drawn = drawn_shapes(layer, slide)
    layer.add_polygons([SQUARE])
    assert len(drawn.to_regions()) == 1


def test_polygons_that_touch_themselves_stay_whole(slide) -> None:
    bow = [(0, 0), (0, 10), (5, 5), (0, 0), (10, 0), (10, 10)]
    layer = Layer.create(*region_layer(slide))
    layer.add_polygons([bow])
    (region,) = regions_of(layer, slide)
    assert region.holes == ()
    assert len(region.outline) == 6
