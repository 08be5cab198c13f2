"""What clinical answers are worth as numbers: units, stages, grades, other orders."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.clinical_table import is_unanswered

if TYPE_CHECKING:
    from collections.abc import Sequence

UNITS: dict[str, tuple[str, float]] = {
    "years": ("time", 1.0),
    "months": ("time", 1.0 / 12.0),
    "weeks": ("time", 7.0 / 365.25),
    "days": ("time", 1.0 / 365.25),
    # GDC counts days from the diagnosis: birth lies before it.
    "days before": ("time", -1.0 / 365.25),
    "mm": ("length", 1.0),
    "cm": ("length", 10.0),
    "kg": ("mass", 1.0),
    "g": ("mass", 0.001),
    "lb": ("mass", 0.45359237),
    "pack-years": ("smoking", 1.0),
    "cigarettes per day": ("smoking rate", 1.0),
    "packs per day": ("smoking rate", 20.0),
}
"""Units of clinical numbers: what they measure, and their size."""

SCALES = ("stage", "t", "n", "m", "grade", "smoking")
"""Orders that are known by name."""

# Three digits after a comma are as likely thousands: not read as a number.
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]{1,2}")
_STAGE = re.compile(
    r"(?:ajcc|figo|pathologic|clinical|tumou?r|stage|\s)*"
    r"(?P<main>0|is|iv|iii|ii|i|[1-4])\s*(?P<letter>[a-d])?(?P<digit>[1-4])?(?:is)?"
)
_TNM = re.compile(
    r"[acpry]{0,2}(?P<axis>[tnm])(?P<main>is|[0-4])(?P<letter>mi|[a-d])?"
    r"(?:[0-9])?(?:\s*\(.*\))?"
)
_GRADE = re.compile(
    r"(?:histologic|tumou?r|neoplasm|grade|g|\s)*(?P<main>iv|iii|ii|i|[1-4])"
)
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4}
_GRADE_WORDS = (
    ("undifferentiated", 4.0), ("anaplastic", 4.0), ("poorly", 3.0), ("high", 3.0),
    ("moderately", 2.0), ("intermediate", 2.0), ("well", 1.0), ("low", 1.0),
)  # fmt: skip
# In this order: a reformed smoker is called current as well.
_SMOKING = (
    (re.compile(r"never|\bnon[- ]?smok|^no$|not a smoker"), 0.0),
    (re.compile(r"reformed|former|\bex\b|\bex-|past|quit|stopped"), 1.0),
    (re.compile(r"current|^smoker$|active|^yes$|daily"), 2.0),
)


def read_number(value: object) -> float:
    """Read one number.

    Parameters
    ----------
    value : object
        A cell; a comma before one or two last digits is a decimal one.

    Returns
    -------
    float
        NaN where the value is no number, infinite, or missing.
    """
    if is_unanswered(value):
        return float("nan")
    text = str(value).strip()
    if _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        return float("nan")
    return number if np.isfinite(number) else float("nan")


def convert_number(number: float, source: str, target: str) -> float:
    """Bring a number from one unit to another.

    Parameters
    ----------
    number : float
        In `source`.
    source, target : str
        Keys of `UNITS`; an empty one changes nothing.

    Returns
    -------
    float
        In `target`.

    Raises
    ------
    ConfigurationError
        If a unit is unknown or the two measure different things.
    """
    if not source or not target or source == target:
        return number
    for unit in (source, target):
        if unit not in UNITS:
            msg = f"clinical unit {unit!r} is not one of {', '.join(UNITS)}"
            raise ConfigurationError(msg)
    (kind, size), (wanted, divisor) = UNITS[source], UNITS[target]
    if kind != wanted:
        msg = f"{source!r} measures {kind} and {target!r} {wanted}; give another unit"
        raise ConfigurationError(msg)
    return number * size / divisor


def read_level(value: object, order: str | Sequence[str]) -> float:
    """Read one answer of an ordered kind as its place in the order.

    Parameters
    ----------
    value : object
        A cell.
    order : str or sequence of str
        A name of `SCALES`, or the answers themselves, the least first.

    Returns
    -------
    float
        For ``stage`` 0 to 4 and for its sub-letters A, B, C a third each (a stage
        without letter counts as its B); for ``t``, ``n`` and ``m`` their number and a
        quarter for each letter (without letter as b); for ``grade`` 1 to 4; for
        ``smoking`` 0 never, 1 former, 2 current; otherwise the position. NaN where the
        answer is missing or not in the order.
    """
    if is_unanswered(value):
        return float("nan")
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    text = re.sub(r"\s+", " ", str(value).strip()).casefold()
    if not isinstance(order, str):
        places = {str(level).strip().casefold(): i for i, level in enumerate(order)}
        return float(places.get(text, float("nan")))
    if order == "stage":
        return _stage(text)
    if order == "grade":
        return _grade(text)
    if order == "smoking":
        return next(
            (place for words, place in _SMOKING if words.search(text)), float("nan")
        )
    return _tnm(text, order)


def _stage(text: str) -> float:
    """Read an AJCC stage."""
    found = _STAGE.fullmatch(text)
    if found is None:
        return float("nan")
    main = _main(found["main"])
    if main == 0:
        return 0.0
    letter = "abcd".index(found["letter"] or "b") / 3
    digit = (int(found["digit"]) - 1) / 12 if found["digit"] else 0.0
    return main + letter + digit


def _tnm(text: str, axis: str) -> float:
    """Read the extent of the tumour, of nodes or of metastases."""
    found = _TNM.fullmatch(text)
    if found is None or found["axis"] != axis:
        return float("nan")
    if found["main"] == "is":
        return 0.5
    main = float(found["main"])
    if main == 0:
        return 0.0
    letter = found["letter"] or "b"
    return main + ("abcd".index(letter) / 4 if letter != "mi" else 0.0)


def _grade(text: str) -> float:
    """Read a histologic grade."""
    found = _GRADE.fullmatch(text)
    if found is not None:
        return _main(found["main"])
    for word, worth in _GRADE_WORDS:
        if text.startswith(word):
            return worth
    return float("nan")


def _main(text: str) -> float:
    """Read a Roman or Arabic numeral; in situ counts as 0."""
    if text == "is":
        return 0.0
    return float(_ROMAN.get(text, 0) or text)
