"""``napari-mmsubtype embed``: every slide of a cohort through an encoder."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_mmsubtype.cli import cohort_options as options

SOME_FAILED = 3
"""Exit code where some slides could not be embedded."""


def embed_command(  # numpydoc ignore=PR01
    manifest: options.Manifest,
    *,
    out: Annotated[
        str, typer.Option(help="Folder for the stores; the same again goes on there.")
    ],
    encoder: Annotated[
        str | None, typer.Option(help="Name of an encoder, such as resnet50.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Of the encoder: torchvision, hub or a file."),
    ] = None,
    bundle: Annotated[
        str | None, typer.Option(help="Bundle whose encoder to use instead.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Preset whose encoder to use instead.")
    ] = None,
    changes: options.Changes = None,
    patch_size: Annotated[
        int | None, typer.Option(help="Side of a patch in px, with --encoder.")
    ] = None,
    patch_mpp: Annotated[
        float, typer.Option(help="Microns per pixel of a patch, with --encoder.")
    ] = 0.5,
    mpp: options.Mpp = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    batch_size: options.BatchSize = None,
    as_json: options.AsJson = False,
) -> None:
    """Embed every slide of a manifest; slides that fail are told at the end."""
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.cli.shared_run import shared_progress
    from napari_mmsubtype.workflows.started_processes import process_rank

    with shared_progress() as progress:
        from napari_mmsubtype.workflows.embed import embed

        found = embed(
            manifest,
            out=out,
            encoder=encoder,
            weights=weights,
            bundle=bundle,
            preset=preset,
            overrides=changes or (),
            patch_px=patch_size,
            patch_mpp=patch_mpp,
            mpp=mpp,
            device=device,
            precision=precision,
            batch_size=batch_size,
            on_progress=progress,
        )
    if process_rank() > 0:
        return
    if as_json:
        bags = {slide: str(path) for slide, path in found.bags.items()}
        typer.echo(to_json({"embedded": bags, "failed": dict(found.failures)}))
    else:
        typer.echo(f"embedded  {len(found.bags)} slides in {found.folder}")
        for slide, reason in found.failures.items():
            typer.echo(f"failed    {slide}: {reason}")
    if found.failures:
        raise typer.Exit(SOME_FAILED)
