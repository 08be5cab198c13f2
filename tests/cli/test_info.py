import json

import numpy as np
import tifffile
from PIL import Image

from builders.profiles import matrix_profile
from builders.stores import complete_store
from napari_mmsubtype.cli.info import facts_text
from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main
from napari_mmsubtype.slides.registry import open_slide

SLIDE = "synthetic:seed=1,size=1024"


def test_facts_are_aligned_lines():
    text = facts_text(
        {
            "name": "a",
            "mpp": [0.25, 0.25],
            "levels": [
                {"height": 8, "width": 6, "downsample": 1.0, "stored": True},
                {"height": 4, "width": 3, "downsample": 2.0, "stored": False},
            ],
            "associated": [],
        }
    )
    assert text.splitlines() == [
        "name                 a",
        "mpp                  0.25, 0.25",
        "levels               height 8, width 6, downsample 1, stored yes",
        "                     height 4, width 3, downsample 2, stored no",
        "associated           -",
    ]


def test_missing_pixel_size_comes_with_what_to_do():
    assert "--mpp 0.25" in facts_text({"name": "a", "mpp": None})


def test_guesses_and_identifiers_come_with_a_warning():
    text = facts_text(
        {"mpp": [1], "mpp_is_guess": True, "identifiers": ["label image"]}
    )
    assert "guessed from the objective" in text
    assert "May identify a patient" in text
    plain = facts_text({"mpp": [1], "mpp_is_guess": False, "identifiers": []})
    assert "guessed" not in plain
    assert "May identify" not in plain


def test_info_as_json(capsys):
    assert main(["info", SLIDE, "--json"]) == DONE
    facts = json.loads(capsys.readouterr().out)
    assert facts["mpp"] == [0.5, 0.5]
    assert (facts["levels"][0]["height"], facts["levels"][0]["width"]) == (1024, 1024)


def test_given_pixel_size_wins(capsys):
    assert main(["info", SLIDE, "--mpp", "0.25", "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["mpp"] == [0.25, 0.25]


def test_info_as_text(capsys):
    assert main(["info", SLIDE]) == DONE
    assert "synthetic" in capsys.readouterr().out


def test_info_on_a_store_tells_the_result(tmp_path, capsys):
    complete_store(tmp_path)
    store = tmp_path / "slide.mmsubtype.zarr"
    assert main(["info", str(store), "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["status"] == "complete"


def test_missing_slide_is_bad_input(tmp_path, capsys):
    path = tmp_path / "absent.svs"
    assert main(["info", str(path), "--json"]) == BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "absent.svs" in captured.err
    assert "Traceback" not in captured.err


def test_the_color_profile_is_named_with_its_state_in_words(
    tmp_path, capsys, monkeypatch
):
    path = tmp_path / "a.tif"
    image = np.full((64, 64, 3), 180, np.uint8)
    profile = matrix_profile(words="ScanScope v1")
    tifffile.imwrite(path, image, photometric="rgb", iccprofile=profile)
    assert main(["info", str(path)]) == DONE
    told = capsys.readouterr().out
    assert "ScanScope v1 (ACME): applied, colors are sRGB" in told
    assert main(["info", str(path), "--json"]) == DONE
    facts = json.loads(capsys.readouterr().out)
    assert facts["icc"] == "applied"
    assert facts["icc_profile"]["description"] == "ScanScope v1"
    monkeypatch.setenv("MMSUBTYPE_ICC", "0")
    assert main(["info", str(path)]) == DONE
    told = capsys.readouterr().out
    assert "ScanScope v1 (ACME): not applied, colors are as stored" in told


def test_a_profile_that_cannot_be_used_is_told_and_no_warning(tmp_path, capsys):
    path = tmp_path / "a.tif"
    image = np.full((64, 64, 3), 180, np.uint8)
    tifffile.imwrite(path, image, photometric="rgb", iccprofile=b"broken" * 40)
    assert main(["info", str(path)]) == DONE
    told = capsys.readouterr()
    assert "cannot be used, colors are as stored" in told.out
    assert "Warning" not in told.err


def test_associated_images_are_saved_by_name(real_data, tmp_path, capsys):
    slide = str(real_data / "slides" / "CMU-1-Small-Region.svs")
    for name in ("macro", "label"):
        out = tmp_path / f"{name}.png"
        assert main(["info", slide, "--save-associated", name, str(out)]) == DONE
        with open_slide(slide) as opened:
            expected = opened.read_associated(name)
        np.testing.assert_array_equal(np.asarray(Image.open(out)), expected)
    assert len(list(tmp_path.iterdir())) == 2


def test_images_that_cannot_be_saved_are_one_error(tmp_path, capsys):
    words = ["info", SLIDE, "--save-associated", "macro", str(tmp_path / "m.png")]
    assert main(words) == BAD_INPUT
    assert "no image named 'macro'; it has: none" in capsys.readouterr().err
    complete_store(tmp_path)
    words[1] = str(tmp_path / "slide.mmsubtype.zarr")
    assert main(words) == BAD_INPUT
    assert "out of a slide" in capsys.readouterr().err


def test_places_that_cannot_be_written_are_one_error(real_data, tmp_path, capsys):
    slide = str(real_data / "slides" / "CMU-1-Small-Region.svs")
    for path in (tmp_path / "m.xyz", tmp_path / "gone" / "m.png"):
        words = ["info", slide, "--save-associated", "macro", str(path)]
        assert main(words) == BAD_INPUT
        assert "cannot write an image" in capsys.readouterr().err
