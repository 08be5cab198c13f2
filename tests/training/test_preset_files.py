from __future__ import annotations

import re

import pytest
import yaml

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.preset_files import (
    list_presets,
    list_variants,
    load_preset,
    parse_override,
    preset_text,
    to_yaml,
)

NAMES = ["brca-crossattention", "evidence", "lung-mmlm", "resvit-gannet"]


def test_the_three_published_systems_and_ours_are_there():
    assert list_presets() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_files_are_complete_and_say_why(name):
    text = preset_text(name)
    content = yaml.safe_load(text)
    content.pop("variants")
    preset = load_preset(name)
    # Nothing is left to a default, and nothing in the file goes unread.
    assert content == preset.to_dict()
    assert list(content) == list(preset.to_dict())
    assert preset.name == name
    comments = [line for line in text.splitlines() if line.lstrip().startswith("#")]
    assert len(comments) > 8
    assert max(map(len, text.splitlines())) <= 88


@pytest.mark.parametrize("name", NAMES)
def test_every_variant_loads_and_differs(name):
    plain = load_preset(name).to_dict()
    for variant in list_variants(name):
        found = load_preset(f"{name}:{variant}").to_dict()
        assert found.pop("name") == f"{name}:{variant}"
        assert found != {k: v for k, v in plain.items() if k != "name"}


def test_breakhis_covers_the_same_tissue_per_camera_pixel():
    # The shorter side, 460 px of the camera, becomes 256 px.
    for zoom, camera in ((40, 0.49), (100, 0.20), (200, 0.10), (400, 0.05)):
        preset = load_preset(f"resvit-gannet:breakhis-{zoom}x")
        assert len(preset.classes) == 8
        assert preset.patch.mpp == pytest.approx(camera * 460 / 256, abs=0.005)
        assert preset.validation.folds == 3
        assert preset.validation.group == "patient"


def test_a_bach_image_is_a_dozen_patches():
    patch = load_preset("resvit-gannet").patch
    side = patch.size_px * patch.mpp
    assert round(2048 * 0.42 / side, 2) == 4.0
    assert round(1536 * 0.42 / side, 2) == 3.0
    assert patch.stride_px == patch.size_px


def test_overrides_go_by_path_and_are_taken_in_order():
    preset = load_preset(
        "lung-mmlm:two-classes",
        [
            "fusion_training.epochs=5",
            "fusion_training.learning_rate=1e-3",
            "fusion_training.epochs=6",
            "encoder.options.small_stem=true",
            "modalities.methylation=",
            "fusion_training.drop.methylation=null",
            "baselines.fusions=[image_only]",
            "validation.seeds=[4, 5]",
            "synthesis.kimg=10",
        ],
    )
    assert preset.fusion_training.epochs == 6
    assert preset.fusion_training.learning_rate == 1e-3
    assert preset.encoder.options == {"small_stem": True}
    assert list(preset.modalities) == [Modality.RNA, Modality.CLINICAL]
    assert preset.fusion_training.seed == 4
    assert preset.synthesis.kimg == 10
    assert [subtype.name for subtype in preset.classes] == ["LUAD", "LUSC"]
    # The files themselves are untouched.
    assert load_preset("lung-mmlm").fusion_training.epochs == 60


def test_a_preset_with_changes_becomes_a_file_of_its_own(tmp_path):
    preset = load_preset("evidence", ["fusion_training.batch_size=4", "title=Ändern"])
    path = tmp_path / "mine.yaml"
    path.write_text(to_yaml(preset), encoding="utf-8")
    assert load_preset(path) == preset
    assert load_preset(str(path)) == preset
    assert list_variants(path) == []


def test_variants_of_a_file_of_ones_own(tmp_path):
    content = load_preset("evidence").to_dict()
    content["variants"] = {"short": {"fusion_training.epochs": 2}}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    assert load_preset(f"{path}:short").fusion_training.epochs == 2
    assert load_preset(path).fusion_training.epochs == 60


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("a.b=1", "a.b", 1),
        (" a = x=y", "a", "x=y"),
        ("a=", "a", None),
        ("a=[1, {b: c}]", "a", [1, {"b": "c"}]),
        ("a=no", "a", False),
    ],
)
def test_overrides_are_paths_and_yaml(text, path, value):
    assert parse_override(text) == (path, value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "changes no setting"),
        ("=1", "changes no setting"),
        ("a..b=1", "changes no setting"),
        ("a=[1", "is no YAML"),
    ],
)
def test_what_is_no_override_is_refused(text, message):
    with pytest.raises(ConfigurationError, match=message):
        parse_override(text)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("lung", [], "no preset 'lung'; known are brca-crossattention, evidence"),
        ("evidence:x", [], "preset 'evidence' has no variant 'x'; it has site-pres"),
        ("gone.yaml", [], r"'gone.yaml' cannot be read \(No such file"),
        ("evidence", ["encoder.name.x=1"], "goes through 'encoder.name', which is"),
        ("evidence", ["encodr.name=a"], "unknown settings 'encodr'; known are base"),
        ("evidence", ["patch.size=1"], "patch: unknown settings 'size'; known are"),
        ("evidence", ["fusion_training.epochs=0"], "fusion_training: training: epochs"),
    ],
)
def test_bad_requests_are_one_message(name, overrides, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_preset(name, overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is no YAML"),
        ("- a", "holds a list; expected the sections name, title"),
        ("", "holds a NoneType"),
        ("variants: 3", "variants must be settings by path"),
        ("variants: {a: 3}", "variants must be settings by path"),
        ("name: a", "missing settings 'title', 'source', 'classes'"),
        ("!!python/object/apply:os.system ['true']", "is no YAML"),
    ],
)
def test_bad_files_are_one_message(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_preset(path)
    assert str(path) in str(caught.value)
    assert not re.search(r"\n", str(caught.value))
