import json

import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows.analyze import analyze


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cam")
    late = tiny_bundle(folder / "late", fusion="late", width=32)
    slide = "synthetic:seed=5,size=768"
    return analyze(slide, late, out=folder, device="cpu").path


def test_a_map_is_drawn_and_told(store, capsys):
    words = ["cam", str(store), "--method", "layercam", "--device", "cpu"]
    assert main([*words, "--json"]) == DONE
    record = json.loads(capsys.readouterr().out)
    assert record["method"] == "layer-cam"
    assert record["unit"] == "logits"
    assert record["drawn"] == ["grad-cam", "layer-cam"]
    assert [cam.method for cam in open_result(store).cams] == ["layer-cam"]
    assert main(words) == DONE
    assert "grad-cam, layer-cam" in capsys.readouterr().out


def test_what_cannot_be_drawn_is_one_clear_error(store, tmp_path, capsys):
    assert main(["cam", str(store), "--method", "score-cam"]) == BAD_INPUT
    assert "unknown cam method 'score-cam'" in capsys.readouterr().err
    assert main(["cam", str(tmp_path / "no"), "--method", "layer-cam"]) == BAD_INPUT
    assert "run an analysis to make one" in capsys.readouterr().err
