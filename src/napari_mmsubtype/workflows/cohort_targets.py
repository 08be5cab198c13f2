"""Answers to further questions, as the columns of a manifest hold them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_mmsubtype.models.heads import Heads

STAGES = ("I", "II", "III", "IV")
EARLY_LATE = ("early", "late")
TIME, EVENT = "time", "event"

_STAGE = re.compile(r"(?:STAGE\s*)?(I{1,3}|IV)\s*[ABC]?[0-9]?", re.IGNORECASE)
_UNKNOWN = frozenset({"", "na", "n/a", "nan", "unknown", "not reported", "'--", "--"})
_UNSTAGED = frozenset({"x", "stage x", "0", "stage 0", "is", "stage is"})


@dataclass(frozen=True, slots=True)
class Target:
    """Where a manifest holds the answers to a head.

    Attributes
    ----------
    name : str
        Of the head.
    columns : tuple of str
        Of the manifest.
    parse : callable
        From the cells of a row to numbers, NaN where not known; raises ValueError with
        what was found and expected.
    """

    name: str
    columns: tuple[str, ...]
    parse: Callable[[Mapping[str, str]], tuple[float, ...]]


def head_targets(heads: Heads, columns: Sequence[str] = ()) -> list[Target]:
    """Say where the answers to the heads besides the classes are.

    Parameters
    ----------
    heads : Heads
        Of a preset.
    columns : sequence of str, default: ()
        Of the manifest, where known: survival heads take ``NAME_time`` and
        ``NAME_event`` where these are there, ``time`` and ``event`` otherwise.

    Returns
    -------
    list of Target
        One per head.
    """
    found = []
    for name, head in heads.others.items():
        column = name.lower()
        if isinstance(head, ClassHead):
            parse = partial(_level, column=column, names=head.labels)
            found.append(Target(name, (column,), parse))
        elif isinstance(head, OrdinalHead):
            parse = partial(_level, column=column, names=head.levels)
            found.append(Target(name, (column,), parse))
        else:
            own = (f"{column}_{TIME}", f"{column}_{EVENT}")
            taken = own if all(c in columns for c in own) else (TIME, EVENT)
            found.append(Target(name, taken, partial(_survival, columns=taken)))
    return found


def stage_level(text: str) -> int | None:
    """Read a stage of a tumour.

    Parameters
    ----------
    text : str
        Such as ``II``, ``STAGE IIB`` or ``Stage X``.

    Returns
    -------
    int or None
        0 to 3 for I to IV; None where the stage is not known.

    Raises
    ------
    ValueError
        If it is no stage.
    """
    plain = text.strip()
    if plain.casefold() in _UNKNOWN | _UNSTAGED:
        return None
    match = _STAGE.fullmatch(plain)
    if match is None:
        msg = f"{text!r} is no stage; write I, II, III or IV, with or without A, B, C"
        raise ValueError(msg)
    return STAGES.index(match.group(1).upper())


def are_stages(names: Sequence[str]) -> bool:
    """Tell whether levels are the stages I to IV, or early and late.

    Parameters
    ----------
    names : sequence of str
        Of an ordinal head.

    Returns
    -------
    bool
        True for either.
    """
    return _is_early_late(names) or tuple(n.upper() for n in names) == STAGES


def _is_early_late(names: Sequence[str]) -> bool:
    return tuple(name.lower() for name in names) == EARLY_LATE


def _level(
    cells: Mapping[str, str], *, column: str, names: Sequence[str]
) -> tuple[float, ...]:
    """Find the number of a class or level."""
    text = cells[column].strip()
    if text.casefold() in _UNKNOWN:
        return (math.nan,)
    known = {name.casefold(): number for number, name in enumerate(names)}
    if text.casefold() in known:
        return (float(known[text.casefold()]),)
    if are_stages(names):
        stage = stage_level(text)
        if stage is None:
            return (math.nan,)
        return (float(stage >= 2) if _is_early_late(names) else float(stage),)
    msg = f"{column} must be one of {', '.join(names)} or empty, found {text!r}"
    raise ValueError(msg)


def _survival(
    cells: Mapping[str, str], *, columns: tuple[str, str]
) -> tuple[float, ...]:
    """Read follow-up and event; cBioPortal writes ``1:DECEASED``."""
    time, event = (cells[c].strip() for c in columns)
    missing = [text.casefold() in _UNKNOWN for text in (time, event)]
    if all(missing):
        return (math.nan, math.nan)
    if any(missing):
        msg = f"{columns[0]} and {columns[1]} must both be given or both be empty"
        raise ValueError(msg)
    happened = event.partition(":")[0]
    try:
        length = float(time)
    except ValueError:
        length = math.nan
    if not (math.isfinite(length) and length >= 0):
        msg = f"{columns[0]} must be a number from 0, found {time!r}"
        raise ValueError(msg)
    if happened not in ("0", "1"):
        msg = (
            f"{columns[1]} must be 1 for the event or 0 for censoring, found {event!r}"
        )
        raise ValueError(msg)
    return (length, float(happened))
