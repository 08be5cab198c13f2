"""The declared schema of clinical variables: kind, unit, order, columns."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import yaml

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.clinical_scales import SCALES, UNITS

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

Kind = Literal["numeric", "ordinal", "category"]

_KEYS = ("kind", "unit", "order", "columns")


@dataclass(frozen=True, slots=True)
class Variable:
    """How a clinical variable is read.

    Attributes
    ----------
    kind : {"numeric", "ordinal", "category"}
        A number, an ordered answer, or one of several answers.
    unit : str
        Unit of a number in the model; a key of `clinical_scales.UNITS`, or empty.
    order : str or tuple of str
        Order of an ordinal: ``stage``, ``t``, ``n``, ``m`` or ``grade``, or its
        answers, the least first.
    columns : mapping of str to str
        Columns of tables that hold it besides one of its own name, the preferred
        first, with the unit in which they do (empty for the model's).
    """

    kind: Kind
    unit: str = ""
    order: str | tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            msg = f"kind {self.kind!r} is not one of {', '.join(get_args(Kind))}"
            raise ConfigurationError(msg)
        if not isinstance(self.order, str):
            object.__setattr__(self, "order", tuple(map(str, self.order)))
        units = {self.unit, *self.columns.values()} - {""}
        if strange := sorted(units - set(UNITS)):
            msg = f"clinical unit {strange[0]!r} is not one of {', '.join(UNITS)}"
            raise ConfigurationError(msg)
        if len({UNITS[unit][0] for unit in units}) > 1:
            msg = f"units {', '.join(sorted(units))} do not measure the same"
            raise ConfigurationError(msg)
        if (self.kind == "ordinal") != bool(self.order) or (
            isinstance(self.order, str) and self.order not in {"", *SCALES}
        ):
            msg = (
                f"order {self.order!r} does not suit kind {self.kind!r}; an ordinal "
                f"has the order {', '.join(SCALES)}, or a list of its answers"
            )
            raise ConfigurationError(msg)

    def to_text(self) -> str:
        """Write what is not said by the kind alone.

        Returns
        -------
        str
            JSON, or empty for a plain number or category; `from_text` reverses it.
        """
        said: dict[str, Any] = {}
        if self.unit:
            said["unit"] = self.unit
        if self.order:
            order = self.order
            said["order"] = order if isinstance(order, str) else list(order)
        if self.columns:
            said["columns"] = dict(self.columns)
        if not said:
            return ""
        return json.dumps({"kind": self.kind, **said}, ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str, kind: Kind) -> Variable:
        """Read what `to_text` wrote.

        Parameters
        ----------
        text : str
            JSON, or empty.
        kind : {"numeric", "ordinal", "category"}
            What an empty text stands for.

        Returns
        -------
        Variable
            Equal to the one written.

        Raises
        ------
        ConfigurationError
            If the text is none of `to_text`.
        """
        if not text:
            return cls(kind)
        try:
            entry = json.loads(text)
        except ValueError as err:
            msg = f"{text!r} describes no clinical variable ({err}); fit again"
            raise ConfigurationError(msg) from err
        return _parse("variable", entry)


def parse_schema(
    given: Mapping[str, str | Mapping[str, object] | Variable],
) -> dict[str, Variable]:
    """Check a schema of clinical variables.

    Parameters
    ----------
    given : mapping
        By variable: its kind, or ``kind`` with any of ``unit``, ``order`` and
        ``columns`` (a list, or each column's unit).

    Returns
    -------
    dict of str to Variable
        In the same order.

    Raises
    ------
    ConfigurationError
        If a kind, unit, order or key is not known; the message names the variable.

    Examples
    --------
    >>> schema = parse_schema(
    ...     {
    ...         "age": {"kind": "numeric", "unit": "years",
    ...                 "columns": {"age_at_diagnosis": "days"}},
    ...         "stage": {"kind": "ordinal", "order": "stage"},
    ...         "sex": "category",
    ...     }
    ... )
    >>> schema["age"].unit
    'years'
    """
    if not given:
        msg = "the clinical schema names no variable; name at least one"
        raise ConfigurationError(msg)
    return {str(name): _parse(str(name), entry) for name, entry in given.items()}


def read_schema(path: str | os.PathLike[str]) -> dict[str, Variable]:
    """Read a schema of clinical variables from a file.

    Parameters
    ----------
    path : str or path-like
        JSON or YAML with what `parse_schema` takes.

    Returns
    -------
    dict of str to Variable
        In the order of the file.

    Raises
    ------
    ConfigurationError
        If the file cannot be read or is no schema.
    """
    source = Path(path)
    try:
        # JSON is YAML as well.
        content = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        msg = f"clinical schema {str(source)!r} cannot be read ({err})"
        raise ConfigurationError(msg) from err
    if not isinstance(content, dict):
        msg = (
            f"clinical schema {source.name!r} holds a {type(content).__name__}; "
            "expected variables with their kinds, such as 'age: numeric'"
        )
        raise ConfigurationError(msg)
    try:
        return parse_schema(content)
    except ConfigurationError as err:
        msg = f"clinical schema {source.name!r}: {err}"
        raise ConfigurationError(msg) from err


def _parse(name: str, entry: object) -> Variable:
    """Read one variable of a schema."""
    if isinstance(entry, Variable):
        return entry
    if isinstance(entry, str):
        entry = {"kind": entry}
    if not isinstance(entry, dict) or not {"kind"} <= set(entry) <= set(_KEYS):
        msg = (
            f"clinical variable {name!r} is described by {entry!r}; expected numeric, "
            f"ordinal or category, or a mapping with {', '.join(_KEYS)}"
        )
        raise ConfigurationError(msg)
    columns = entry.get("columns") or {}
    if isinstance(columns, (list, tuple)):
        columns = dict.fromkeys(map(str, columns), "")
    order = entry.get("order") or ()
    if not isinstance(columns, dict) or not isinstance(order, (str, list, tuple)):
        msg = (
            f"clinical variable {name!r}: columns is a list or a mapping to units, "
            "order a name or a list of answers"
        )
        raise ConfigurationError(msg)
    try:
        return Variable(
            kind=entry["kind"],
            unit=str(entry.get("unit") or ""),
            order=order if isinstance(order, str) else tuple(order),
            columns={str(c): str(u or "") for c, u in columns.items()},
        )
    except ConfigurationError as err:
        msg = f"clinical variable {name!r}: {err}"
        raise ConfigurationError(msg) from err
