import struct

import pytest

from builders.slides import draw_scene
from builders.slides_dicom import ROOT, element, sequence, write_dicom
from napari_mmsubtype.slides.dicom_folder import series_of, whole_slide_files

IMAGE = draw_scene(128, 128)


def test_only_whole_slide_images_count_whatever_their_ending(tmp_path):
    write_dicom(tmp_path / "b.dcm", IMAGE)
    write_dicom(tmp_path / "a", IMAGE, instance=2)
    (tmp_path / "c.dcm").write_bytes(b"\0" * 128 + b"DICM1.2.840.10008.5.1.4.1.1.2")
    (tmp_path / "d.dcm").write_bytes(b"")
    (tmp_path / "e.dcm").mkdir()
    assert [file.name for file in whole_slide_files(tmp_path)] == ["a", "b.dcm"]


def test_the_series_is_read_as_a_whole(tmp_path):
    write_dicom(tmp_path / "a.dcm", IMAGE, series=31)
    assert series_of(tmp_path / "a.dcm") == f"{ROOT}.31"


def undefined(group, number, *items):
    """A sequence and items of undefined length, ended by marks."""
    head = struct.pack("<HH", group, number) + b"SQ\0\0\xff\xff\xff\xff"
    packed = b"".join(
        struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        + item
        + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        for item in items
    )
    return head + packed + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@pytest.mark.parametrize("wrap", [sequence, undefined])
def test_the_series_may_come_after_a_lot_that_names_others(tmp_path, wrap):
    """Referenced series come first, and 64 KiB of them do not hide the own one."""
    other = element(0x0020, 0x000E, "UI", f"{ROOT}.99")
    inner = wrap(0x0008, 0x1199, element(0x0008, 0x1155, "UI", f"{ROOT}.98"))
    long = element(0x0009, 0x1001, "OB", b"x" * 200_000)
    before = wrap(0x0008, 0x1115, inner + other, other) + long
    write_dicom(tmp_path / "a.dcm", IMAGE, series=31, before=before)
    write_dicom(tmp_path / "b.dcm", IMAGE, series=31, instance=2, mpp=1.0)
    assert series_of(tmp_path / "a.dcm") == f"{ROOT}.31"


def test_elements_without_types(tmp_path):
    def plain(group, number, value):
        return struct.pack("<HHI", group, number, len(value)) + value

    meta = element(0x0002, 0x0010, "UI", "1.2.840.10008.1.2")
    body = plain(0x0008, 0x0060, b"SM") + plain(0x0020, 0x000E, b"1.2.3\0")
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM" + meta + body)
    assert series_of(tmp_path / "a.dcm") == "1.2.3"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        element(0x0008, 0x0060, "CS", "SM"),
        element(0x0028, 0x0010, "US", 3),
        element(0x0002, 0x0010, "UI", "1.2.840.10008.1.2.2") + b"\0\x20\0\x0e",
        struct.pack("<HH", 8, 8) + b"SQ\0\0\xff\xff\xff\xff",
        (struct.pack("<HH", 8, 8) + b"SQ\0\0\xff\xff\xff\xff") * 1000,
    ],
)
def test_a_file_that_does_not_tell_its_series(tmp_path, body):
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM" + body)
    assert series_of(tmp_path / "a.dcm") is None
