from __future__ import annotations

import pandas as pd
import pytest

from napari_mmsubtype.omics.clinical_columns import Place, locate_variables
from napari_mmsubtype.omics.clinical_schema import Variable, parse_schema

AGE = parse_schema({"age": {"kind": "numeric", "unit": "years"}})


def read(frame: dict[str, list[object]], variables=AGE) -> tuple[Place, list[object]]:
    table = pd.DataFrame(frame)
    place = locate_variables(table, variables)[next(iter(variables))]
    return place, [place.read(cell) for cell in table[place.column]]


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("age", [50, 60]),
        ("Diagnosis Age", ["50", "60"]),
        ("demographic.age_at_index", ["50", "60"]),
        ("diagnoses.age_at_diagnosis", ["18262.5", "21915"]),
        ("demographic.days_to_birth", [-18262.5, "-21915"]),
        ("Birth from Initial Pathologic Diagnosis Date", [-18262.5, -21915]),
    ],
)
def test_age_is_found_and_read_in_years_whatever_the_export(column, cells):
    _, values = read({"other": [1, 2], column: cells})
    assert [float(value) for value in values] == pytest.approx([50, 60])


def test_unit_of_a_known_name_is_told_from_the_values():
    place, values = read({"age_at_diagnosis": ["50", "60"]})
    assert values == ["50", "60"]
    assert place.source == place.target == "years"
    place, _ = read({"age_at_diagnosis": ["18262", "21915"]})
    assert (place.source, place.target) == ("days", "years")
    assert "too many for years" in place.evidence


def test_declared_columns_come_first_with_their_unit():
    schema = parse_schema(
        {"size": {"kind": "numeric", "unit": "mm", "columns": {"tumor_cm": "cm"}}}
    )
    place, values = read({"size": [20, 30], "Tumor_CM": [2.1, "'--"]}, schema)
    assert place.column == "Tumor_CM"
    assert values == [21, "'--"]
    place, values = read({"size": [20, 30]}, schema)
    assert (place.column, values) == ("size", [20, 30])


def test_absent_variables_are_left_out_and_categories_are_not_converted():
    frame = pd.DataFrame({"age": ["old", "young"]})
    schema = {"age": Variable("category"), "sex": Variable("category")}
    assert locate_variables(frame, schema) == {"age": Place("age")}
