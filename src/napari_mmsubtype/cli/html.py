"""``napari-mmsubtype report``: the result of an analysis as one HTML file."""

from __future__ import annotations

from typing import Annotated

import typer


def report_command(  # numpydoc ignore=PR01
    store: Annotated[
        str, typer.Argument(help="Store of a result (*.mmsubtype.zarr folder).")
    ],
    *,
    out: Annotated[
        str | None,
        typer.Option(help="HTML file, or a folder for it; default: beside the store."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the file's path as JSON.")
    ] = False,
) -> None:
    """Write the report of an analysis as one HTML file."""
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.results.html_report import write_report

    path = str(write_report(store, out).absolute())
    typer.echo(to_json({"report": path}) if as_json else path)
