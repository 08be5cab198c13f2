"""``napari-mmsubtype train``: one preset on a whole cohort, as a bundle."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_mmsubtype.cli import cohort_options as options


def train_command(  # numpydoc ignore=PR01
    manifest: options.Manifest,
    *,
    preset: options.Preset,
    out: Annotated[str, typer.Option(help="Folder for bundle and embeddings.")],
    changes: options.Changes = None,
    rna: options.Rna = None,
    methylation: options.Methylation = None,
    clinical: options.Clinical = None,
    rna_unit: options.RnaUnit = None,
    methylation_unit: options.MethylationUnit = None,
    embeddings: options.Embeddings = None,
    results: Annotated[
        str | None,
        typer.Option(help="results.json of a cross-validation, for the card."),
    ] = None,
    mpp: options.Mpp = None,
    device: options.Device = "auto",
    batch_size: options.BatchSize = None,
    as_json: options.AsJson = False,
) -> None:
    """Train a preset on all patients and write its bundle."""
    from napari_mmsubtype.cli.progress_line import ProgressLine
    from napari_mmsubtype.cli.report import to_json

    with ProgressLine() as progress:
        from napari_mmsubtype.workflows.train import train

        outcome = train(
            manifest,
            preset,
            out=out,
            overrides=changes or (),
            rna=rna,
            methylation=methylation,
            clinical=clinical,
            rna_unit=rna_unit,
            methylation_unit=methylation_unit,
            embeddings=embeddings,
            results=results,
            mpp=mpp,
            device=device,
            batch_size=batch_size,
            on_progress=progress,
        )
    if as_json:
        record = {
            "bundle": str(outcome.bundle),
            "patients": outcome.patients,
            "best_epoch": outcome.best_epoch,
            "epochs": outcome.epochs,
        }
        typer.echo(to_json(record))
        return
    parts = ", ".join(f"{count} {part}" for part, count in outcome.patients.items())
    typer.echo(f"bundle    {outcome.bundle}")
    typer.echo(f"patients  {parts}")
    typer.echo(f"epochs    best {outcome.best_epoch} of {outcome.epochs}")
