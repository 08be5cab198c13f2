import numpy as np
import pytest
from PIL import Image

from builders.results import make_result
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
