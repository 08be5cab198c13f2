import struct

import pytest

from builders.slides import cut, draw_scene, halve
from builders.slides_dicom import write_dicom
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.dicom_frames import FRAMES, check_frames, check_series
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene(200, 300)


def change(path, entry, value):
    """Overwrite the length of the table (entry -1) or one of its places."""
    data = bytearray(path.read_bytes())
    at = data.index(FRAMES) + len(FRAMES) + 4 + 4 * entry
    data[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(data)


@pytest.mark.parametrize("more", [{}, {"raw": True}, {"keep": [0, 2]}])
def test_whole_files_pass(tmp_path, more):
    write_dicom(tmp_path / "a.dcm", IMAGE, **more)
    check_frames(tmp_path / "a.dcm")
    check_series(tmp_path / "a.dcm")


def test_a_table_that_is_left_out_passes(tmp_path):
    write_dicom(tmp_path / "a.dcm", IMAGE)
    data = (tmp_path / "a.dcm").read_bytes()
    at = data.index(FRAMES) + len(FRAMES)
    (tmp_path / "a.dcm").write_bytes(data[:at] + b"\0" * 4 + data[at + 28 :])
    check_frames(tmp_path / "a.dcm")
    with open_slide(tmp_path / "a.dcm") as slide:
        assert slide.read_region(0, 0, 0, 200, 300).shape == (200, 300, 3)


@pytest.mark.parametrize(
    ("entry", "value", "reason"),
    [
        (-1, 2**31, "a table of 2,147,483,648 bytes"),
        (-1, 23, "a table of 23 bytes"),
        (0, 2**24, "frames from byte 16,777,216"),
        (5, 2**31, "to 2,147,483,648"),
        (2, 3, "do not follow one another"),
    ],
)
def test_a_damaged_table_is_refused_and_does_not_end_the_process(
    tmp_path, entry, value, reason
):
    write_dicom(tmp_path / "a.dcm", IMAGE)
    change(tmp_path / "a.dcm", entry, value)
    with pytest.raises(SlideOpenError, match=rf"a\.dcm.*{reason}.*export it again"):
        open_slide(tmp_path / "a.dcm")


def test_any_file_of_the_series_counts_and_others_do_not(tmp_path):
    write_dicom(tmp_path / "a.dcm", IMAGE)
    write_dicom(tmp_path / "b.dcm", halve(IMAGE), instance=2, mpp=1.0)
    write_dicom(tmp_path / "c.dcm", IMAGE, series=8)
    change(tmp_path / "c.dcm", 1, 0)
    check_series(tmp_path / "a.dcm")
    change(tmp_path / "b.dcm", 1, 0)
    with pytest.raises(SlideOpenError, match=r"b\.dcm"):
        open_slide(tmp_path / "a.dcm")


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"no DICOM" + FRAMES + b"\xff" * 40)
    check_series(tmp_path / "a.txt")


@pytest.mark.parametrize("keep", [0.5, 0.9, -20])
def test_a_cut_file_is_refused(tmp_path, keep):
    write_dicom(tmp_path / "a.dcm", IMAGE)
    cut(tmp_path / "a.dcm", keep)
    with pytest.raises(SlideOpenError, match="truncated"):
        open_slide(tmp_path / "a.dcm")
