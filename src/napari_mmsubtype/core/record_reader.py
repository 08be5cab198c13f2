"""Turn values read from a file into records, with every name and type checked."""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from napari_mmsubtype.errors import ConfigurationError

if typing.TYPE_CHECKING:
    from collections.abc import Callable

_Record = TypeVar("_Record")

# YAML takes 1e-4, which has no point, for text.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LARGEST = 2**63
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def read_record(cls: type[_Record], data: object, where: str) -> _Record:
    """Make a record from settings by name.

    Parameters
    ----------
    cls : type
        A dataclass; its annotations say what each setting may be.
    data : object
        Settings by name, as YAML or JSON gives them.
    where : str
        What the settings are, for messages.

    Returns
    -------
    object
        Of `cls`; fields that are not named take their defaults.

    Raises
    ------
    ConfigurationError
        If a setting is unknown, missing, of the wrong type or refused by the record.
    """
    try:
        return _read_fields(cls, data, "")
    except ConfigurationError as err:
        msg = f"{where}: {err}"
        raise ConfigurationError(msg) from err


def read_number(value: object, where: str) -> float:
    """Read a finite number.

    Parameters
    ----------
    value : object
        As JSON gives it; text is no number here.
    where : str
        What it is, for messages.

    Returns
    -------
    float
        The same.

    Raises
    ------
    ConfigurationError
        If it is none.
    """
    if isinstance(value, str):
        raise _wrong(where, value, _WORDS[float])
    return float(_read_plain(float, value, where))


def to_plain(value: object) -> Any:
    """Turn a record into plain types.

    Parameters
    ----------
    value : object
        A dataclass, or what stands in one.

    Returns
    -------
    object
        Dictionaries, lists, text, numbers and None; `read_record` reverses it.
    """
    if is_dataclass(value):
        return {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _read_fields(cls: type[_Record], data: object, path: str) -> _Record:
    """Make the record at a path."""
    prefix = f"{path}: " if path else ""
    if not isinstance(data, Mapping):
        msg = f"{prefix}expected settings by name, found {_shown(data)}"
        raise ConfigurationError(msg)
    known = {f.name: f for f in fields(typing.cast("Any", cls)) if f.init}
    missing = [
        name
        for name, field in known.items()
        if name not in data
        and field.default is MISSING
        and field.default_factory is MISSING
    ]
    unknown = [str(key) for key in data if key not in known]
    for problem, names in (("unknown", unknown), ("missing", missing)):
        if names:
            msg = (
                f"{prefix}{problem} settings {', '.join(map(repr, names))}; known are "
                f"{', '.join(sorted(known))}"
            )
            raise ConfigurationError(msg)
    hints = get_type_hints(cls)
    values = {
        name: _read(hints[name], value, f"{path}.{name}" if path else name)
        for name, value in data.items()
    }
    try:
        return cls(**values)
    except (ConfigurationError, ValueError) as err:
        msg = f"{prefix}{err}"
        raise ConfigurationError(msg) from err


def _read(hint: Any, value: object, path: str) -> Any:
    """Read one value of an annotated type."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _read_union(get_args(hint), value, path)
    if origin is Literal:
        if value not in get_args(hint):
            raise _wrong(path, value, f"one of {_listed(get_args(hint))}")
        return value
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _read_choice(hint, value, path)
    if is_dataclass(hint):
        return _read_fields(typing.cast("type[Any]", hint), value, path)
    readers: dict[Any, Callable[[Any, object, str], Any]] = {
        tuple: _read_list,
        Mapping: _read_mapping,
    }
    return readers.get(origin, _read_plain)(hint, value, path)


def _read_union(members: tuple[Any, ...], value: object, path: str) -> Any:
    """Read what may be None, or text or a mapping."""
    if value is None and types.NoneType in members:
        return None
    rest = [m for m in members if m is not types.NoneType]
    by_shape = [
        m for m in rest if (get_origin(m) is Mapping) == isinstance(value, Mapping)
    ]
    return _read((by_shape or rest)[0], value, path)


def _read_choice(hint: type[Enum], value: object, path: str) -> Enum:
    """Read a member of an enumeration by its value."""
    try:
        return hint(value)
    except ValueError as err:
        raise _wrong(path, value, f"one of {_listed(m.value for m in hint)}") from err


def _read_list(hint: Any, value: object, path: str) -> tuple[Any, ...]:
    """Read a list of any length."""
    if not isinstance(value, (list, tuple)):
        raise _wrong(path, value, "a list")
    item = get_args(hint)[0]
    return tuple(_read(item, v, f"{path}[{i}]") for i, v in enumerate(value))


def _read_mapping(hint: Any, value: object, path: str) -> dict[Any, Any]:
    """Read values by name."""
    if not isinstance(value, Mapping):
        raise _wrong(path, value, "values by name")
    key_hint, item_hint = get_args(hint)
    return {
        _read(key_hint, key, path): _read(item_hint, item, f"{path}.{key}")
        for key, item in value.items()
    }


def _read_plain(hint: Any, value: object, path: str) -> Any:
    """Read text, a number, or true and false."""
    if hint is float:
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            return float(value)
        if isinstance(value, int) and not isinstance(value, bool):
            value = float(value) if abs(value) < _LARGEST else math.inf
    if type(value) is not hint or not _is_plain(value):
        raise _wrong(path, value, _WORDS[hint])
    return value


def _is_plain(value: Any) -> bool:
    """Tell a number that can be counted with; text is no number."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) < _LARGEST


def _wrong(path: str, value: object, expected: str) -> ConfigurationError:
    msg = f"{path} must be {expected}, found {_shown(value)}"
    return ConfigurationError(msg)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _listed(choices: typing.Iterable[object]) -> str:
    return ", ".join(map(str, choices))
