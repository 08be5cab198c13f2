from __future__ import annotations

import json

import pytest
import yaml

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.clinical_schema import Variable, parse_schema, read_schema

GIVEN = {
    "age": {
        "kind": "numeric",
        "unit": "years",
        "columns": {"age_at_diagnosis": "days", "age_at_index": "years"},
    },
    "stage": {"kind": "ordinal", "order": "stage"},
    "smoking": {
        "kind": "ordinal",
        "order": ["never", "former", "current"],
        "columns": ["tobacco_smoking_status"],
    },
    "sex": "category",
}


def test_short_and_long_forms_are_understood():
    schema = parse_schema(GIVEN)
    assert list(schema) == list(GIVEN)
    assert schema["sex"] == Variable("category")
    assert schema["age"].columns == {
        "age_at_diagnosis": "days",
        "age_at_index": "years",
    }
    assert schema["smoking"].order == ("never", "former", "current")
    assert schema["smoking"].columns == {"tobacco_smoking_status": ""}
    assert parse_schema(schema) == schema


@pytest.mark.parametrize("name", list(GIVEN))
def test_variables_survive_as_text(name):
    variable = parse_schema(GIVEN)[name]
    assert Variable.from_text(variable.to_text(), variable.kind) == variable
    assert bool(variable.to_text()) == (name != "sex")


@pytest.mark.parametrize(
    ("name", "dump"), [("s.json", json.dumps), ("s.yaml", yaml.safe_dump)]
)
def test_schemas_are_read_from_json_and_yaml(tmp_path, name, dump):
    path = tmp_path / name
    path.write_text(dump(GIVEN), encoding="utf-8")
    assert read_schema(path) == parse_schema(GIVEN)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("number", "kind 'number' is not one of numeric, ordinal, category"),
        ({"unit": "years"}, "expected numeric, ordinal or category"),
        ({"kind": "numeric", "range": 3}, "mapping with kind, unit, order, columns"),
        ({"kind": "numeric", "unit": "parsecs"}, "unit 'parsecs'"),
        ({"kind": "numeric", "unit": "cm", "columns": {"x": "days"}}, "do not measure"),
        ({"kind": "ordinal"}, "does not suit kind 'ordinal'"),
        ({"kind": "ordinal", "order": "rank"}, "order 'rank'"),
        ({"kind": "category", "order": ["a", "b"]}, "does not suit kind 'category'"),
        ({"kind": "numeric", "columns": 5}, "columns is a list"),
    ],
)
def test_what_is_no_variable_is_refused_by_name(entry, words):
    with pytest.raises(ConfigurationError, match=f"'height'.*{words}"):
        parse_schema({"height": entry})


def test_a_text_that_is_no_variable_is_refused():
    for text in ("{", '{"kind": "rank"}', "[1]"):
        with pytest.raises(ConfigurationError):
            Variable.from_text(text, "numeric")


def test_files_that_are_no_schema_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_schema(tmp_path / "absent.yaml")
    path = tmp_path / "list.yaml"
    path.write_text("- age\n- sex\n")
    with pytest.raises(ConfigurationError, match="holds a list"):
        read_schema(path)
    path.write_text("age: number\n")
    with pytest.raises(
        ConfigurationError, match=r"'list\.yaml': clinical variable 'age'"
    ):
        read_schema(path)
    with pytest.raises(ConfigurationError, match="names no variable"):
        parse_schema({})
