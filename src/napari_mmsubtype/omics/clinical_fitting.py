"""Clinical variables: typed and learned from training patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.clinical_columns import (
    Place,
    describe_place,
    locate_variables,
)
from napari_mmsubtype.omics.clinical_encoding import (
    UNKNOWN,
    read_scalar,
    spell_category,
)
from napari_mmsubtype.omics.clinical_leakage import Leak, find_leaks, refuse_leaks
from napari_mmsubtype.omics.clinical_scales import read_number
from napari_mmsubtype.omics.clinical_schema import Kind, Variable, parse_schema
from napari_mmsubtype.omics.clinical_table import is_unanswered

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


_MIN_NUMERIC = 0.95
_MIN_DISTINCT = 6
_MAX_CATEGORIES = 30
_MIN_CATEGORY_COUNT = 2
_STD_FLOOR = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class ClinicalFit:
    """The encoding of clinical variables, and how it came about.

    Attributes
    ----------
    features : DataFrame
        One row per model column: ``feature``, ``variable``, ``kind`` (``numeric``,
        ``ordinal``, ``category`` or ``missing``), ``category``, ``mean``, ``std``,
        ``fill`` and ``schema`` (what the schema says besides the kind, as JSON).
    steps : tuple of str
        What was left out, converted or used on purpose.
    """

    features: pd.DataFrame
    steps: tuple[str, ...]


def fit_clinical(
    frame: pd.DataFrame,
    schema: Mapping[str, str | Mapping[str, object] | Variable] | None = None,
    *,
    labels: Sequence[object] | None = None,
    allow: Collection[str] = (),
) -> ClinicalFit:
    """Learn the encoding of clinical variables from training patients.

    A number, or the place of an ordinal in its order, becomes its z-score and, where
    training patients lack it, a missing indicator. A category becomes one column per
    level that at least two training patients have, and one for `UNKNOWN` where training
    patients have a rarer level or none. Without that column an unknown answer takes the
    training shares.

    Columns that may give the label away or name the patient are refused: declared ones
    with an error, others by leaving them out, which ``steps`` says.

    Parameters
    ----------
    frame : DataFrame
        Training patients only, one column per variable, text or numbers.
    schema : mapping or None, default: None
        Variables to encode, as `clinical_schema.parse_schema`; None encodes every
        column, as numbers where nearly all answers are numbers and there are at least
        six different ones.
    labels : sequence or None, default: None
        Class of each patient: columns that tell it are refused, whatever their name.
    allow : collection of str, default: ()
        Columns to use although they may give the label away.

    Returns
    -------
    ClinicalFit
        Features and what was done.

    Raises
    ------
    ConfigurationError
        If a variable is absent, has no answers, cannot be of the kind declared, or may
        give the label away.
    """
    steps = [f"fitted on {len(frame)} training patients"]
    if schema is None:
        frame, left_out = _screened(frame, labels, allow)
        steps += left_out
        variables = {c: Variable(_kind(frame[c])) for c in map(str, frame.columns)}
        places = locate_variables(frame, variables)
    else:
        variables = parse_schema(schema)
        places = locate_variables(frame, variables)
        if absent := [name for name in variables if name not in places]:
            listed = ", ".join(map(str, frame.columns[:8]))
            msg = (
                f"clinical variable {absent[0]!r} is not among the columns ({listed}); "
                "declare its column"
            )
            raise ConfigurationError(msg)
        refuse_leaks(_declared_leaks(frame, places, labels, allow), allow)
    if purpose := [n for n, p in places.items() if {n, p.column} & set(allow)]:
        steps.append(f"used on purpose: {', '.join(purpose)}")
    rows: list[dict[str, Any]] = []
    for name, variable in variables.items():
        found = _fit_variable(
            name, frame, places[name], variable, steps, strict=schema is not None
        )
        rows.extend({**row, "schema": variable.to_text()} for row in found)
    if not rows:
        msg = "no clinical variable varies among the training patients; name others"
        raise ConfigurationError("; ".join([msg, *steps[1:]]))
    return ClinicalFit(pd.DataFrame(rows), tuple(steps))


def _screened(
    frame: pd.DataFrame, labels: Sequence[object] | None, allow: Collection[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Leave out the columns that may give the label away."""
    leaks = [leak for leak in find_leaks(frame, labels) if leak.column not in allow]
    if not leaks:
        return frame, []
    steps = [
        f"{len(leaks)} columns that may give the label away or name the patient left "
        f"out: {', '.join(map(str, leaks))}"
    ]
    return frame.drop(columns=[leak.column for leak in leaks]), steps


def _fit_variable(
    name: str,
    frame: pd.DataFrame,
    place: Place,
    variable: Variable,
    steps: list[str],
    *,
    strict: bool,
) -> list[dict[str, Any]]:
    """Learn one variable, and add to the steps what there is to tell."""
    values = frame[place.column].map(place.read)
    if place.source != place.target:
        steps.append(f"{name} read {describe_place(place)}")
    if variable.kind == "category":
        found = _fit_category(name, values, strict=strict)
    else:
        found = _fit_numeric(name, values, variable)
    if isinstance(found, str):
        steps.append(found)
        return []
    if not found:
        steps.append(f"{name} is the same for every patient and was left out")
    return found


def _declared_leaks(
    frame: pd.DataFrame,
    places: Mapping[str, Place],
    labels: Sequence[object] | None,
    allow: Collection[str],
) -> list[Leak]:
    """Look at the columns of declared variables, under both of their names."""
    found: dict[str, Leak] = {}
    for name, place in places.items():
        if {name, place.column} & set(allow):
            continue
        for title in (place.column, name):
            column = frame[[place.column]].set_axis([title], axis=1)
            for leak in find_leaks(column, labels):
                found.setdefault(place.column, Leak(title, leak.reason))
    return list(found.values())


def _kind(values: pd.Series[Any]) -> Kind:
    """Tell numbers from categories."""
    answers = values[~values.map(is_unanswered)]
    numbers = answers.map(read_number)
    share = float(numbers.notna().mean()) if len(answers) else 0.0
    enough = numbers.nunique() >= _MIN_DISTINCT
    return "numeric" if share >= _MIN_NUMERIC and enough else "category"


def _fit_numeric(
    name: str, values: pd.Series[Any], variable: Variable
) -> list[dict[str, Any]]:
    """Learn scale and fill of a number or an ordinal."""
    numbers = values.map(lambda cell: read_scalar(cell, variable)).to_numpy(np.float64)
    known = numbers[np.isfinite(numbers)]
    if known.size == 0:
        what = "number" if variable.kind == "numeric" else "answer of its order"
        shown = ", ".join(repr(str(v)) for v in values.dropna().unique()[:3]) or "none"
        msg = (
            f"clinical variable {name!r} has no {what} in training (answers: {shown}); "
            "declare another kind or column"
        )
        raise ConfigurationError(msg)
    rows = []
    entry = {"variable": name, "category": ""}
    if (std := float(known.std())) > _STD_FLOOR:
        rows.append(
            {
                "feature": name,
                "kind": variable.kind,
                "mean": float(known.mean()),
                "std": std,
                "fill": float(np.median(known)),
                **entry,
            }
        )
    absent = 1.0 - known.size / numbers.size
    if absent > 0:
        scale = {"mean": 0.0, "std": 1.0, "fill": 1.0}
        rows.append({"feature": f"{name}=missing", "kind": "missing", **scale, **entry})
    return rows


def _fit_category(
    variable: str, values: pd.Series[Any], *, strict: bool
) -> list[dict[str, Any]] | str:
    """Learn the levels of a category; give the reason where that is no use."""
    levels = values.map(spell_category)
    shares = levels.value_counts()
    kept = sorted(
        str(level)
        for level, count in shares.items()
        if count >= _MIN_CATEGORY_COUNT and level != UNKNOWN
    )
    if len(kept) > _MAX_CATEGORIES:
        msg = (
            f"clinical variable {variable!r} has {len(kept)} levels (at most "
            f"{_MAX_CATEGORIES})"
        )
        if not strict:
            return f"{msg} and was left out"
        raise ConfigurationError(f"{msg}; is it an identifier or a number?")
    others = 1.0 - float(levels.isin(kept).mean())
    names = [*kept, UNKNOWN] if others > 0 else kept
    if len(names) < 2:
        return []  # The same for every training patient: it can tell nothing.
    return [
        {
            "feature": f"{variable}={name}",
            "variable": variable,
            "kind": "category",
            "category": name,
            "mean": 0.0,
            "std": 1.0,
            # With a column for unknown, no answer is an answer of its own.
            "fill": float(name == UNKNOWN)
            if others
            else float(np.mean(levels == name)),
        }
        for name in names
    ]
