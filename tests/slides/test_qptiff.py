import numpy as np
import pytest
import tifffile

from builders.slides import draw_scene, write_pyramid_tiff, write_qptiff
from napari_mmsubtype.core.units import MppSource
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.qptiff import page_fields
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene(300, 420)


def test_pages_are_levels_and_further_images_by_their_description(tmp_path):
    made = write_qptiff(tmp_path / "a.qptiff", IMAGE, levels=3)
    with open_slide(tmp_path / "a.qptiff") as slide:
        assert slide.vendor == "perkinelmer"
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 4.0]
        for index, level in enumerate(made):
            height, width = level.shape[:2]
            assert (slide.read_region(index, 0, 0, height, width) == level).all()
        assert list(slide.associated) == ["thumbnail", "macro"]
        assert (slide.read_associated("macro") == 100).all()
        assert (slide.read_associated("label") == 110).all()
        told = slide.info()["identifiers"]
    assert told == [
        "macro image",
        "label image",
        "perkinelmer.SlideID",
    ]


def test_the_objective_serves_where_the_tags_do_not(tmp_path):
    write_qptiff(tmp_path / "a.qptiff", IMAGE, mpp=None, objective="40x")
    with open_slide(tmp_path / "a.qptiff") as slide:
        assert slide.pixel_size.mean == 0.25
        assert slide.mpp_source is MppSource.OBJECTIVE


@pytest.mark.parametrize(
    ("image", "full"), [(IMAGE[:, :, :1], 4), (IMAGE[:, :, :1], 1), (IMAGE, 2)]
)
def test_fluorescence_is_refused_for_good(tmp_path, image, full):
    write_qptiff(tmp_path / "a.qptiff", image, full=full)
    with pytest.raises(SlideOpenError, match=f"QPTIFF of {full} full-resolution"):
        open_slide(tmp_path / "a.qptiff")


def test_a_level_of_another_shape_is_refused_with_a_reason(tmp_path):
    path = tmp_path / "a.qptiff"
    write_qptiff(path, IMAGE, reduced=[IMAGE[:150, :120]])
    with pytest.raises(SlideOpenError, match=r"level 1 is 150 x 120 px.*300 x 420 px"):
        open_slide(path)


def test_levels_in_any_order_are_sorted(tmp_path):
    path = tmp_path / "a.qptiff"
    made = write_qptiff(path, IMAGE, reduced=[IMAGE[::4, ::4], IMAGE[::2, ::2]])
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 4.0]
        assert (slide.read_region(2, 0, 0, 75, 105) == made[1]).all()


def test_a_description_that_is_no_xml_has_no_fields(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE, description="plain words")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert page_fields(tif.pages[0]) == {}


def test_only_the_fields_of_the_page_itself_are_read(tmp_path):
    text = "<a><Name>x</Name><Empty/><Deep><Name>y</Name></Deep></a>"
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8)), description=text)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert page_fields(tif.pages[0]) == {"Name": "x"}
