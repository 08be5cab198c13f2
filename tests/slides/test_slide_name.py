import os

import pytest

from napari_mmsubtype.slides.slide_name import LONGEST_BYTES, file_stem, slide_name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/TCGA-E2-A14V-01Z-00-DX1.tif", "TCGA-E2-A14V-01Z-00-DX1"),
        ("b.ome.tif", "b"),
        ("b.ome.zarr.zip", "b"),
        ("b.ome.zarr/", "b"),
        ("TCGA-1.0A8F.svs", "TCGA-1.0A8F"),
        ("synthetic:size=64,seed=3,basal=0.35", "synthetic-3"),
        ("synthetic:", "synthetic-0"),
        (".tif", ".tif"),
    ],
)
def test_names_lose_folder_and_endings(path, name):
    assert slide_name(path) == name


def test_stems_hold_nothing_that_a_file_system_refuses():
    assert file_stem('a:b/c\\d?"*<>|\x00') == "a_b_c_d_______"
    assert file_stem("TCGA-1.0A8F ä") == "TCGA-1.0A8F ä"


@pytest.mark.parametrize("letter", ["s", "é", "切"])
def test_a_very_long_name_is_cut_and_stays_its_own(tmp_path, letter):
    stems = [file_stem(letter * 250 + end) for end in "ab"]
    assert stems[0] != stems[1]
    for stem in stems:
        assert stem.startswith(letter * 40)
        assert len(stem.encode()) <= LONGEST_BYTES
        (tmp_path / stem).touch()
    assert file_stem("s" * LONGEST_BYTES) == "s" * LONGEST_BYTES


def test_a_name_that_is_not_unicode_is_fit_for_a_file():
    name = os.fsdecode(b"\xff")
    assert file_stem(name) == name
    long = file_stem(name * 200)
    assert len(os.fsencode(long)) <= LONGEST_BYTES
    assert long != file_stem(name * 201)
