"""``napari-mmsubtype crossval``: presets and what they have to beat, fold by fold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_mmsubtype.cli import cohort_options as options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def crossval_command(  # numpydoc ignore=PR01
    manifest: options.Manifest,
    *,
    presets: options.Presets,
    out: Annotated[
        str, typer.Option(help="Folder for everything; the same again goes on there.")
    ],
    changes: options.Changes = None,
    rna: options.Rna = None,
    methylation: options.Methylation = None,
    clinical: options.Clinical = None,
    rna_unit: options.RnaUnit = None,
    methylation_unit: options.MethylationUnit = None,
    rna_samples_in: options.RnaSamplesIn = None,
    methylation_samples_in: options.MethylationSamplesIn = None,
    embeddings: options.Embeddings = None,
    mpp: options.Mpp = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    batch_size: options.BatchSize = None,
    tensorboard: options.Tensorboard = None,
    as_json: options.AsJson = False,
) -> None:
    """Cross-validate presets beside all baselines, controls and alarms."""
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.cli.shared_run import shared_progress
    from napari_mmsubtype.workflows.started_processes import process_rank

    with shared_progress() as progress:
        from napari_mmsubtype.workflows.crossval import crossval

        outcome = crossval(
            manifest,
            presets,
            out=out,
            overrides=changes or (),
            rna=rna,
            methylation=methylation,
            clinical=clinical,
            rna_unit=rna_unit,
            methylation_unit=methylation_unit,
            rna_samples_in=rna_samples_in,
            methylation_samples_in=methylation_samples_in,
            embeddings=embeddings,
            mpp=mpp,
            device=device,
            precision=precision,
            batch_size=batch_size,
            tensorboard=tensorboard,
            on_progress=progress,
        )
    if process_rank() > 0:
        return
    content = json.loads(outcome.results.read_text(encoding="utf-8"))
    if as_json:
        typer.echo(to_json(outcome_record(content, outcome.results)))
        return
    typer.echo(results_table(content))
    typer.echo(f"\nresults      {outcome.results}")
    typer.echo(f"predictions  {outcome.predictions}")
    typer.echo(f"report       {outcome.report}")


def outcome_record(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Tell the main numbers in plain JSON types.

    Parameters
    ----------
    content : mapping
        Of ``results.json``.
    path : Path
        Of the file.

    Returns
    -------
    dict
        Patients, metrics of each model, alarms that are raised, path.
    """
    return {
        "patients": content["cohort"]["patients"],
        "models": {
            name: {
                "patients": model["patients"],
                "skipped": model["skipped"],
                **{
                    metric: model["metrics"].get(metric)
                    for metric in ("balanced_accuracy", "roc_auc")
                },
            }
            for name, model in content["models"].items()
        },
        "alarms": [alarm for alarm in content["alarms"] if alarm["raised"]],
        "results": str(path),
    }


def results_table(content: Mapping[str, Any]) -> str:
    """Lay out what each model is worth, and the alarms.

    Parameters
    ----------
    content : mapping
        Of ``results.json``.

    Returns
    -------
    str
        A table with headings; alarms that are raised below it.
    """
    rows = [("model", "patients", "balanced accuracy", "ROC-AUC")]
    notes = []
    for name, model in content["models"].items():
        if model["skipped"]:
            notes.append(f"{name} was not trained: {model['skipped']}")
            continue
        metrics = model["metrics"]
        rows.append(
            (
                name,
                str(model["patients"]),
                interval(metrics.get("balanced_accuracy")),
                interval(metrics.get("roc_auc")),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    raised = [a for a in content["alarms"] if a["raised"]]
    lines += ["", *notes] if notes else []
    lines += ["", *(f"ALARM {a['name']}: {a['message']}" for a in raised)]
    if not raised:
        lines.append("no alarm was raised")
    return "\n".join(lines)


def interval(metric: Mapping[str, float] | None) -> str:
    """Write a metric with its interval.

    Parameters
    ----------
    metric : mapping or None
        ``value``, ``low`` and ``high``.

    Returns
    -------
    str
        Such as ``0.951 [0.932, 0.968]``; a dash for none.
    """
    if metric is None:
        return "-"
    return f"{metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}]"
