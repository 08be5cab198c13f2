import os
import time

import pytest

from builders.slides import draw_scene, write_ome_zarr, write_pyramid_tiff
from napari_mmsubtype.errors import SlideChangedError, SlideReadError
from napari_mmsubtype.slides.file_state import FileState
from napari_mmsubtype.slides.registry import open_slide


def touch(path):
    """Give a file another time of change, whatever the clock's resolution."""
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.svs"
    path.write_bytes(b"1234")
    return path


def test_an_untouched_file_is_fine(file):
    state = FileState(str(file))
    state.check()
    assert state.identity == FileState(str(file)).identity


def change_in_place(path):
    path.write_bytes(b"12345")


def replace(path):
    other = path.with_name("other")
    other.write_bytes(b"4321")
    touch(other)
    other.replace(path)


@pytest.mark.parametrize("act", [change_in_place, replace, touch])
def test_a_changed_file_is_refused_by_name_and_gets_another_identity(file, act):
    state = FileState(str(file))
    act(file)
    with pytest.raises(SlideChangedError, match=r"a\.svs' changed on disk.*open it ag"):
        state.check()
    assert FileState(str(file)).identity != state.identity


def test_a_removed_file_is_refused(file):
    state = FileState(str(file))
    file.unlink()
    with pytest.raises(SlideReadError, match=r"can no longer be reached \(No such"):
        state.check()


def test_reading_does_not_count_as_a_change(file):
    state = FileState(str(file))
    file.read_bytes()
    os.utime(file, ns=(time.time_ns(), file.stat().st_mtime_ns))
    file.chmod(0o400)
    state.check()


def test_another_working_folder_changes_nothing(file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    state = FileState("a.svs")
    monkeypatch.chdir("/")
    state.check()
    assert state.identity == FileState(str(file)).identity


def test_a_link_is_the_file_it_leads_to(file, tmp_path):
    link = tmp_path / "link.svs"
    link.symlink_to(file)
    assert FileState(str(link)).identity == FileState(str(file)).identity
    copy = tmp_path / "copy.svs"
    copy.write_bytes(b"1234")
    os.utime(copy, ns=(0, file.stat().st_mtime_ns))
    assert FileState(str(copy)).identity != FileState(str(file)).identity


def test_addresses_are_never_found_changed():
    web = FileState("http://localhost:1/a.zarr")
    web.check()
    assert web.identity is None
    drawn = FileState("synthetic:seed=1")
    drawn.check()
    assert drawn.identity == FileState("synthetic:seed=1").identity
    assert drawn.identity != FileState("synthetic:seed=2").identity
    for name in ("in memory", "a\0b", "x" * 5000):
        memory = FileState(name)
        memory.check()
        assert memory.identity is None


def test_a_folder_changes_with_its_entries_and_its_documents(tmp_path):
    path = tmp_path / "a.zarr"
    write_ome_zarr(path, draw_scene(256, 256), levels=1)
    state = FileState(str(path))
    state.check()
    touch(path / ".zattrs")
    with pytest.raises(SlideChangedError, match="changed on disk"):
        state.check()
    state = FileState(str(path))
    (path / "more").mkdir()
    with pytest.raises(SlideChangedError, match="changed on disk"):
        state.check()


def test_old_and_new_pixels_of_a_slide_are_never_mixed(tmp_path):
    path = tmp_path / "a.tif"
    old, new = draw_scene(seed=1), draw_scene(seed=2)
    write_pyramid_tiff(path, old, levels=1)
    slide = open_slide(path)
    before = slide.read_region(0, 0, 0, 128, 128)
    write_pyramid_tiff(path, new, levels=1)
    touch(path)
    # What is in memory fits what was shown; nothing else can be had.
    assert (slide.read_region(0, 0, 0, 128, 128) == before).all()
    for read in (slide.read_region, slide.read_view):
        with pytest.raises(SlideChangedError, match="open it again"):
            read(0, 128, 0, 256, 256)
    with pytest.raises(SlideChangedError):
        slide.pyramid()[0].compute()
    assert slide.unreadable_tiles == ()
    with open_slide(path) as again:
        assert (again.read_region(0, 0, 0, 768, 1024) == new).all()
    slide.close()
    with pytest.raises(SlideReadError, match="closed"):
        slide.read_region(0, 128, 0, 256, 256)
