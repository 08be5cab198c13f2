"""Write a result as one HTML file that needs nothing else: no network, no scripts."""

from __future__ import annotations

import base64
import io
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from napari_mmsubtype.core.provenance import Provenance
from napari_mmsubtype.core.records import format_probability
from napari_mmsubtype.core.result_words import (
    DEMO_CAUTION,
    RESEARCH_ONLY,
    coverage_words,
    missing_words,
    use_words,
)
from napari_mmsubtype.core.whole_file import whole_file
from napari_mmsubtype.errors import (
    ConfigurationError,
    MissingDependencyError,
    SlideError,
    StoreError,
)
from napari_mmsubtype.results.picture import draw_result
from napari_mmsubtype.results.report_facts import report_facts
from napari_mmsubtype.results.run_state import live_owner, unfinished_words
from napari_mmsubtype.results.store import Result, open_result
from napari_mmsubtype.results.stored_slide import slide_place
from napari_mmsubtype.slides.registry import open_quietly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_mmsubtype.results.coverage_facts import CoverageFacts
    from napari_mmsubtype.results.store_lock import LockOwner

COVERAGE_NAME = "coverage.html"
"""Name of a coverage report in a folder."""

_SUFFIXES = (".html", ".htm")
_SHOWN_FEATURES = 12
_SHOWN_NOTES = 8
_QUALITY = 88


@dataclass(frozen=True, slots=True)
class CoverageModel:
    """The model that tables were held against.

    Attributes
    ----------
    name, version, digest : str
        As in its bundle.
    is_demo : bool
        Whether it knows synthetic tissue and genes only.
    """

    name: str
    version: str
    digest: str
    is_demo: bool


def write_report(
    result: Result | str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
) -> Path:
    """Write the report of an analysis as one HTML file.

    Parameters
    ----------
    result : Result or path-like
        A store, complete or interrupted.
    path : path-like or None, default: None
        The file, ending in ``.html``, or a folder for it; None writes it beside the
        store. An older report there is replaced once the new one is whole.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StoreError
        If there is no store, or the file cannot be written.
    ConfigurationError
        If the path has another ending or its folder is missing.

    Examples
    --------
    >>> write_report("slide.mmsubtype.zarr")  # doctest: +SKIP
    PosixPath('slide.mmsubtype.html')
    """
    place = result.path if isinstance(result, Result) else Path(os.fspath(result))
    owner = live_owner(place)
    opened = result if isinstance(result, Result) else open_result(os.fspath(result))
    beside = opened.path.with_suffix(".html")
    target = beside if path is None else report_target(path, beside.name)
    return write_page(report_html(opened, owner), target)


def report_html(result: Result, owner: LockOwner | None = None) -> str:
    """Lay out a result as HTML.

    Parameters
    ----------
    result : Result
        Complete or not.
    owner : LockOwner or None, default: None
        Who is making it, of `run_state.live_owner`; None where it was interrupted.

    Returns
    -------
    str
        A whole page.
    """
    facts = report_facts(result)
    prediction = facts.prediction
    colors = {subtype.name: subtype.color for subtype in facts.classes}
    picture, note = _picture(result) if prediction else ("", "")
    return render_page(
        "report.html.j2",
        facts=facts,
        tables=facts.tables,
        is_demo=facts.is_demo,
        color=colors[prediction.label] if prediction else "",
        picture=picture,
        picture_note=note,
        is_running=owner is not None,
        unfinished=unfinished_words(result.path, owner),
    )


def write_coverage(
    tables: Sequence[CoverageFacts],
    path: str | os.PathLike[str],
    *,
    patient: str,
    model: CoverageModel,
) -> Path:
    """Write what a model can take from a patient's tables as one HTML file.

    Parameters
    ----------
    tables : sequence of CoverageFacts
        What became of each table.
    path : path-like
        The file, ending in ``.html``, or a folder for it; an older file is replaced.
    patient : str
        Identifier that was looked up.
    model : CoverageModel
        What the tables were held against.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StoreError
        If the file cannot be written.
    ConfigurationError
        If the path has another ending or its folder is missing.
    """
    target = report_target(path, COVERAGE_NAME)
    made = Provenance.collect()
    origin = [
        ("Model", f"{model.name} {model.version}".strip()),
        ("Model digest", model.digest),
        ("Python", made.python),
        ("Packages", ", ".join(f"{k} {v}" for k, v in made.packages.items())),
    ]
    page = render_page(
        "coverage.html.j2",
        tables=tables,
        patient=patient,
        model=model.name,
        is_demo=model.is_demo,
        origin=origin,
    )
    return write_page(page, target)


def report_target(
    path: str | os.PathLike[str], name: str, *, to_come: Path | None = None
) -> Path:
    """Settle where a report goes, before any work is done for it.

    Parameters
    ----------
    path : path-like
        The file, ending in ``.html``, or an existing folder.
    name : str
        The file's name in a folder.
    to_come : Path or None, default: None
        A folder that the work makes if it is not there.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConfigurationError
        If the path has another ending or its folder is missing.
    """
    target = Path(path).expanduser()
    made = None if to_come is None else to_come.expanduser().absolute()
    is_to_come = target.absolute() == made and not target.exists()
    if (target.is_dir() or is_to_come) and not target.name.endswith(".zarr"):
        target /= name
    if target.suffix.casefold() not in _SUFFIXES or target.is_dir():
        msg = (
            f"a report is an HTML file: found {str(path)!r}; give a name that ends in "
            ".html, or a folder that exists"
        )
        raise ConfigurationError(msg)
    if not target.parent.is_dir() and target.parent.absolute() != made:
        msg = f"there is no folder {str(target.parent)!r}; create it first"
        raise ConfigurationError(msg)
    return target


def _picture(result: Result) -> tuple[str, str]:
    """Draw slide and maps as base64; without its slide, say why."""
    note = ""
    try:
        place = slide_place(result)
        with open_quietly(place, icc=True) as slide:
            shape = slide.levels[0].shape
            is_same = result.slide_content in (None, slide.content)
            if is_same and shape == result.slide_shape:
                return _encoded(draw_result(result, slide, is_titled=False)), note
        note = (
            f"The file {place!r} is no longer the slide that was analysed "
            f"({shape[1]} × {shape[0]} px); the picture shows the tissue found."
        )
    except (SlideError, MissingDependencyError) as err:
        note = f"The slide could not be read; the picture shows the tissue found. {err}"
    return _encoded(draw_result(result, None, is_titled=False)), note


def _encoded(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpeg", pil_kwargs={"quality": _QUALITY})
    return base64.b64encode(buffer.getvalue()).decode("ascii")


@cache
def _templates() -> jinja2.Environment:
    """Load the templates; whatever they show is escaped, and none may be unknown."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("napari_mmsubtype.results", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = format_probability
    environment.filters["signed"] = "{:+.3f}".format
    environment.filters["width"] = _css_width
    environment.globals |= {
        "coverage_words": coverage_words,
        "missing_words": missing_words,
        "use_words": use_words,
        "shown_features": _SHOWN_FEATURES,
        "shown_notes": _SHOWN_NOTES,
        "words": {
            "demo_caution": DEMO_CAUTION,
            "research_only": RESEARCH_ONLY,
        },
    }
    return environment


def _css_width(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0):.2%}"


def render_page(name: str, **values: Any) -> str:
    """Fill a template of a page.

    Parameters
    ----------
    name : str
        File among the templates.
    **values : object
        What it shows; everything is escaped.

    Returns
    -------
    str
        A whole page.
    """
    version = Provenance.collect().packages.get("napari-mmsubtype", "")
    return (
        _templates()
        .get_template(name)
        .render(
            program=f"napari-mmsubtype {version}".strip(),
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            **values,
        )
    )


def write_page(page: str, target: Path) -> Path:
    """Write a page as a file that is whole or not there.

    Parameters
    ----------
    page : str
        The page.
    target : Path
        The file; its folder exists.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    try:
        with whole_file(target) as draft:
            draft.write_text(page, encoding="utf-8")
    except OSError as err:
        msg = (
            f"the report {str(target)!r} cannot be written: {err.strerror or err}; "
            "free space, mend the folder's rights, or give another file"
        )
        raise StoreError(msg) from err
    return target
