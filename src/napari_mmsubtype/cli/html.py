"""``napari-mmsubtype report``: an analysis or a cross-validation as one HTML file."""

from __future__ import annotations

from typing import Annotated

import typer


def report_command(  # numpydoc ignore=PR01
    store: Annotated[
        str,
        typer.Argument(
            help="Store of a result (*.mmsubtype.zarr folder), or the folder of a "
            "cross-validation."
        ),
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
    """Write the report of an analysis or a cross-validation as one HTML file."""
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.results.crossval_record import is_crossval

    if is_crossval(store):
        from napari_mmsubtype.results.crossval_report import write_crossval_report

        written = write_crossval_report(store, out)
    else:
        from napari_mmsubtype.results.html_report import write_report

        written = write_report(store, out)
    path = str(written.absolute())
    typer.echo(to_json({"report": path}) if as_json else path)
