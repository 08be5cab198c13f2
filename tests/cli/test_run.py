import json

import pytest
import yaml

from builders.stores import complete_store
from fakes.jobs import FakeJob
from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main
from napari_mmsubtype.cli.run import read_recipe
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows import analyze

RECIPE = AnalyzeRecipe(
    slide="/a/s.svs", patient="P1", rna="/a/r.csv", mpp=0.5, batch_size=4
)


@pytest.fixture
def store(tmp_path):
    complete_store(tmp_path)
    return tmp_path / "slide.mmsubtype.zarr"


@pytest.mark.parametrize("write", [yaml.safe_dump, json.dumps])
def test_recipe_comes_back_as_written(write, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(write(RECIPE.to_dict()))
    assert read_recipe(path) == RECIPE


def test_a_store_holds_its_own_recipe(store):
    assert read_recipe(store) == open_result(store).recipe


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "not valid YAML"),
        ("", "one key, 'analyze'"),
        ("analyze: {slide: s, colour: red}", "colour"),
        ("analyze: {bundle: demo}", "slide"),
        ("analyze: {slide: s, mpp: half}", "wrong kind of value"),
        ("analyze: {slide: s, mpp: 900}", "not believable"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_bad_recipes_are_refused_by_name(text, said, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_recipe(path)
    assert said in str(caught.value)
    assert "recipe.yaml" in str(caught.value)


def test_binary_file_is_no_recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ConfigurationError, match="it is not text"):
        read_recipe(path)


def test_folder_that_is_no_store_is_bad_input(tmp_path, capsys):
    assert main(["run", str(tmp_path)]) == BAD_INPUT
    assert "Traceback" not in capsys.readouterr().err


def test_replay_may_change_device_and_place(store, tmp_path, monkeypatch, capsys):
    job = FakeJob(open_result(store))
    monkeypatch.setattr(analyze, "analyze_job", job)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE.to_dict()))
    words = ["run", str(path), "--device", "cpu", "--out", str(tmp_path), "--json"]
    assert main(words) == DONE
    assert job.recipe.device == "cpu"
    assert job.recipe.out == str(tmp_path)
    assert job.recipe.slide == RECIPE.slide
    assert json.loads(capsys.readouterr().out)["status"] == "complete"
