"""Presets by name or from a file, as they are or with some settings changed."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.preset import Preset, read_preset, section_names

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_SUFFIXES = (".yaml", ".yml")
_VARIANTS = "variants"


def list_presets() -> list[str]:
    """List the presets that come with the package.

    Returns
    -------
    list of str
        Sorted; `list_variants` has those of each.
    """
    return sorted(_built_in())


def list_variants(name: str | Path) -> list[str]:
    """List the variants of a preset.

    Parameters
    ----------
    name : str or Path
        As `load_preset`, without a variant.

    Returns
    -------
    list of str
        In the order of the file; to be loaded as ``name:variant``.

    Raises
    ------
    ConfigurationError
        If there is no such preset.
    """
    return list(_variants(_parse(preset_text(name), str(name)), str(name)))


def load_preset(name: str | Path, overrides: Iterable[str] = ()) -> Preset:
    """Load a preset.

    Parameters
    ----------
    name : str or Path
        One of `list_presets`, or a YAML file; followed by ``:`` and a variant, that
        variant of it.
    overrides : iterable of str, optional
        Settings to change, such as ``fusion_training.epochs=10``: the path of the
        setting with points, and its value in YAML. They are taken one after another,
        after the variant.

    Returns
    -------
    Preset
        Complete and checked.

    Raises
    ------
    ConfigurationError
        If there is no such preset or variant, or a setting is unknown or impossible.
    """
    text, variant = _split(str(name))
    content = _parse(preset_text(text), text)
    variants = _variants(content, text)
    where = f"preset {text!r}"
    if variant is not None:
        if variant not in variants:
            known = ", ".join(variants) or "none"
            msg = f"{where} has no variant {variant!r}; it has {known}"
            raise ConfigurationError(msg)
        for path, value in variants[variant].items():
            _change(content, path, value, where)
        content["name"] = f"{content.get('name')}:{variant}"
    for override in overrides:
        path, value = parse_override(override)
        _change(content, path, value, where)
    return read_preset(content, where)


def preset_text(name: str | Path) -> str:
    """Read the file of a preset, with its comments.

    Parameters
    ----------
    name : str or Path
        As `load_preset`, without a variant.

    Returns
    -------
    str
        YAML.

    Raises
    ------
    ConfigurationError
        If there is no such preset, or its file cannot be read.
    """
    text = str(name)
    built_in = _built_in()
    if text in built_in:
        return built_in[text].read_text(encoding="utf-8")
    path = Path(text).expanduser()
    if path.suffix not in _SUFFIXES:
        msg = (
            f"there is no preset {text!r}; known are {', '.join(built_in)}, or give a "
            "file that ends in .yaml"
        )
        raise ConfigurationError(msg)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or str(err)
        msg = f"preset {text!r} cannot be read ({reason}); give a YAML file"
        raise ConfigurationError(msg) from err


def parse_override(text: str) -> tuple[str, Any]:
    """Read ``path=value``.

    Parameters
    ----------
    text : str
        For example ``encoder.options.small_stem=true``.

    Returns
    -------
    path : str
        With points.
    value : object
        As YAML reads it; empty for None.

    Raises
    ------
    ConfigurationError
        If it is not of this form.
    """
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not all(part.strip() for part in path.split(".")):
        msg = (
            f"{text!r} changes no setting; write its path and its value, such as "
            "fusion_training.epochs=10"
        )
        raise ConfigurationError(msg)
    try:
        return path, yaml.safe_load(value)
    except yaml.YAMLError as err:
        msg = f"the value in {text!r} is no YAML ({_reason(err)})"
        raise ConfigurationError(msg) from err


def to_yaml(preset: Preset) -> str:
    """Write a preset as YAML, with every setting and without comments.

    Parameters
    ----------
    preset : Preset
        Any.

    Returns
    -------
    str
        `load_preset` reads an equal one from it.
    """
    return yaml.safe_dump(
        preset.to_dict(), sort_keys=False, allow_unicode=True, width=88
    )


def _built_in() -> dict[str, Traversable]:
    """Find the files that come with the package, by name."""
    folder = files("napari_mmsubtype") / "presets"
    return {
        entry.name.removesuffix(".yaml"): entry
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }


def _split(text: str) -> tuple[str, str | None]:
    """Divide a name from its variant; a drive letter is none."""
    name, colon, variant = text.rpartition(":")
    if not colon or variant.endswith(_SUFFIXES) or "/" in variant or "\\" in variant:
        return text, None
    return name, variant


def _parse(text: str, name: str) -> dict[str, Any]:
    """Read settings by name from YAML."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as err:
        msg = f"preset {name!r} is no YAML ({_reason(err)})"
        raise ConfigurationError(msg) from err
    if not isinstance(content, dict):
        msg = (
            f"preset {name!r} holds a {type(content).__name__}; expected the sections "
            f"{', '.join(section_names())}"
        )
        raise ConfigurationError(msg)
    return content


def _variants(content: dict[str, Any], name: str) -> dict[str, Mapping[str, Any]]:
    """Take the variants out of the settings."""
    variants = content.pop(_VARIANTS, None) or {}
    if not isinstance(variants, dict) or not all(
        isinstance(changes, Mapping) for changes in variants.values()
    ):
        msg = (
            f"preset {name!r}: variants must be settings by path, such as "
            "'patch.mpp: 0.5', under the name of each variant"
        )
        raise ConfigurationError(msg)
    return {str(variant): changes for variant, changes in variants.items()}


def _change(content: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Set one value; sections on the way that are empty are made."""
    *sections, last = path.split(".")
    place = content
    for depth, section in enumerate(sections):
        if place.get(section) is None:
            place[section] = {}
        inner = place[section]
        if not isinstance(inner, dict):
            msg = (
                f"{where}: {path!r} goes through {'.'.join(sections[: depth + 1])!r}, "
                f"which is {inner!r} and has no settings; give it as a whole"
            )
            raise ConfigurationError(msg)
        place = inner
    place[last] = copy.deepcopy(value)


def _reason(err: yaml.YAMLError) -> str:
    """Say in one line what is wrong with YAML."""
    return " ".join(str(err).split())
