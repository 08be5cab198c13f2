import numpy as np
import pytest
from PIL import Image

from builders.results import MPP, make_result
from builders.stores import begin_store, complete_store
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results.picture import draw_result, write_picture
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.slides.registry import open_slide

SHAPE = (512, 640)
SLIDE = "synthetic:seed=1,size=512x640"


def test_the_picture_shows_classes_and_evidence(tmp_path):
    result = complete_store(tmp_path, slide=SLIDE, shape=SHAPE)
    with open_slide(SLIDE) as slide:
        path = write_picture(result, slide, tmp_path / "p.png")
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert picture.shape[1] > 1000
    red, _green, blue = np.moveaxis(picture, -1, 0)
    assert (blue - red > 80).mean() > 0.01  # Luminal blue
    assert (red - blue > 80).mean() > 0.01  # Basal/HER2 vermilion


def test_without_its_slide_the_maps_lie_on_the_tissue(tmp_path):
    result = complete_store(tmp_path, slide=SLIDE, shape=SHAPE)
    figure = draw_result(result, None)
    titles = [axis.get_title() for axis in figure.axes[:3]]
    assert titles[0] == "Tissue (the slide could not be read)"
    shown = figure.axes[0].images[0].get_array()
    mask, _ = result.tissue
    assert shown.shape == (*mask.shape, 3)
    assert ((shown[..., 0] < 255) == mask).all()
    with open_slide(SLIDE) as slide:
        assert draw_result(result, slide).axes[0].get_title() == "Slide"


@pytest.mark.parametrize("stride_px", [128, 64, 48])
def test_a_cell_of_the_classes_lies_about_the_center_of_its_patch(tmp_path, stride_px):
    result = make_result(tmp_path, stride_px=stride_px)
    drawn = draw_result(result, None).axes[1].images[1]
    left, right, bottom, top = drawn.get_extent()
    rows, cols = drawn.get_array().shape
    grid = result.grid
    for index in (0, len(grid) - 1):
        row, col = grid.cell[index]
        found_mm = (
            top + (row + 0.5) * (bottom - top) / rows,
            left + (col + 0.5) * (right - left) / cols,
        )
        center_px = grid.origin[index] + np.asarray(grid.extent) / 2
        np.testing.assert_allclose(found_mm, center_px * MPP / 1e3, atol=1e-9)
    # The step between two patches, so that no cell lies over another.
    assert (right - left) / cols == pytest.approx(stride_px * MPP / 1e3)


def test_without_evidence_no_class_is_drawn_and_none_is_told(tmp_path):
    told = draw_result(make_result(tmp_path / "a"), None).axes[1]
    assert told.get_title() == "Class with most evidence, patch by patch"
    axis = draw_result(make_result(tmp_path / "b", says_nothing=True), None).axes[1]
    assert axis.get_title() == "No patch has evidence for a class"
    assert axis.images[1].get_array().mask.all()


def test_the_calls_are_named_as_people_write_them(tmp_path):
    figure = draw_result(make_result(tmp_path), None)
    names = [label.get_text() for label in figure.axes[3].get_yticklabels()]
    assert names[:3] == ["all data", "without image", "without RNA"]
    assert "from image + RNA + clinical" in figure.get_suptitle()


def test_names_with_dollars_are_no_formulas(tmp_path):
    result = make_result(tmp_path)
    name = r"$\frac$"
    result._body["slide"]["name"] = name
    result._body["classes"][0]["name"] = name
    result._body["prediction"]["classes"][0] = name
    figure = draw_result(result, None)
    figure.canvas.draw()
    assert r"\$\frac\$: \$\frac\$ (80.0%)" in figure.get_suptitle()


def test_a_page_may_title_the_picture_itself(tmp_path):
    demo = draw_result(make_result(tmp_path, slide="a.svs"), None, is_titled=False)
    assert demo.get_suptitle().startswith("model of synthetic tissue only")
    real = make_result(tmp_path, slide="b.svs", synthetic=False)
    assert draw_result(real, None, is_titled=False).get_suptitle() == ""
    assert draw_result(real, None).get_suptitle().startswith("b: Luminal (80.0%)")


def test_an_interrupted_analysis_is_not_drawn(tmp_path):
    result = open_result(begin_store(tmp_path).path)
    with open_slide(SLIDE) as slide, pytest.raises(StoreError, match="resume"):
        write_picture(result, slide, tmp_path / "p.png")
    assert not (tmp_path / "p.png").exists()
