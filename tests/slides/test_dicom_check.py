import struct

import numpy as np
import pytest

from builders.slides import draw_scene, halve
from builders.slides_dicom import element, sequence, write_dicom
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides import dicom_check
from napari_mmsubtype.slides.dicom_check import check_dicom
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene(150, 210)
TABLE = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.dcm"
    write_dicom(path, IMAGE, tile=64)
    return path


def change(path, at, data):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_sound_files_and_others_pass(file, tmp_path):
    check_dicom(file)
    (tmp_path / "note.txt").write_text("no DICOM")
    check_dicom(tmp_path / "note.txt")


@pytest.mark.parametrize("frame", [1, 5, 11])
@pytest.mark.parametrize("offset", [0, 0xD1000000, 0xFFFFFFFF])
def test_a_frame_that_begins_out_of_the_file_or_of_order_is_refused(
    file, frame, offset
):
    at = file.read_bytes().index(TABLE) + len(TABLE) + 4
    change(file, at + 4 * frame, struct.pack("<I", offset))
    with pytest.raises(SlideOpenError, match=r"table of frames at byte .* fetch"):
        open_slide(file)


def test_a_length_beyond_the_file_is_refused(file):
    data = file.read_bytes()
    change(file, data.index(b"\x20\x00\x0d\x00UI") + 6, b"\xff\xff")
    with pytest.raises(SlideOpenError, match="should end at byte"):
        open_slide(file)


def test_lengths_within_sequences_count(file):
    data = file.read_bytes()
    change(file, data.index(b"\x28\x00\x30\x00DS") + 6, b"\xff\xff")
    with pytest.raises(SlideOpenError, match="should end at byte"):
        check_dicom(file)


@pytest.mark.parametrize("share", [0.02, 0.03, 0.05])
def test_a_file_cut_short_in_its_head_is_refused(file, share):
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SlideOpenError, match="damaged or cut short"):
        check_dicom(file)


def test_the_other_files_of_the_series_count_and_strangers_do_not(file, tmp_path):
    for name, series in (("b.dcm", 3), ("c.dcm", 4)):
        other = tmp_path / name
        write_dicom(other, halve(IMAGE), mpp=1.0, instance=2, series=series, tile=64)
        at = other.read_bytes().index(TABLE) + len(TABLE) + 4
        change(other, at + 4, b"\xff\xff\xff\xff")
    with pytest.raises(SlideOpenError, match=r"b\.dcm"):
        check_dicom(file)
    (tmp_path / "b.dcm").unlink()
    check_dicom(file)


def build(path, *parts, syntax="1.2.840.10008.1.2.1"):
    meta = element(0x0002, 0x0010, "UI", syntax)
    path.write_bytes(b"\0" * 128 + b"DICM" + meta + b"".join(parts))
    return path


def pixels(*offsets, width=4):
    kind = {4: "<u4", 8: "<u8"}[width]
    table = np.asarray(offsets, kind).tobytes()
    frames = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 2
    if width == 8:
        head = element(0x7FE0, 0x0001, "OV", b"")[:8]
        head += struct.pack("<I", len(table)) + table
        table = b""
    else:
        head = b""
    start = struct.pack("<HHI", 0xFFFE, 0xE000, len(table)) + table
    return head + TABLE[:12] + start + frames


def test_long_offsets_are_checked_too(tmp_path):
    check_dicom(build(tmp_path / "a.dcm", pixels(0, 8, width=8)))
    with pytest.raises(SlideOpenError, match="table of frames"):
        check_dicom(build(tmp_path / "b.dcm", pixels(0, 2**60, width=8)))


def test_an_empty_table_is_sound(tmp_path):
    check_dicom(build(tmp_path / "a.dcm", pixels()))


def test_sequences_without_lengths_are_walked(tmp_path):
    inner = element(0x0028, 0x0030, "DS", "0.5")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner
    item += struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    open_sequence = struct.pack("<HH", 0x5200, 0x9229) + b"SQ\0\0\xff\xff\xff\xff"
    check_dicom(build(tmp_path / "a.dcm", open_sequence, item, item, end, pixels(0, 8)))
    with pytest.raises(SlideOpenError, match="no item of a sequence"):
        check_dicom(build(tmp_path / "b.dcm", open_sequence, item, inner, end))


def test_only_sequences_may_leave_their_length_open(tmp_path):
    value = struct.pack("<HH", 0x0040, 0x0555) + b"UT\0\0\xff\xff\xff\xff" + b"x" * 30
    with pytest.raises(SlideOpenError, match=r"type UT .* has no end"):
        check_dicom(build(tmp_path / "a.dcm", value))


def test_files_without_types_are_walked(tmp_path):
    value = struct.pack("<HHI", 0x0020, 0x000E, 4) + b"1.2\0"
    syntax = "1.2.840.10008.1.2"
    check_dicom(build(tmp_path / "a.dcm", value, value, syntax=syntax))
    broken = struct.pack("<HHI", 0x0020, 0x000E, 400) + b"1.2\0"
    with pytest.raises(SlideOpenError, match="should end at byte"):
        check_dicom(build(tmp_path / "b.dcm", value, broken, syntax=syntax))


def test_what_is_not_understood_is_left_to_the_library(tmp_path, monkeypatch):
    odd = struct.pack("<HH", 0x0009, 0x0010) + b"??\xff\xff" + b"\0" * 20
    check_dicom(build(tmp_path / "a.dcm", odd))
    unknown = struct.pack("<HH", 0x0009, 0x0010) + b"UN\0\0\xff\xff\xff\xff" + b"x" * 30
    check_dicom(build(tmp_path / "b.dcm", unknown))
    check_dicom(build(tmp_path / "c.dcm", odd, syntax="1.2.840.10008.1.2.2"))
    monkeypatch.setattr(dicom_check, "MOST_ELEMENTS", 20)
    many = sequence(0x5200, 0x9230, *[element(0x0028, 0x0030, "DS", "0.5")] * 50)
    check_dicom(build(tmp_path / "d.dcm", many))


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (-4, 2**31, "should end at byte"),
        (-4, 23, "a table of frames of 23 bytes"),
        (0, 2, "table of frames at byte .* is not sound"),
    ],
)
def test_a_table_of_an_impossible_size_or_start_is_refused(file, place, value, reason):
    at = file.read_bytes().index(TABLE) + len(TABLE) + 4 + place
    change(file, at, struct.pack("<I", value))
    with pytest.raises(SlideOpenError, match=reason):
        open_slide(file)


@pytest.mark.parametrize("more", [{"raw": True}, {"keep": [0, 2]}])
def test_raw_and_sparse_files_pass(tmp_path, more):
    write_dicom(tmp_path / "b.dcm", IMAGE, tile=64, **more)
    check_dicom(tmp_path / "b.dcm")


def test_a_table_that_is_left_out_passes(file):
    data = file.read_bytes()
    at = data.index(TABLE) + len(TABLE)
    length = int.from_bytes(data[at : at + 4], "little")
    file.write_bytes(data[:at] + b"\0" * 4 + data[at + 4 + length :])
    with open_slide(file) as slide:
        assert slide.read_region(0, 0, 0, 150, 210).shape == (150, 210, 3)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_file_cut_short_in_its_frames_is_refused(file, share):
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SlideOpenError, match="damaged or cut short"):
        open_slide(file)
