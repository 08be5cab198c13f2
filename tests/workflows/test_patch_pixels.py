"""Pixels of patches are read once, few of each slide, and only the usable ones."""

from pathlib import Path

import numpy as np
import pytest

from builders.processes import run_together
from builders.tiles import write_tiles
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.workflows import patch_pixels
from napari_mmsubtype.workflows.embed import embed_job
from napari_mmsubtype.workflows.embedding_model import named_model
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.manifest import SlideEntry, read_manifest
from napari_mmsubtype.workflows.patch_pixels import drawn_rows, pixels_job

SLIDE = SlideEntry("synthetic:seed=1,size=256", None, 2)
LARGE = SlideEntry("synthetic:seed=2,size=512", None, 2)


def read(slides, out, per_slide=64):
    model = named_model("demo-cnn", patch_px=64)
    return run_job(pixels_job(slides, model, out, per_slide=per_slide))


def test_pixels_are_those_of_the_slide(tmp_path):
    slides = read_manifest(write_tiles(tmp_path, 1), mpp=0.5).slides
    found = read(slides, tmp_path / "out")
    assert found.failures == {}
    assert found.whole == set(found.files) == {slide.path for slide in slides}
    for slide in slides:
        with open_slide(slide.path, mpp=0.5) as opened:
            expected = opened.read_region(0, 0, 0, 64, 64)
        np.testing.assert_array_equal(np.load(found.files[slide.path]), expected[None])


def test_there_are_as_many_as_an_analysis_uses(tmp_path):
    model = named_model("demo-cnn", patch_px=64)
    found = read([SLIDE], tmp_path / "a")
    used = run_job(embed_job([SLIDE], model, tmp_path / "b", device="cpu"))
    assert len(np.load(found.files[SLIDE.path])) == len(used.load([SLIDE.path]))


def test_of_a_large_slide_some_are_drawn(tmp_path):
    whole = read([SLIDE], tmp_path)
    some = read([SLIDE], tmp_path, per_slide=5)
    assert (whole.whole, some.whole) == ({SLIDE.path}, frozenset())
    every, drawn = (np.load(f.files[SLIDE.path]) for f in (whole, some))
    assert len(drawn) == 5 < len(every)
    known = {patch.tobytes() for patch in every}
    assert all(patch.tobytes() in known for patch in drawn)


def test_rows_are_drawn_by_name(tmp_path):
    assert drawn_rows(4, 9, "a").tolist() == [0, 1, 2, 3]
    rows = drawn_rows(1000, 50, "a")
    assert len(set(rows.tolist())) == 50
    assert rows.tolist() == sorted(rows.tolist())
    assert drawn_rows(1000, 50, "a").tolist() == rows.tolist()
    assert drawn_rows(1000, 50, "b").tolist() != rows.tolist()


def test_a_second_run_opens_no_slide_and_failures_are_told(tmp_path, monkeypatch):
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"no slide at all")
    slides = [SlideEntry(str(broken), None, 2), SLIDE]
    first = read(slides, tmp_path / "out")
    assert set(first.files) == {SLIDE.path}
    assert "broken.svs" in first.failures[str(broken)]
    opened = []
    whole = patch_pixels.open_quietly
    monkeypatch.setattr(
        patch_pixels,
        "open_quietly",
        lambda path, **k: (opened.append(path), whole(path, **k))[1],
    )
    assert read(slides, tmp_path / "out") == first
    assert opened == [str(broken)]


def test_a_slide_of_which_nothing_can_be_read_fails(tmp_path, monkeypatch):
    from napari_mmsubtype.errors import DamagedTileError

    def refuse(*_):
        msg = "damaged"
        raise DamagedTileError(msg)

    monkeypatch.setattr(patch_pixels._Drawn, "read", refuse)
    found = read([SLIDE], tmp_path)
    assert found.files == {}
    assert "could be decoded" in found.failures[SLIDE.path]
    assert list(tmp_path.iterdir()) == []


def test_two_processes_read_each_slide_once(tmp_path, monkeypatch):
    slides = read_manifest(write_tiles(tmp_path, 5), mpp=0.5).slides
    broken = slides[3].path
    Path(broken).write_bytes(b"no image")
    known = read([*slides, LARGE], tmp_path / "alone", per_slide=8)
    opened = []
    whole = patch_pixels.open_quietly
    monkeypatch.setattr(
        patch_pixels,
        "open_quietly",
        lambda path, **options: (opened.append(path), whole(path, **options))[1],
    )
    model = named_model("demo-cnn", patch_px=64)
    found = run_together(
        lambda work: pixels_job(
            [*slides, LARGE], model, tmp_path / "both", per_slide=8, work=work
        )
    )
    assert sorted(opened) == sorted(slide.path for slide in [*slides, LARGE])
    assert found[0] == found[1]
    assert list(found[0].failures) == list(known.failures) == [broken]
    assert found[0].whole == known.whole
    assert LARGE.path not in known.whole
    assert list(found[0].files) == list(known.files)
    for path, file in known.files.items():
        assert found[0].files[path].read_bytes() == file.read_bytes()


@pytest.mark.real_data
def test_tiles_of_a_folder_are_read_in_full(tmp_path, real_data):
    paths = sorted((real_data / "tiles" / "lc25000" / "lung_n").iterdir())[:3]
    slides = [SlideEntry(str(path), 0.5, 2) for path in paths]
    model = named_model("demo-cnn", patch_px=224)
    found = run_job(pixels_job(slides, model, tmp_path, per_slide=64))
    assert len(found.whole) == 3
    shapes = {np.load(file).shape for file in found.files.values()}
    assert shapes == {(1, 224, 224, 3)}
