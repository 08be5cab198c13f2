"""``napari-mmsubtype omics``: what a table holds, and what a model can take from it."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    import anndata

_SHOWN = 5
_LABEL_WIDTH = 13
_LINE_WIDTH = 88


def omics_command(  # numpydoc ignore=PR01
    table: Annotated[
        str,
        typer.Argument(
            help="CSV, TSV, GCT, Parquet, h5ad, h5mu, or a folder of GDC files."
        ),
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
        str | None, typer.Option(help="Patient to look up in the table.")
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(help="'demo', or a model: what it would take from the patient."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the facts as JSON.")
    ] = False,
) -> None:
    """Show what is recognised in a table, and how much of a model it covers."""
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.omics.table import read_omics

    if bundle is not None and patient is None:
        msg = "a bundle is given but no patient; name the patient with --patient"
        raise ConfigurationError(msg)
    read = read_omics(
        Path(table).expanduser(),
        modality=modality,
        unit=unit,
        samples_in=cast("Literal['rows', 'columns'] | None", samples_in),
        layer=layer,
    )
    facts = table_facts(read)
    if patient is not None:
        facts["patient"] = _patient_facts(read, patient, bundle)
    typer.echo(to_json(facts) if as_json else facts_text(facts))


def table_facts(table: anndata.AnnData) -> dict[str, Any]:
    """Describe a table in plain JSON types.

    Parameters
    ----------
    table : AnnData
        As `read_omics`.

    Returns
    -------
    dict
        ``modality``, ``unit``, ``source``; ``samples`` and ``features``, each with
        their ``count`` and ``first`` names; ``sample_types``, how many of each TCGA
        type; ``identifiers``, how many features have each kind; ``steps``, what was
        recognised, with its evidence, and what was done.
    """
    from napari_mmsubtype.core.cases import Modality

    record = table.uns["mmsubtype"]
    samples = [str(name) for name in table.obs["sample"]]
    clinical = record["modality"] == Modality.CLINICAL
    names = [str(column) for column in table.obs.columns if column != "sample"]
    features = names if clinical else [str(name) for name in table.var_names]
    return {
        "source": record["source"],
        "modality": record["modality"],
        "unit": record["unit"],
        "samples": {"count": len(samples), "first": samples[:_SHOWN]},
        "sample_types": _sample_types(samples),
        "features": {"count": len(features), "first": features[:_SHOWN]},
        "identifiers": {
            str(kind): int((table.var[kind] != "").sum()) for kind in table.var.columns
        },
        "steps": list(record["steps"]),
    }


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


def _patient_facts(
    table: anndata.AnnData, patient: str, bundle: str | None
) -> dict[str, Any]:
    """Look a patient up and, with a model, align the row."""
    if bundle is None:
        from napari_mmsubtype.omics.sample_choice import find_row

        match = find_row(table, patient)
        return {"patient": patient, "sample": match.sample, "notes": list(match.notes)}
    # torch takes seconds to import: a table alone does not wait for it.
    from napari_mmsubtype.core.cases import Modality
    from napari_mmsubtype.models.bundle import load_bundle
    from napari_mmsubtype.omics.preprocessing import align_sample

    loaded = load_bundle(bundle)
    modality = Modality(table.uns["mmsubtype"]["modality"])
    spec = loaded.modalities.get(modality)
    if spec is None:
        known = ", ".join(loaded.modalities) or "no tables"
        msg = (
            f"bundle {loaded.name!r} has no {modality} branch (it takes: {known}); "
            "give another table or bundle"
        )
        raise ConfigurationError(msg)
    report = asdict(align_sample(table, patient, spec).report)
    steps = set(table.uns["mmsubtype"]["steps"])
    report["notes"] = [note for note in report["notes"] if note not in steps]
    report["missing"] = list(report["missing"])
    return {"patient": patient, "bundle": loaded.name, **report}


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


def _sample_types(samples: list[str]) -> dict[str, int]:
    """Count TCGA's sample types."""
    from napari_mmsubtype.omics.identifiers import parse_barcode

    counts: dict[str, int] = {}
    for sample in samples:
        barcode = parse_barcode(sample)
        if barcode is not None and barcode.sample_type:
            name = barcode.sample_type_name or "other"
            label = f"{name} (-{barcode.sample_type})"
            counts[label] = counts.get(label, 0) + 1
    return counts


def _labelled(label: str, text: str) -> list[str]:
    """Write a label and its text, wrapped beside it."""
    wrapped = textwrap.wrap(
        text, _LINE_WIDTH - _LABEL_WIDTH, break_on_hyphens=False, break_long_words=False
    )
    return [
        f"{label if i == 0 else '':<{_LABEL_WIDTH}}{line}"
        for i, line in enumerate(wrapped or [""])
    ]
