from builders.slides import draw_scene
from builders.slides_dicom import ROOT, write_dicom
from napari_mmsubtype.slides.dicom_folder import names_series, whole_slide_files

IMAGE = draw_scene(128, 128)


def test_only_whole_slide_images_count_whatever_their_ending(tmp_path):
    write_dicom(tmp_path / "b.dcm", IMAGE)
    write_dicom(tmp_path / "a", IMAGE, instance=2)
    (tmp_path / "c.dcm").write_bytes(b"\0" * 128 + b"DICM1.2.840.10008.5.1.4.1.1.2")
    (tmp_path / "d.dcm").write_bytes(b"")
    (tmp_path / "e.dcm").mkdir()
    assert [file.name for file in whole_slide_files(tmp_path)] == ["a", "b.dcm"]


def test_a_series_is_named_as_a_whole(tmp_path):
    write_dicom(tmp_path / "a.dcm", IMAGE, series=31)
    assert names_series(tmp_path / "a.dcm", f"{ROOT}.31")
    assert not names_series(tmp_path / "a.dcm", f"{ROOT}.3")
    assert not names_series(tmp_path / "a.dcm", f"{ROOT}.32")
