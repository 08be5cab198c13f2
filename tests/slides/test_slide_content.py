import os
import shutil
import time

import numpy as np
import pytest

from builders.slides import draw_scene, write_deepzoom, write_ome_zarr
from builders.slides_dicom import write_dicom
from napari_mmsubtype.slides import slide_content as module
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.slide_content import BLOCK_BYTES, BLOCKS, slide_content

LARGE = 3 * BLOCKS * BLOCK_BYTES


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "a.svs"
    path.write_bytes(np.random.default_rng(0).bytes(LARGE))
    return path


def put(path, place, value=b"?"):
    with path.open("r+b") as file:
        file.seek(place)
        file.write(value)


def test_a_copy_has_the_same_content_whatever_its_name_and_time(large, tmp_path):
    other = tmp_path / "other" / "b.tif"
    other.parent.mkdir()
    shutil.copyfile(large, other)
    os.utime(other, (1, 1))
    assert slide_content(other) == slide_content(large)


@pytest.mark.parametrize("place", [0, LARGE // 3, LARGE - 1])
def test_the_first_the_last_and_blocks_between_count(large, place):
    before = slide_content(large)
    start = (LARGE - BLOCK_BYTES) * 5 // (BLOCKS - 1)
    put(large, start if place == LARGE // 3 else place)
    assert slide_content(large) != before


def test_another_size_is_another_content(large):
    before = slide_content(large)
    large.write_bytes(large.read_bytes() + large.read_bytes()[-1:])
    assert slide_content(large) != before


@pytest.mark.parametrize("place", range(0, 300_000, 50_000))
def test_every_byte_of_a_small_file_counts(tmp_path, place):
    path = tmp_path / "small.tif"
    path.write_bytes(bytes(300_001))
    before = slide_content(path)
    put(path, place)
    assert slide_content(path) != before


def test_an_empty_file_has_a_content(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"")
    assert len(slide_content(tmp_path / "a.tif")) == 64


def test_it_takes_no_time(tmp_path):
    path = tmp_path / "huge.tif"
    path.write_bytes(b"")
    os.truncate(path, 4 * 1024**3)
    begin = time.perf_counter()
    slide_content(path)
    assert time.perf_counter() - begin < 0.5  # reading all of it takes seconds


def test_files_of_a_folder_count_by_name_and_content(tmp_path):
    path = tmp_path / "a.zarr"
    write_ome_zarr(path, draw_scene())
    before = slide_content(path)
    shutil.move(path, tmp_path / "b.zarr")
    path = tmp_path / "b.zarr"
    assert slide_content(path) == before
    chunk = max(
        (f for f in path.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size
    )
    kept = chunk.read_bytes()
    put(chunk, len(kept) // 2, bytes([kept[len(kept) // 2] ^ 1]))
    assert slide_content(path) != before
    chunk.write_bytes(kept)
    assert slide_content(path) == before
    chunk.rename(chunk.with_name("away"))
    assert slide_content(path) != before


def test_of_a_very_large_folder_the_first_files_count(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_FILES", 3)
    for name in "abcd":
        (tmp_path / name).write_bytes(name.encode())
    before = slide_content(tmp_path)
    (tmp_path / "d").write_bytes(b"another")
    assert slide_content(tmp_path) == before
    (tmp_path / "c").write_bytes(b"another")
    assert slide_content(tmp_path) != before


def test_the_tiles_beside_an_index_count_and_strangers_do_not(tmp_path):
    path = tmp_path / "a.dzi"
    write_deepzoom(path, draw_scene())
    before = slide_content(path)
    (tmp_path / "a.html").write_text("a report")
    assert slide_content(path) == before
    tile = next(f for f in (tmp_path / "a_files").rglob("*_*.*") if f.is_file())
    tile.write_bytes(tile.read_bytes() + b"?")
    assert slide_content(path) != before


def test_mirax_and_hamamatsu_bring_their_own_files(tmp_path):
    mirax = tmp_path / "m.mrxs"
    mirax.write_bytes(b"index")
    data = tmp_path / "m" / "Data0000.dat"
    data.parent.mkdir()
    data.write_bytes(b"tiles")
    hamamatsu = tmp_path / "h.vms"
    hamamatsu.write_text("[Virtual Microscope Specimen]\nImageFile=h(0,0).jpg\n")
    image = tmp_path / "h(0,0).jpg"
    image.write_bytes(b"jpeg")
    for path, part in ((mirax, data), (hamamatsu, image)):
        before = slide_content(path)
        (tmp_path / "stranger.jpg").write_bytes(os.urandom(8))
        assert slide_content(path) == before
        part.write_bytes(b"JPEGS")
        assert slide_content(path) != before


def test_synthetic_slides_have_none():
    with open_slide("synthetic:seed=1,size=512") as slide:
        assert slide.content is None


def test_of_dicom_the_files_of_the_series_count(tmp_path):
    path = tmp_path / "a.dcm"
    write_dicom(path, draw_scene(150, 210), tile=64)
    alone = slide_content(path)
    (tmp_path / "notes.dcm").write_text("no DICOM")
    assert slide_content(path) == alone
    shutil.copy(path, tmp_path / "b.dcm")
    both = slide_content(path)
    assert both != alone
    folder = slide_content(tmp_path)
    (tmp_path / "a.html").write_text("a report")
    assert (slide_content(path), slide_content(tmp_path)) == (both, folder)


def test_what_others_leave_in_the_folder_of_a_slide_does_not_count(tmp_path):
    path = tmp_path / "a.ome.zarr"
    write_ome_zarr(path, draw_scene(300, 400))
    before = slide_content(path)
    for name in (".DS_Store", "Thumbs.db", "0/._c", "labels/zarr.json", ".git/HEAD"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("of the system")
    assert slide_content(path) == before
    (path / "0" / ".zarray").write_text("{}")
    assert slide_content(path) != before
