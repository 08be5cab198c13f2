"""Where a table keeps a model's clinical variables, and in which unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.omics.clinical_scales import convert_number, read_number
from napari_mmsubtype.omics.clinical_table import match_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from napari_mmsubtype.omics.clinical_schema import Variable

_KNOWN_COLUMNS = {
    "age": (
        "age_at_diagnosis",
        "days_to_birth",
        "birth_from_initial_pathologic_diagnosis_date",
    ),
    "pack_years": ("pack_years_smoked", "tobacco_smoking_pack_years"),
}
_DAYS_BEFORE = ("days_to_birth", "birth_from_initial")
_OLDEST = 130.0  # years


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table keeps a variable.

    Attributes
    ----------
    column : str
        Name of the column.
    source, target : str
        Units of the column and of the model, empty where not said.
    evidence : str
        What said that the column is in that unit; empty where it is the model's.
    """

    column: str
    source: str = ""
    target: str = ""
    evidence: str = ""

    def read(self, value: object) -> object:
        """Bring a cell to the model's unit.

        Parameters
        ----------
        value : object
            A cell of the column.

        Returns
        -------
        object
            The cell as it is, or its number converted.
        """
        if self.source == self.target:
            return value
        number = read_number(value)
        if np.isnan(number):
            return value
        return convert_number(number, self.source, self.target)


def locate_variables(
    frame: pd.DataFrame, variables: Mapping[str, Variable]
) -> dict[str, Place]:
    """Find the columns of a model's variables.

    The columns that the schema declares come first, then one of the variable's own
    name or a synonym, then what public exports call it.

    Parameters
    ----------
    frame : DataFrame
        A clinical table, all of its rows.
    variables : mapping of str to Variable
        The model's.

    Returns
    -------
    dict of str to Place
        Without the variables that the table does not have.
    """
    columns = [str(column) for column in frame.columns]
    found = {}
    for name, variable in variables.items():
        known = _KNOWN_COLUMNS.get(name.casefold(), ())
        for wanted in (*variable.columns, name, *known):
            column = match_variables(columns, [wanted])[wanted]
            if column is not None:
                declared = variable.columns.get(wanted, "")
                found[name] = _place(frame, column, name, variable, declared)
                break
    return found


def _place(
    frame: pd.DataFrame, column: str, name: str, variable: Variable, declared: str
) -> Place:
    """Say in which unit a column holds a variable."""
    if variable.kind != "numeric":
        return Place(column)
    target = variable.unit or ("years" if name.casefold() == "age" else "")
    if declared:
        return Place(column, declared, target, "as the schema declares")
    if target != "years":
        return Place(column)
    plain = column.rpartition(".")[2].strip().casefold().replace(" ", "_")
    if plain.startswith(_DAYS_BEFORE):
        return Place(column, "days before", target, "by its name")
    numbers = frame[column].map(read_number).to_numpy(dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if numbers.size and float(np.median(numbers)) > _OLDEST:
        evidence = f"median {np.median(numbers):.6g}: too many for years"
        return Place(column, "days", target, evidence)
    return Place(column, target, target)


def describe_place(place: Place) -> str:
    """Say where a variable was read.

    Parameters
    ----------
    place : Place
        Column and units.

    Returns
    -------
    str
        For example ``"from column 'age_at_diagnosis', days made years"``.
    """
    text = f"from column {place.column!r}"
    if place.source != place.target:
        text += f", {place.source} made {place.target} ({place.evidence})"
    return text
