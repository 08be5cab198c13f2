"""``napari-mmsubtype export``: hand a result to other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_mmsubtype.errors import ConfigurationError


def export_command(  # numpydoc ignore=PR01
    store: Annotated[
        str, typer.Argument(help="Store of a result (*.mmsubtype.zarr folder).")
    ],
    *,
    ome_zarr: Annotated[
        str | None,
        typer.Option(help="Write the maps as OME-Zarr 0.5 into this new folder."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was written as JSON.")
    ] = False,
) -> None:
    """Export the class, evidence and attention maps of a result."""
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.results.export_omezarr import export_ome_zarr
    from napari_mmsubtype.results.store import open_result

    if ome_zarr is None:
        msg = "nothing to export was named; give --ome-zarr maps.ome.zarr"
        raise ConfigurationError(msg)
    path = str(export_ome_zarr(open_result(store), ome_zarr).absolute())
    typer.echo(to_json({"ome_zarr": path}) if as_json else path)
