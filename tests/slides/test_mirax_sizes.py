import re
import struct

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


@pytest.mark.parametrize("record", [0, 2])
@pytest.mark.parametrize("size", [-1, -(2**31), 2**31 - 1])
def test_a_record_of_an_impossible_size_does_not_end_the_process(
    tmp_path, record, size
):
    write_mrxs(tmp_path / "a.mrxs", IMAGE, jitter=8)
    check_mirax(tmp_path / "a.mrxs")
    index = tmp_path / "a" / "Index.dat"
    data = bytearray(index.read_bytes())
    head = struct.pack("<iiii", 1, 0, 0, 0)
    at = -1
    for _ in range(record + 1):
        at = data.index(head, at + 1)
    data[at + 20 : at + 24] = struct.pack("<i", size)
    index.write_bytes(data)
    with pytest.raises(SlideOpenError, match=rf"Index\.dat.*record {record} has"):
        open_slide(tmp_path / "a.mrxs")
