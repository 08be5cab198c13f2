"""``napari-mmsubtype umap``: a map of what the patches of a result look like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer


def umap_command(  # numpydoc ignore=PR01
    store: Annotated[
        str, typer.Argument(help="Store of a result (*.mmsubtype.zarr folder).")
    ],
    *,
    reference: Annotated[
        str,
        typer.Option(
            help="auto: training patches of the bundle if it carries some; bundle: "
            "these or an error; own: the slide's patches."
        ),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="The same seed gives the same map.")] = 0,
    neighbors: Annotated[
        int, typer.Option(help="Patches that each is compared with.")
    ] = 15,
    min_dist: Annotated[
        float, typer.Option(help="How close patches may lie, 0 to 1.")
    ] = 0.1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON.")
    ] = False,
) -> None:
    """Make a UMAP of the patch embeddings and keep it in the store."""
    from napari_mmsubtype.cli.progress_line import ProgressLine
    from napari_mmsubtype.cli.report import to_json

    with ProgressLine() as progress:
        from napari_mmsubtype.workflows.patch_umap import umap

        found = umap(
            store,
            reference=reference,
            seed=seed,
            neighbors=neighbors,
            min_dist=min_dist,
            on_progress=progress,
        )
    placed = int(np.isfinite(found.points[:, 0]).sum())
    record = {
        "store": str(Path(store).absolute()),
        "patches": placed,
        "reference": len(found.reference),
        "seed": found.spec.seed,
        "neighbors": found.spec.neighbors,
        "min_dist": found.spec.min_dist,
    }
    if as_json:
        typer.echo(to_json(record))
        return
    source = (
        f"{len(found.reference):,} training patches of the bundle"
        if found.is_reference
        else "its own patches"
    )
    typer.echo(f"map          {placed:,} patches, laid out from {source}")
    typer.echo(f"store        {record['store']} (array umap/patches)")
