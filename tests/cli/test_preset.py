from __future__ import annotations

import json

import pytest
import yaml

from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main
from napari_mmsubtype.cli.preset import list_text
from napari_mmsubtype.training.preset_files import (
    list_presets,
    load_preset,
    preset_text,
)


def test_the_list_tells_what_each_is_made_of(capsys):
    assert main(["preset", "list"]) == DONE
    shown = capsys.readouterr().out
    for name in list_presets():
        preset = load_preset(name)
        row = next(line for line in shown.splitlines() if line.startswith(name))
        for word in (preset.encoder.name, preset.fusion.name, preset.classes[0].name):
            assert word in row
        assert f"  {preset.title}\n" in shown
    assert ":breakhis-40x," in shown


def test_the_list_as_json(capsys):
    assert main(["preset", "list", "--json"]) == DONE
    records = {r["name"]: r for r in json.loads(capsys.readouterr().out)["presets"]}
    assert set(records) == set(list_presets())
    lung = records["lung-mmlm"]
    assert lung["modalities"] == ["image", "rna", "methylation", "clinical"]
    assert lung["heads"] == ["stage", "risk"]
    assert "two-classes" in lung["variants"]


def test_columns_stand_below_their_headings():
    record = {
        "name": "a",
        "title": "t",
        "classes": ["X", "Y"],
        "encoder": "a-long-encoder",
        "fusion": "f",
        "modalities": ["image"],
        "variants": [],
    }
    heading, row, title = list_text([record]).splitlines()
    for word, value in (("fusion", "f"), ("modalities", "image"), ("classes", "X")):
        assert heading.index(word) == row.index(f" {value}") + 1
    assert title == "  t"


@pytest.mark.parametrize("name", list_presets())
def test_every_section_is_shown(name, capsys):
    assert main(["preset", "show", name]) == DONE
    shown = capsys.readouterr().out
    content = load_preset(name).to_dict()
    for section in content:
        assert f"\n{section.replace('_', ' ')}  " in f"\n{shown}"
    assert "(for cross-validation)" in shown
    assert "(for image synthesis)" in " ".join(shown.split())
    assert all(len(line) <= 88 for line in shown.splitlines())


def test_settings_are_changed_in_order(capsys):
    words = ["preset", "show", "evidence", "--json"]
    words += ["--set", "fusion_training.epochs=5", "--set", "fusion_training.epochs=6"]
    assert main(words) == DONE
    found = json.loads(capsys.readouterr().out)
    assert found["fusion_training"]["epochs"] == 6
    expected = load_preset("evidence", ["fusion_training.epochs=6"])
    assert found == expected.to_dict()


def test_yaml_keeps_the_comments_of_the_package(capsys):
    assert main(["preset", "show", "lung-mmlm", "--yaml"]) == DONE
    assert capsys.readouterr().out == preset_text("lung-mmlm")


@pytest.mark.parametrize(
    "words",
    [
        ["resvit-gannet:breakhis-40x"],
        ["lung-mmlm", "--set", "fusion_training.epochs=2"],
    ],
)
def test_yaml_of_a_changed_preset_is_a_preset_file(words, tmp_path, capsys):
    assert main(["preset", "show", *words, "--yaml"]) == DONE
    path = tmp_path / "mine.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    overrides = words[2:]
    assert load_preset(path) == load_preset(words[0], overrides)
    assert yaml.safe_load(path.read_text())["name"] == words[0]
    assert main(["preset", "show", str(path)]) == DONE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "no preset 'nonsense'; known are brca-crossattention"),
        (["evidence", "--set", "a=1"], "unknown settings 'a'; known are baselines"),
        (["evidence", "--set", "a"], "changes no setting"),
        (["evidence", "--set", "fusion.options.x=1"], "no options 'x'; known are"),
    ],
)
def test_bad_requests_are_one_line(words, message, capsys):
    assert main(["preset", "show", *words]) == BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
