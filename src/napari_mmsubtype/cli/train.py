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
    rna_samples_in: options.RnaSamplesIn = None,
    methylation_samples_in: options.MethylationSamplesIn = None,
    embeddings: options.Embeddings = None,
    results: Annotated[
        str | None,
        typer.Option(help="results.json of a cross-validation, for the card."),
    ] = None,
    ensemble_of: Annotated[
        str | None,
        typer.Option(
            help="Folder of a complete crossval of this preset on this cohort: join "
            "its folds in one bundle instead of training a model."
        ),
    ] = None,
    mpp: options.Mpp = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    batch_size: options.BatchSize = None,
    tensorboard: options.Tensorboard = None,
    as_json: options.AsJson = False,
) -> None:
    """Train a preset on all patients, or join folds, and write the bundle."""
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
            rna_samples_in=rna_samples_in,
            methylation_samples_in=methylation_samples_in,
            embeddings=embeddings,
            results=results,
            ensemble_of=ensemble_of,
            mpp=mpp,
            device=device,
            precision=precision,
            batch_size=batch_size,
            tensorboard=tensorboard,
            on_progress=progress,
        )
    if as_json:
        record = {
            "bundle": str(outcome.bundle),
            "patients": outcome.patients,
            "members": outcome.members,
            "best_epoch": outcome.best_epoch,
            "epochs": outcome.epochs,
        }
        typer.echo(to_json(record))
        return
    parts = ", ".join(f"{count} {part}" for part, count in outcome.patients.items())
    typer.echo(f"bundle    {outcome.bundle}")
    typer.echo(f"patients  {parts}")
    if outcome.epochs is None:
        typer.echo(f"members   {outcome.members} models of a cross-validation")
    else:
        typer.echo(f"epochs    best {outcome.best_epoch} of {outcome.epochs}")
