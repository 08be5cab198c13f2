import json

import pytest

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.quality_spec import DEFAULT_EXCLUDE
from napari_mmsubtype.core.recipe import AnalyzeRecipe, digest
from napari_mmsubtype.errors import ConfigurationError


def test_survives_json_and_leaves_out_what_is_not_set():
    recipe = AnalyzeRecipe(slide="a.svs", rna="r.csv", patient="P", mpp=0.25)
    entry = json.loads(json.dumps(recipe.to_dict()))
    assert AnalyzeRecipe.from_dict(entry) == recipe
    assert "clinical" not in entry["analyze"]


def test_what_is_said_about_patches_survives_json():
    recipe = AnalyzeRecipe(
        slide="a.svs",
        exclude=["fold", "pen"],
        quality={"blur_ratio": 0.05},
        min_tissue=0.2,
        edge="inside",
    )
    entry = json.loads(json.dumps(recipe.to_dict()))
    assert AnalyzeRecipe.from_dict(entry) == recipe
    assert entry["analyze"]["exclude"] == ["pen", "fold"]
    assert recipe.excluded_flags == ("pen", "fold")
    assert recipe.quality_spec.blur_ratio == 0.05
    plain = AnalyzeRecipe(slide="a.svs", quality={})
    assert plain.excluded_flags == DEFAULT_EXCLUDE
    assert plain == AnalyzeRecipe(slide="a.svs")
    assert AnalyzeRecipe(slide="a.svs", exclude=[]).excluded_flags == ()


def test_case_gathers_the_tables_given():
    case = AnalyzeRecipe(slide="a.svs", clinical="c.tsv", patient="P").case
    assert list(case.tables) == [Modality.CLINICAL]
    assert case.patient == "P"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"set_coverage": 1.0}, r"between 0 and 1; found 1\.0"),
        ({"mpp": 1000.0}, "not believable"),
        ({"rna": "r.csv"}, "no patient"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"batch_size": 0}, "at least 1"),
        ({"stride_px": -5}, "at least 1"),
        ({"min_tissue": 1.5}, "share of a patch"),
        ({"edge": "wrap"}, "unknown edge 'wrap'"),
        ({"cam_method": "lime"}, "unknown cam method 'lime'"),
        ({"exclude": ["ink"]}, "unknown quality flag 'ink'"),
        ({"quality": {"blurr": 1}}, "unknown quality threshold"),
        ({"quality": 0.05}, "table of thresholds"),
        ({"rna_unit": "tpm"}, "rna_unit is given but no rna table"),
        (
            {"rna": "r.csv", "patient": "P", "rna_samples_in": "cells"},
            "rna_samples_in is 'cells'; expected 'rows'",
        ),
    ],
)
def test_refuses_what_cannot_be_carried_out(fields, says):
    with pytest.raises(ConfigurationError, match=says):
        AnalyzeRecipe(slide="a.svs", **fields)


def test_options_of_a_table_are_its_own():
    recipe = AnalyzeRecipe(
        slide="a.svs", patient="P", rna="r.csv", rna_unit="tpm", rna_samples_in="rows"
    )
    assert recipe.reading(Modality.RNA) == {"unit": "tpm", "samples_in": "rows"}
    assert recipe.reading(Modality.METHYLATION) == {}
    assert recipe.reading(Modality.CLINICAL) == {}


@pytest.mark.parametrize(
    "entry", [{}, {"analyze": {"slide": "a", "colour": 1}}, {"analyze": {}}, []]
)
def test_refuses_what_is_no_recipe(entry):
    with pytest.raises(ConfigurationError, match="recipe"):
        AnalyzeRecipe.from_dict(entry)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("slide", [1, 2], "text"),
        ("slide", None, "text"),
        ("patient", 7, "within quotes"),
        ("batch_size", 1.5, "a whole number"),
        ("batch_size", True, "a whole number"),
        ("stride_px", "64", "a whole number"),
        ("mpp", "half", "a number"),
        ("set_coverage", [0.9], "a number"),
        ("fallback_cpu", "no", "true or false"),
        ("quality", {"blur_ratio": "low"}, "blur_ratio"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_field(name, value, expected):
    entry = {"analyze": {"slide": "a.svs", name: value}}
    with pytest.raises(ConfigurationError, match=expected) as caught:
        AnalyzeRecipe.from_dict(entry)
    assert name in str(caught.value)


def test_whole_numbers_and_none_serve_where_they_may():
    entry = {"slide": "a.svs", "mpp": 1, "batch_size": None, "min_tissue": 0}
    assert AnalyzeRecipe.from_dict({"analyze": entry}).mpp == 1


def test_digest_ignores_key_order_but_not_values():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_an_unknown_precision_is_one_clear_error():
    with pytest.raises(ConfigurationError, match=r"'half'.*bfloat16"):
        AnalyzeRecipe(slide="a.svs", precision="half")
