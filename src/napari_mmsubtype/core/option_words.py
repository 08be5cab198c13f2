"""Advice on an option, in the words of the door the user came through.

Messages name an option as Python does, through `pass_option`, `leave_out`,
`pass_setting` and `name_option`. The command line and the panels pass what they show
through `for_door`, which says it in their own words; nothing else of a message changes.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import partial

_VALUE = r"'[^'\n]*'"
_ADVICE = re.compile(
    r"(?P<verb>pass|leave out) (?P<name>[a-z_]+)="
    rf"(?P<values>(?:True|{_VALUE}(?:, {_VALUE})*(?: or {_VALUE})?)?)"
)
_SETTING = re.compile(r"pass overrides=\['(?P<setting>[^'\n]*)'\]")
_NAMED = re.compile(r"the option (?P<name>[a-z_]+)")
_FLAGS = {"stride_px": "--stride", "patch_px": "--patch-size"}
"""Those of the command line that are not called as their arguments are."""
_TABLES = {"rna": "RNA", "methylation": "Methylation", "clinical": "Clinical"}
_FIELDS = {"unit": "Unit", "samples_in": "Samples in", "modality": "Modality"}
_COPY_LAYER = (
    "keep the layer meant as a table of its own, in Python: "
    "write_omics(read_omics(path, layer=…), 'layer.h5ad')"
)


class Door(StrEnum):
    """Where a request comes from, and where a message is shown."""

    PYTHON = "Python"
    COMMAND = "command line"
    RECIPE = "recipe"
    OMICS_PANEL = "panel Omics"
    ANALYZE_PANEL = "panel Analyze slide"
    COHORT_PANEL = "panel Train and cross-validate"


def pass_option(name: str, *values: str | bool) -> str:
    """Advise to give an option.

    Parameters
    ----------
    name : str
        Argument of `read_omics` or `analyze`.
    *values : str or True
        Some that may be given; none where any may, True alone of a switch.

    Returns
    -------
    str
        For example ``"pass unit='tpm' or 'counts'"``.
    """
    return f"pass {name}={_listed(values)}"


def leave_out(name: str, value: str = "") -> str:
    """Advise not to give an option.

    Parameters
    ----------
    name : str
        Argument of `read_omics` or `analyze`.
    value : str, default: ""
        What was given.

    Returns
    -------
    str
        For example ``"leave out unit='tpm'"``.
    """
    return f"leave out {name}={_listed((value,) if value else ())}"


def pass_setting(change: str) -> str:
    """Advise to change a setting of a preset.

    Parameters
    ----------
    change : str
        For example ``"synthesis=null"``.

    Returns
    -------
    str
        For example ``"pass overrides=['synthesis=null']"``.
    """
    return f"pass overrides=['{change}']"


def name_option(name: str) -> str:
    """Name an option, where there is nothing to advise yet.

    Parameters
    ----------
    name : str
        Argument of a function.

    Returns
    -------
    str
        For example ``"the option stride_px"``.
    """
    return f"the option {name}"


def for_analysis(text: str, modality: str) -> str:
    """Name the arguments of `read_omics` in a message as those of `analyze`.

    Parameters
    ----------
    text : str
        A message about a table.
    modality : str
        The option by which `analyze` was given the table.

    Returns
    -------
    str
        ``unit`` becomes for example ``rna_unit``.
    """
    return _ADVICE.sub(partial(_renamed, modality), text)


def for_door(text: str, door: Door) -> str:
    """Say the advice in a message as the user of a door can follow it.

    Parameters
    ----------
    text : str
        A message.
    door : Door
        Where it is shown.

    Returns
    -------
    str
        The same message; only advice on options is worded anew.
    """
    if door is Door.PYTHON:
        return text
    text = _SETTING.sub(partial(_changed, door), text)
    text = _NAMED.sub(partial(_named, door), text)
    return _ADVICE.sub(partial(_worded, door), text)


def _renamed(modality: str, found: re.Match[str]) -> str:
    """Name one option as `analyze` and the functions for cohorts do."""
    verb, name, values = found["verb"], found["name"], found["values"]
    if name in {"unit", "samples_in"}:
        return f"{verb} {modality}_{name}={values}"
    if name == "modality" and values:
        # There the option that names the table says it.
        return " or ".join(pass_option(v.strip("'")) for v in _split(values))
    return _COPY_LAYER if name == "layer" else found[0]


def _worded(door: Door, found: re.Match[str]) -> str:
    """Word one piece of advice."""
    gives = found["verb"] == "pass"
    name, values = found["name"], found["values"]
    if door is Door.COMMAND:
        option = f"{_flag(name)} {values.removeprefix('True')}".strip()
        return f"give {option}" if gives else f"leave out {option}"
    if door is Door.RECIPE:
        values = values.replace("True", "true")
        said = f"{name}: {values}".strip() if values else name
        return f"write {said} into the recipe" if gives else f"leave out {said}"
    return _in_window(name, values, gives=gives, door=door) or found[0]


def _flag(name: str) -> str:
    """Give an option of the command line."""
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def _changed(door: Door, found: re.Match[str]) -> str:
    """Word one change of a setting."""
    if door is Door.COMMAND:
        return f"give --set {found['setting']}"
    if door is Door.COHORT_PANEL:
        return f"write {found['setting']} into the field 'Settings'"
    return f"set {found['setting']}"


def _named(door: Door, found: re.Match[str]) -> str:
    """Word the name of one option."""
    if door is Door.COMMAND:
        return _flag(found["name"])
    return found["name"] if door is Door.RECIPE else found[0]


def _in_window(name: str, values: str, *, gives: bool, door: Door) -> str:
    """Name the field of a panel."""
    if name in _TABLES:
        field = f"the field {_TABLES[name]}"
        return f"choose the table in {field}" if gives else f"empty {field}"
    if name == "layer":
        return _COPY_LAYER
    table, _, own = name.partition("_")
    field = _FIELDS.get(own if table in _TABLES else name, "")
    if not field:
        return ""
    if door is Door.COHORT_PANEL:
        return _in_line(name, values.replace("'", ""), gives=gives)
    if name == "modality":
        for key, shown in _TABLES.items():
            values = values.replace(repr(key), shown)
    chosen = (values or "one") if gives else "'Recognize'"
    advice = f"choose {chosen} under {field}"
    if door is Door.ANALYZE_PANEL:
        which = f"the {_TABLES[table]}" if table in _TABLES else "this"
        advice = f"{advice} of {which} table in the panel Omics"
    return advice


def _in_line(name: str, values: str, *, gives: bool) -> str:
    """Name an entry of the field in which a panel takes all options of tables."""
    if not gives:
        return f"take {name} out of the field 'Tables are'"
    return f"write {name}={values or '…'} into the field 'Tables are'"


def _listed(values: tuple[str | bool, ...]) -> str:
    """Write values as Python does."""
    written = (str(v) if v is True else f"'{v}'" for v in values)
    *others, last = written if values else ("",)
    return f"{', '.join(others)} or {last}" if others else last


def _split(values: str) -> list[str]:
    return re.findall(_VALUE, values)
