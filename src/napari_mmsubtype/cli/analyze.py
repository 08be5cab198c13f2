"""``napari-mmsubtype analyze``: slide and tables in, call and store out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_mmsubtype.cli.quality_options import read_flags, read_thresholds
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.models.bundle_address import located


def analyze_command(  # numpydoc ignore=PR01
    slide: Annotated[
        str, typer.Argument(help="Slide file or folder, or a synthetic: address.")
    ],
    *,
    bundle: Annotated[
        str,
        typer.Option(help="'demo', a name of `bundle list`, folder, zip or hf://."),
    ] = "demo",
    rna: Annotated[
        str | None, typer.Option(help="RNA table, or folder of GDC files.")
    ] = None,
    methylation: Annotated[
        str | None, typer.Option(help="Methylation table, or GDC folder.")
    ] = None,
    clinical: Annotated[str | None, typer.Option(help="Clinical table.")] = None,
    rna_unit: Annotated[
        str | None, typer.Option(help="Unit of the RNA table, if detected wrongly.")
    ] = None,
    methylation_unit: Annotated[
        str | None, typer.Option(help="'beta' or 'm-value', if detected wrongly.")
    ] = None,
    rna_samples_in: Annotated[
        str | None, typer.Option(help="rows or columns, if detected wrongly.")
    ] = None,
    methylation_samples_in: Annotated[
        str | None, typer.Option(help="rows or columns, if detected wrongly.")
    ] = None,
    patient: Annotated[
        str | None, typer.Option(help="Patient to look up in the tables.")
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(help="Microns per pixel, where the slide does not say."),
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="Pixels between patches; default: the model's.")
    ] = None,
    min_tissue: Annotated[
        float | None,
        typer.Option(help="Share of a patch that must be tissue, 0 to 1."),
    ] = None,
    edge: Annotated[
        str, typer.Option(help="Patches beyond the slide's border: cover or inside.")
    ] = "cover",
    regions: Annotated[
        str | None,
        typer.Option(help="GeoJSON of areas to analyze; class 'Ignore*' leaves out."),
    ] = None,
    exclude: Annotated[
        str | None,
        typer.Option(
            help="Poor patches to leave out: any of pen,blur,fold,bubble; all; none. "
            "Default: pen,blur,bubble."
        ),
    ] = None,
    quality: Annotated[
        list[str] | None,
        typer.Option(help="A quality threshold, such as blur_ratio=0.05; repeatable."),
    ] = None,
    tissue: Annotated[
        str | None,
        typer.Option(help="Edited tissue mask (.tissue.zarr or .geojson)."),
    ] = None,
    set_coverage: Annotated[
        float | None,
        typer.Option(help="Coverage of the set of classes, default 0.9."),
    ] = None,
    cam_method: Annotated[
        str | None,
        typer.Option(
            help="Map of a model that is not exact: grad-cam (default), grad-cam++, "
            "hires-cam or layer-cam; attention-rollout is drawn beside it."
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    fallback_cpu: Annotated[
        bool,
        typer.Option("--fallback-cpu", help="Go on with the CPU if the GPU is lost."),
    ] = False,
    precision: Annotated[
        str,
        typer.Option(
            help="Of the encoder: auto, float32, bfloat16, or int8 (fastest on a CPU)."
        ),
    ] = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(help="Patches per batch; default: what suits."),
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Folder for the store; default: this folder.")
    ] = None,
    html: Annotated[
        str | None,
        typer.Option(help="Also write the report as HTML: a file or a folder."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON.")
    ] = False,
) -> None:
    """Analyse one patient; the same request again resumes or shows its store."""
    recipe = AnalyzeRecipe(
        slide=slide,
        bundle=located(bundle),
        patient=patient,
        rna=rna,
        methylation=methylation,
        clinical=clinical,
        rna_unit=rna_unit,
        methylation_unit=methylation_unit,
        rna_samples_in=rna_samples_in,
        methylation_samples_in=methylation_samples_in,
        mpp=mpp,
        stride_px=stride,
        min_tissue=min_tissue,
        edge=edge,
        regions=regions,
        quality=read_thresholds(quality) if quality else None,
        exclude=None if exclude is None else read_flags(exclude),
        tissue=tissue,
        set_coverage=set_coverage,
        cam_method=cam_method,
        device=device,
        fallback_cpu=fallback_cpu,
        precision=precision,
        batch_size=batch_size,
        out=out or ".",
    ).located()
    analyze_and_print(recipe, as_json=as_json, html=html)


def analyze_and_print(
    recipe: AnalyzeRecipe, *, as_json: bool, html: str | None = None
) -> None:
    """Run a recipe with progress on stderr and print the outcome to stdout.

    Parameters
    ----------
    recipe : AnalyzeRecipe
        The request.
    as_json : bool
        Print JSON and nothing else.
    html : str or None, default: None
        File or folder that receives the report.
    """
    from napari_mmsubtype.cli.progress_line import ProgressLine
    from napari_mmsubtype.cli.report import result_record, result_text, to_json

    if html is not None:
        # Hours of work should not end with a name that cannot be written to.
        from napari_mmsubtype.results.html_report import report_target

        report_target(html, "report.html", to_come=Path(recipe.out or "."))
    with ProgressLine() as progress:
        # torch takes seconds to import: help and mistakes in the options do not wait.
        from napari_mmsubtype.workflows import analyze, jobs

        result = jobs.run_job(analyze.analyze_job(recipe), progress)
    record = result_record(result)
    text = result_text(result)
    if html is not None:
        from napari_mmsubtype.results.html_report import write_report

        report = write_report(result, html).absolute()
        record["report"] = str(report)
        text += f"\nreport       {report}"
    typer.echo(to_json(record) if as_json else text)
