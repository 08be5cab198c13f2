"""``napari-mmsubtype omics``: what a table holds, and what a model can take from it."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from napari_mmsubtype.core.table_files import IN_WORDS
from napari_mmsubtype.errors import ConfigurationError, OmicsError
from napari_mmsubtype.omics.table_facts import table_facts

if TYPE_CHECKING:
    import anndata

    from napari_mmsubtype.models.bundle import Bundle
    from napari_mmsubtype.results.coverage_facts import CoverageFacts

_SHOWN = 5
_LABEL_WIDTH = 13
_LINE_WIDTH = 88


def omics_command(  # numpydoc ignore=PR01
    tables: Annotated[
        list[str],
        typer.Argument(help=f"{IN_WORDS}."),
    ],
    *,
    modality: Annotated[
        str | None, typer.Option(help="rna, methylation or clinical; else recognised.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Unit of the values, if detected wrongly.")
    ] = None,
    samples_in: Annotated[
        str | None, typer.Option(help="rows or columns, if detected wrongly.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Layer of an AnnData, or 'raw'.")
    ] = None,
    patient: Annotated[
        str | None, typer.Option(help="Patient to look up in the tables.")
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(help="'demo', or a model: what it would take from the patient."),
    ] = None,
    html: Annotated[
        str | None,
        typer.Option(help="Also write the coverage as HTML: a file or a folder."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the facts as JSON; several: a list.")
    ] = False,
) -> None:
    """Show what is recognised in tables, and how much of a model they cover."""
    from napari_mmsubtype.cli.report import to_json

    options = {
        "modality": modality,
        "unit": unit,
        "samples_in": samples_in,
        "layer": layer,
    }
    _check_request(tables, options, patient, bundle, html)
    model = None
    if bundle is not None:
        # torch takes seconds to import: a table alone does not wait for it.
        from napari_mmsubtype.models.bundle import load_bundle

        model = load_bundle(bundle)
    described = []
    for path in tables:
        try:
            described.append(_describe(path, options, patient, model))
        except OmicsError as err:
            if len(tables) > 1:
                err.add_note(f"in the table {path!r}")
            if described and not as_json:
                typer.echo("\n\n".join(facts_text(facts) for facts, _ in described))
            raise
    facts = [entry for entry, _ in described]
    if html is not None and patient is not None and model is not None:
        covered = [coverage for _, coverage in described if coverage is not None]
        report = str(_write_html(covered, html, patient, model).absolute())
        for entry in facts:
            entry["report"] = report
    if as_json:
        typer.echo(to_json(facts[0] if len(facts) == 1 else facts))
        return
    typer.echo("\n\n".join(map(facts_text, facts)))
    if html is not None:
        typer.echo(f"\n{_labelled('report', facts[0]['report'])[0]}")


def facts_text(facts: dict[str, Any]) -> str:
    """Lay out the facts about a table for a terminal.

    Parameters
    ----------
    facts : dict
        As `table_facts`; ``patient`` too where one was looked up.

    Returns
    -------
    str
        Names on the left; one step per line.
    """
    lines = []
    for label in ("source", "modality", "unit"):
        lines += _labelled(label, str(facts[label]))
    for label in ("samples", "features"):
        entry = facts[label]
        more = ", …" if entry["count"] > len(entry["first"]) else ""
        lines += _labelled(
            label, f"{entry['count']} ({', '.join(entry['first'])}{more})"
        )
    for label in ("sample_types", "identifiers"):
        words = [f"{count} {name}" for name, count in facts[label].items() if count]
        if words:
            lines += _labelled(label.replace("_", " "), ", ".join(words))
    for number, step in enumerate(facts["steps"]):
        lines += _labelled("" if number else "recognised", str(step))
    if "patient" in facts:
        lines += ["", *_patient_lines(facts["patient"])]
    return "\n".join(lines)


def _check_request(
    tables: list[str],
    options: dict[str, str | None],
    patient: str | None,
    bundle: str | None,
    html: str | None,
) -> None:
    """Refuse requests that lack something, before any table is read."""
    given = [f"--{n.replace('_', '-')}" for n, value in options.items() if value]
    if len(tables) > 1 and given:
        msg = (
            f"{', '.join(given)} is about one table, and {len(tables)} are given; give "
            "the tables one at a time"
        )
        raise ConfigurationError(msg)
    if bundle is not None and patient is None:
        msg = "a bundle is given but no patient; name the patient with --patient"
        raise ConfigurationError(msg)
    if html is None:
        return
    if bundle is None:
        msg = (
            "--html reports how much of a model a patient's tables cover; name the "
            "model with --bundle and the patient with --patient"
        )
        raise ConfigurationError(msg)
    from napari_mmsubtype.results.html_report import COVERAGE_NAME, report_target

    report_target(html, COVERAGE_NAME)


def _describe(
    path: str,
    options: dict[str, str | None],
    patient: str | None,
    model: Bundle | None,
) -> tuple[dict[str, Any], CoverageFacts | None]:
    """Read a table, look the patient up and, with a model, align the row."""
    from napari_mmsubtype.omics.sample_choice import find_row
    from napari_mmsubtype.omics.table import read_omics

    table = read_omics(Path(path).expanduser(), **cast("dict[str, Any]", options))
    facts = table_facts(table)
    if patient is None:
        return facts, None
    if model is not None:
        facts["patient"], coverage = _align(table, patient, model)
        return facts, coverage
    match = find_row(table, patient)
    notes = list(match.notes)
    facts["patient"] = {"patient": patient, "sample": match.sample, "notes": notes}
    return facts, None


def _align(
    table: anndata.AnnData, patient: str, model: Bundle
) -> tuple[dict[str, Any], CoverageFacts]:
    """Align a patient's row to a model."""
    from napari_mmsubtype.core.cases import Modality
    from napari_mmsubtype.omics.preprocessing import align_sample
    from napari_mmsubtype.results.coverage_facts import coverage_facts

    modality = Modality(table.uns["mmsubtype"]["modality"])
    spec = model.modalities.get(modality)
    if spec is None:
        known = ", ".join(model.modalities) or "no tables"
        msg = (
            f"bundle {model.name!r} has no {modality} branch (it takes: {known}); "
            "give another table or bundle"
        )
        raise ConfigurationError(msg)
    report = align_sample(table, patient, spec).report
    entry = asdict(report)
    steps = set(table.uns["mmsubtype"]["steps"])
    entry["notes"] = [note for note in report.notes if note not in steps]
    entry["missing"] = list(report.missing)
    facts = {"patient": patient, "bundle": model.name, **entry}
    return facts, coverage_facts(report, least=spec.min_coverage)


def _write_html(
    coverage: list[CoverageFacts], html: str, patient: str, model: Bundle
) -> Path:
    """Write the coverage of a patient's tables."""
    from napari_mmsubtype.results.html_report import CoverageModel, write_coverage

    about = CoverageModel(
        name=model.name,
        version=model.version,
        digest=model.digest,
        is_demo=bool(model.info.get("synthetic", False)),
    )
    return write_coverage(coverage, html, patient=patient, model=about)


def _patient_lines(entry: dict[str, Any]) -> list[str]:
    """Lay out what was found of a patient."""
    lines = _labelled("patient", f"{entry['patient']}: sample {entry['sample']}")
    if "bundle" in entry:
        word = "used" if entry["used"] else f"not used: {entry['reason']}"
        lines += _labelled("model", f"{entry['bundle']}: {word}")
        found = f"{entry['matched']} of {entry['expected']} features"
        lines += _labelled("coverage", f"{entry['coverage']:.1%} ({found})")
        if entry["missing"]:
            more = ", …" if len(entry["missing"]) > _SHOWN else ""
            lines += _labelled("missing", ", ".join(entry["missing"][:_SHOWN]) + more)
    for number, note in enumerate(entry["notes"]):
        lines += _labelled("" if number else "notes", str(note))
    return lines


def _labelled(label: str, text: str) -> list[str]:
    """Write a label and its text, wrapped beside it."""
    wrapped = textwrap.wrap(
        text, _LINE_WIDTH - _LABEL_WIDTH, break_on_hyphens=False, break_long_words=False
    )
    return [
        f"{label if i == 0 else '':<{_LABEL_WIDTH}}{line}"
        for i, line in enumerate(wrapped or [""])
    ]
