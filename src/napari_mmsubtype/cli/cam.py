"""``napari-mmsubtype cam``: draw a finished analysis by another method."""

from __future__ import annotations

from typing import Annotated

import typer


def cam_command(  # numpydoc ignore=PR01
    store: Annotated[
        str, typer.Argument(help="Store of a result (*.mmsubtype.zarr folder).")
    ],
    *,
    method: Annotated[
        str,
        typer.Option(
            help="grad-cam, grad-cam++, hires-cam or layer-cam (maps that are not "
            "exact), or attention-rollout (vision transformers)."
        ),
    ],
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON.")
    ] = False,
) -> None:
    """Draw the map of a finished analysis by another method; a stop is resumed."""
    from napari_mmsubtype.cli.progress_line import ProgressLine
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.core.cam_methods import cam_unit, checked_cam

    method = checked_cam(method)
    with ProgressLine() as progress:
        from napari_mmsubtype.workflows import draw_cam, jobs

        result = jobs.run_job(
            draw_cam.draw_cam_job(store, method, device=device), progress
        )
    drawn = [result.cam_method, *(cam.method for cam in result.cams)]
    record = {
        "store": str(result.path.absolute()),
        "method": method,
        "unit": cam_unit(method),
        "drawn": drawn,
    }
    text = f"store        {record['store']}\nmap          {method}, in {record['unit']}"
    text += f"\ndrawn by     {', '.join(drawn)}"
    typer.echo(to_json(record) if as_json else text)
