"""``napari-mmsubtype info``: what a slide or a result holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from napari_mmsubtype.slides.slide import Slide

from napari_mmsubtype.core.color_words import profile_words
from napari_mmsubtype.core.icc_choice import icc_by_default


def info_command(  # numpydoc ignore=PR01
    slide: Annotated[
        str, typer.Argument(help="Slide, synthetic: address, or store of a result.")
    ],
    *,
    mpp: Annotated[
        float | None,
        typer.Option(help="Microns per pixel, where the slide does not say."),
    ] = None,
    save_associated: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="NAME FILE",
            help="Save the macro or thumbnail image; the label may name a patient.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the facts as JSON.")
    ] = False,
) -> None:
    """Show the levels, pixel size and origin of a slide, or a result again."""
    from napari_mmsubtype.cli.report import result_record, result_text, to_json

    if slide.rstrip("/\\").endswith(".mmsubtype.zarr") and Path(slide).is_dir():
        from napari_mmsubtype.results.run_state import live_owner
        from napari_mmsubtype.results.store import open_result

        if save_associated is not None:
            msg = "--save-associated takes images out of a slide; found a result"
            raise ConfigurationError(msg)
        owner = live_owner(Path(slide))
        result = open_result(slide)
        record = to_json(result_record(result)) if as_json else ""
        typer.echo(record or result_text(result, owner))
        return
    from napari_mmsubtype.slides.registry import open_quietly

    # Its facts tell of a profile that cannot be used.
    with open_quietly(slide, mpp=mpp, icc=True) as opened:
        facts = opened.info()
        if facts.get("icc") == "applied" and not icc_by_default():
            facts["icc"] = "off"
        if save_associated is not None:
            _save_associated(opened, *save_associated)
    typer.echo(to_json(facts) if as_json else facts_text(facts))


def _save_associated(slide: Slide, name: str, path: str) -> None:
    """Write one of the images that a slide's file carries along."""
    from PIL import Image

    try:
        image = slide.read_associated(name)
    except KeyError as err:
        known = ", ".join(slide.associated) or "none"
        msg = f"slide {slide.name!r} has no image named {name!r}; it has: {known}"
        raise ConfigurationError(msg) from err
    try:
        Image.fromarray(image).save(Path(path).expanduser())
    except (ValueError, OSError) as err:
        msg = (
            f"cannot write an image to {path!r} ({err}); give a path that can be "
            "written to and ends in .png or .jpg"
        )
        raise ConfigurationError(msg) from err


def facts_text(facts: Mapping[str, Any]) -> str:
    """Lay out the facts about a slide, one per line.

    Parameters
    ----------
    facts : mapping
        As `Slide.info` gives them.

    Returns
    -------
    str
        Names on the left; lists below one another.
    """
    lines = []
    shown = dict(facts)
    if "icc" in facts:
        shown["icc"] = profile_words(facts["icc"], facts.get("icc_profile"))
    for name, value in shown.items():
        words = _words(value)
        label = name.replace("_", " ")
        lines += [
            f"{label if i == 0 else '':<20} {word}" for i, word in enumerate(words)
        ]
    if facts.get("mpp") is None:
        lines.append("No pixel size: give --mpp 0.25 (40x) or --mpp 0.5 (20x).")
    if facts.get("mpp_is_guess"):
        lines.append(
            "Pixel size guessed from the objective; check it, or give it with --mpp."
        )
    if facts.get("identifiers"):
        lines.append(
            "May identify a patient or the staff (see identifiers): remove it before "
            "sharing the file."
        )
    return "\n".join(line.rstrip() for line in lines)


def _words(value: Any) -> list[str]:
    """Write a value as the lines it takes."""
    if value is None or value == []:
        return ["-"]
    if isinstance(value, Mapping):
        return [", ".join(f"{key} {_short(item)}" for key, item in value.items())]
    if isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(item, Mapping) for item in value):
            return [word for item in value for word in _words(item)]
        return [", ".join(_short(item) for item in value)]
    return [_short(value)]


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
