import json

import numpy as np
import pytest

from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tissue import find_tissue
from napari_mmsubtype.slides.tissue_file import read_tissue

SLIDE = "synthetic:seed=3,size=1024"


@pytest.fixture
def slide():
    with open_slide(SLIDE) as opened:
        yield opened


def test_the_found_tissue_is_written_and_told(slide, tmp_path, capsys):
    out = tmp_path / "a.tissue.zarr"
    assert main(["tissue", SLIDE, "--out", str(out)]) == DONE
    found = find_tissue(slide)
    np.testing.assert_array_equal(read_tissue(out, slide).mask, found.mask)
    text = capsys.readouterr().out
    assert f"{found.mask.mean():.1%} of the slide" in text
    assert str(out) in text


def test_a_mask_goes_to_outlines_and_back(slide, tmp_path, capsys):
    outlines, back = str(tmp_path / "a.geojson"), str(tmp_path / "b.zarr")
    assert main(["tissue", SLIDE, "--out", outlines]) == DONE
    capsys.readouterr()
    words = ["tissue", SLIDE, "--tissue", outlines, "--out", back, "--json"]
    assert main(words) == DONE
    record = json.loads(capsys.readouterr().out)
    assert record["mask"] == back
    assert record["mpp"] == [8.0, 8.0]
    mask = read_tissue(back, slide).mask
    assert record["tissue"] == mask.mean()
    np.testing.assert_array_equal(mask, find_tissue(slide).mask)


def test_bad_input_is_one_line(tmp_path, capsys):
    out = ["--out", str(tmp_path / "b.zarr")]
    gone = str(tmp_path / "gone.zarr")
    assert main(["tissue", SLIDE, "--tissue", gone, *out]) == BAD_INPUT
    assert "no tissue mask" in capsys.readouterr().err
    assert not (tmp_path / "b.zarr").exists()
