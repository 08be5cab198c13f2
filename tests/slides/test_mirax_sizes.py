import re

import pytest

from builders.slides import draw_scene, write_svs
from builders.slides_mirax import write_mrxs
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.mirax_sizes import check_mirax
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene(200, 300)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (
            "DIGITIZER_WIDTH",
            635877528,
            "DIGITIZER_WIDTH is 635,877,528, at most 16,384",
        ),
        ("DIGITIZER_HEIGHT", "9" * 300, "DIGITIZER_HEIGHT is 99,999"),
        ("CameraImageDivisionsPerSide", 6, "PerSide is 6, at most 2, the images"),
    ],
)
def test_sizes_that_cannot_be_true_do_not_end_the_process(tmp_path, key, value, reason):
    write_mrxs(tmp_path / "a.mrxs", IMAGE)
    document = tmp_path / "a" / "Slidedat.ini"
    text = document.read_bytes()
    changed = re.sub(
        rb"(%s) = \d+" % key.encode(), rb"\1 = %s" % str(value).encode(), text
    )
    assert changed != text
    document.write_bytes(changed)
    with pytest.raises(SlideOpenError, match=reason):
        open_slide(tmp_path / "a.mrxs")


def test_whole_slides_and_other_files_pass(tmp_path):
    write_mrxs(tmp_path / "a.mrxs", IMAGE)
    check_mirax(tmp_path / "a.mrxs")
    write_svs(tmp_path / "b.svs", IMAGE)
    check_mirax(tmp_path / "b.svs")
    check_mirax(tmp_path / "absent.mrxs")
