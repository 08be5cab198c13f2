"""A file counts as long as the slide that it was made of stays as it is."""

from napari_mmsubtype.workflows.manifest import SlideEntry
from napari_mmsubtype.workflows.slide_files import read_state, slide_file, write_state


def test_names_tell_slides_and_requests_apart(tmp_path):
    one = SlideEntry(str(tmp_path / "a" / "x.png"), None, 2)
    names = {
        slide_file(one),
        slide_file(one, 64),
        slide_file(one, 65),
        slide_file(SlideEntry(one.path, 0.5, 2)),
        slide_file(SlideEntry(str(tmp_path / "b" / "x.png"), None, 2)),
    }
    assert len(names) == 5
    assert all(name.startswith("x-") for name in names)
    assert slide_file(SlideEntry(one.path, None, 9)) == slide_file(one)


def test_a_file_counts_with_its_record_and_its_slide(tmp_path):
    slide = SlideEntry(str(tmp_path / "x.png"), None, 2)
    (tmp_path / "x.png").write_bytes(b"slide")
    file = tmp_path / "made.npy"
    assert read_state(file, slide) is None
    file.touch()
    assert read_state(file, slide) is None
    write_state(file, slide, whole=True)
    assert read_state(file, slide)["whole"] is True
    assert read_state(file, SlideEntry(str(tmp_path / "y.png"), None, 2)) is None
    (tmp_path / "x.png").write_bytes(b"another slide")
    assert read_state(file, slide) is None
    write_state(file, slide)
    assert "whole" not in read_state(file, slide)
    for damage in ("{", "[1]"):
        file.with_suffix(".json").write_text(damage)
        assert read_state(file, slide) is None


def test_an_address_has_one_state(tmp_path):
    slide = SlideEntry("synthetic:seed=1,size=256", None, 2)
    file = tmp_path / "made.npy"
    file.touch()
    write_state(file, slide)
    assert read_state(file, slide) == {"slide": slide.path}
