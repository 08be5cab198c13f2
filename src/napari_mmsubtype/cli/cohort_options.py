"""Options that the commands on cohorts share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Manifest: TypeAlias = Annotated[
    str,
    typer.Argument(help="CSV with patient_id, label, slide, site; a row per slide."),
]
Presets: TypeAlias = Annotated[
    list[str],
    typer.Option("--preset", help="Name, NAME:VARIANT or .yaml file; repeatable."),
]
Preset: TypeAlias = Annotated[
    str, typer.Option("--preset", help="Name, NAME:VARIANT or .yaml file.")
]
Changes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change a setting, such as fusion_training.epochs=10; repeatable.",
    ),
]
Rna: TypeAlias = Annotated[
    str | None, typer.Option(help="RNA table of the whole cohort.")
]
Methylation: TypeAlias = Annotated[
    str | None, typer.Option(help="Methylation table of the whole cohort.")
]
Clinical: TypeAlias = Annotated[
    str | None, typer.Option(help="Clinical table of the whole cohort.")
]
RnaUnit: TypeAlias = Annotated[
    str | None, typer.Option(help="Unit of the RNA table, where detection is wrong.")
]
MethylationUnit: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Unit of the methylation table, where detection is wrong."),
]
RnaSamplesIn: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Samples of the RNA table: rows or columns, if detected wrongly."
    ),
]
MethylationSamplesIn: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Samples of that table: rows or columns, if detected wrongly."),
]
Embeddings: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Folder of embedded slides; default: embeddings/ in --out."),
]
Mpp: TypeAlias = Annotated[
    float | None,
    typer.Option(help="Microns per pixel of slides whose row does not tell."),
]
Device: TypeAlias = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Precision: TypeAlias = Annotated[
    str,
    typer.Option(
        help="Of embeddings: auto (float32 on a CPU), float32 or bfloat16 (faster)."
    ),
]
BatchSize: TypeAlias = Annotated[
    int | None, typer.Option(help="Patches per batch; default: what suits.")
]
Tensorboard: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Folder for the curves of every training, for TensorBoard."),
]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the outcome as JSON.")
]
