"""``napari-mmsubtype preset``: which systems there are, and what each consists of."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from napari_mmsubtype.training.preset import Preset

_LINE_WIDTH = 88
_LABEL_WIDTH = 17

preset_app = typer.Typer(
    name="preset",
    help="List the systems that can be trained, and show one with all its settings.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@preset_app.command("list")
def list_command(*, as_json: _AsJson = False) -> None:  # numpydoc ignore=PR01
    """List the presets that come with the program."""
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.training.preset_files import (
        list_presets,
        list_variants,
        load_preset,
    )

    records = [
        preset_record(load_preset(name), list_variants(name)) for name in list_presets()
    ]
    typer.echo(to_json({"presets": records}) if as_json else list_text(records))


@preset_app.command("show")
def show_command(  # numpydoc ignore=PR01
    name: Annotated[
        str, typer.Argument(help="Name of a preset, NAME:VARIANT, or a .yaml file.")
    ],
    *,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change a setting, such as fusion_training.epochs=10; repeatable.",
        ),
    ] = None,
    as_yaml: Annotated[
        bool,
        typer.Option("--yaml", help="Print a preset file, to be saved and edited."),
    ] = False,
    as_json: _AsJson = False,
) -> None:
    """Show every setting of a preset, and check it."""
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.training.preset_build import check_networks
    from napari_mmsubtype.training.preset_files import (
        list_presets,
        load_preset,
        preset_text,
        to_yaml,
    )

    preset = load_preset(name, changes or ())
    check_networks(preset)
    if as_json:
        typer.echo(to_json(preset.to_dict()))
    elif as_yaml and not changes and name in list_presets():
        # As it lies in the package: its comments say why.
        typer.echo(preset_text(name).rstrip())
    else:
        typer.echo(to_yaml(preset).rstrip() if as_yaml else preset_words(preset))


def preset_record(preset: Preset, variants: list[str]) -> dict[str, Any]:
    """Tell the main facts of a preset in plain JSON types.

    Parameters
    ----------
    preset : Preset
        Which.
    variants : list of str
        Of its file.

    Returns
    -------
    dict
        Name, title, classes, encoder, fusion model, modalities, heads, variants.
    """
    return {
        "name": preset.name,
        "title": preset.title,
        "classes": [subtype.name for subtype in preset.classes],
        "encoder": preset.encoder.name,
        "fusion": preset.fusion.name,
        "modalities": ["image", *map(str, preset.modalities)],
        "heads": list(preset.heads),
        "variants": variants,
    }


def list_text(records: list[dict[str, Any]]) -> str:
    """Lay out presets as a table, what each is on a line of its own.

    Parameters
    ----------
    records : list of dict
        As `preset_record`.

    Returns
    -------
    str
        A table with headings.
    """
    headings = ("preset", "encoder", "fusion", "modalities", "classes")
    rows = [
        (
            record["name"],
            record["encoder"],
            record["fusion"],
            " ".join(record["modalities"]),
            ", ".join(record["classes"]),
        )
        for record in records
    ]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [_row(headings, widths)]
    for record, row in zip(records, rows, strict=True):
        lines += [_row(row, widths), f"  {record['title']}"]
        if record["variants"]:
            variants = ", ".join(f":{name}" for name in record["variants"])
            lines += _wrapped(f"variants {variants}", "  ")
    return "\n".join(lines)


def preset_words(preset: Preset) -> str:
    """Lay out every setting of a preset, section by section.

    Parameters
    ----------
    preset : Preset
        Which.

    Returns
    -------
    str
        Names of the sections on the left; a section for a later stage says so.
    """
    from napari_mmsubtype.training.preset import LATER_STAGES

    lines = []
    for section, content in preset.to_dict().items():
        words = _words(content)
        if section in LATER_STAGES:
            words = f"{words} (for {LATER_STAGES[section]})"
        label = section.replace("_", " ")
        lines += _wrapped(words, " " * _LABEL_WIDTH, f"{label:<{_LABEL_WIDTH}}")
    return "\n".join(lines)


def _words(content: object) -> str:
    """Write settings as words in one line."""
    if isinstance(content, Mapping):
        inner = [
            f"{name} ({_words(item)})"
            if isinstance(item, Mapping) and item
            else f"{name} {_words(item)}"
            for name, item in content.items()
        ]
        return ", ".join(inner) or "none"
    if isinstance(content, list):
        named = [
            f"{item['name']} {item['color']}" if isinstance(item, dict) else str(item)
            for item in content
        ]
        return ", ".join(named) or "none"
    if isinstance(content, bool):
        return "yes" if content else "no"
    return "none" if content is None else str(content)


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip()


def _wrapped(text: str, indent: str, first: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        _LINE_WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
    )
