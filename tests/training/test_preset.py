from __future__ import annotations

import copy

import pytest

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.preset import LATER_STAGES, read_preset, section_names

SMALL = {
    "name": "small",
    "title": "A test",
    "source": "nobody",
    "classes": [{"name": "A", "color": "#000000"}, {"name": "B", "color": "#ffffff"}],
    "patch": {"size_px": 64, "mpp": 0.5, "stride_px": 32},
    "encoder": {"name": "resnet18"},
    "patch_training": {"epochs": 2},
    "modalities": {"clinical": {"schema": {"age": "numeric"}}, "rna": {}},
    "fusion": {"name": "late"},
    "fusion_training": {"epochs": 3, "drop": {"rna": 0.5}},
    "validation": {"seeds": [7, 8]},
}


def changed(**sections):
    content = copy.deepcopy(SMALL)
    for name, value in sections.items():
        inner = content.get(name)
        if isinstance(inner, dict) and isinstance(value, dict):
            value = {**inner, **value}
        content[name] = value
    return content


def test_a_preset_survives_being_written():
    preset = read_preset(SMALL, "it")
    assert preset.to_dict() == read_preset(preset.to_dict(), "it").to_dict()
    assert read_preset(preset.to_dict(), "it") == preset
    assert tuple(preset.to_dict()) == section_names()


def test_modalities_are_in_the_usual_order():
    preset = read_preset(SMALL, "it")
    assert list(preset.modalities) == [Modality.RNA, Modality.CLINICAL]


def test_seeds_are_those_of_the_validation():
    preset = read_preset(SMALL, "it")
    assert (preset.patch_training.seed, preset.fusion_training.seed) == (7, 7)
    again = preset.with_seed(8)
    assert (again.patch_training.seed, again.fusion_training.seed) == (8, 8)
    assert again.to_dict() == preset.to_dict()
    frozen = read_preset(changed(patch_training=None), "it").with_seed(3)
    assert frozen.patch_training is None
    assert frozen.fusion_training.seed == 3


def test_what_is_none_is_left_out():
    content = changed(
        modalities={"rna": None},
        heads={"risk": None},
        fusion_training={
            "drop": {"rna": None, "image": 0.1},
            "head_weights": {"risk": None},
        },
    )
    preset = read_preset(content, "it")
    assert list(preset.modalities) == [Modality.CLINICAL]
    assert preset.heads == {}
    assert preset.fusion_training.drop == {Modality.IMAGE: 0.1}


def test_what_has_no_meaning_is_not_written():
    written = read_preset(SMALL, "it").to_dict()["modalities"]
    assert set(written["clinical"]) == {"clip", "min_coverage", "schema"}
    assert set(written["rna"]) == {"clip", "min_coverage", "options"}
    assert "aggregate" not in written["rna"]["options"]


def test_a_value_that_is_switched_off_is_kept():
    sets = {"source": "pam50", "rest": "none", "learned": 32}
    content = changed(
        modalities={"rna": {"options": {"neighbors": 9}, "gene_sets": sets}}
    )
    preset = read_preset(content, "it")
    written = preset.to_dict()["modalities"]["rna"]
    assert written["options"]["neighbors"] == 9
    assert written["gene_sets"]["learned"] == 32
    assert "top" not in written["options"]
    assert read_preset(preset.to_dict(), "it") == preset


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(classes=[]), "two or more of different names, found"),
        (changed(classes=[SMALL["classes"][0]] * 2), "two or more of different names"),
        (changed(patch={"stride_px": 65}), "patch: stride 65 px is larger"),
        (changed(modalities={"image": {}}), "modalities are tables"),
        (changed(modalities={"rna": None}), "drop names rna, which"),
        (
            changed(fusion_training={"head_weights": {"risk": 1.0}}),
            "head_weights names risk, which the preset does not have",
        ),
        (
            changed(modalities={"rna": {"options": {"aggregate": "gene"}}}),
            r"modalities.rna.options.aggregate has no meaning",
        ),
        (
            changed(modalities={"rna": {"schema": {"age": "numeric"}}}),
            r"modalities.rna.schema has no meaning",
        ),
        (
            changed(modalities={"clinical": {"options": {"top": 9}}}),
            r"modalities.clinical.options has no meaning",
        ),
        (
            changed(baselines={"fusions": ["methylation_only"]}),
            "baseline 'methylation_only' needs modalities.methylation",
        ),
        (
            changed(fusion_training={"seed": 3}),
            "it: fusion_training has a seed; .*validation.seeds",
        ),
        (changed(patch_training={"seed": 3}), "it: patch_training has a seed"),
        (changed(nonsense=3), "it: unknown settings 'nonsense'; known are baselines"),
        ([1], "it: expected settings by name"),
    ],
)
def test_what_does_not_fit_is_named(content, message):
    with pytest.raises(ConfigurationError, match=message):
        read_preset(content, "it")


def test_sections_for_later_stages_are_sections():
    assert set(LATER_STAGES) < set(section_names())
