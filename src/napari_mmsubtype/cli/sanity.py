"""``napari-mmsubtype sanity``: test whether a map tells what the model looks at."""

from __future__ import annotations

from typing import Annotated

import typer


def sanity_command(  # numpydoc ignore=PR01
    store: Annotated[
        str, typer.Argument(help="Store of a result (*.mmsubtype.zarr folder).")
    ],
    *,
    deletion: Annotated[
        bool, typer.Option("--deletion", help="Take patches away by evidence.")
    ] = False,
    insertion: Annotated[
        bool, typer.Option("--insertion", help="Add patches by evidence.")
    ] = False,
    randomization: Annotated[
        bool, typer.Option("--randomization", help="Draw weights anew, cascading.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of random orders and weights.")] = 0,
    out: Annotated[
        str | None,
        typer.Option(help="Folder for JSON and PNG; default: beside the store."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was found as JSON.")
    ] = False,
) -> None:
    """Test the map of a result; all checks where none is named."""
    from napari_mmsubtype.cli.progress_line import ProgressLine
    from napari_mmsubtype.cli.report import to_json

    asked = {
        "deletion": deletion,
        "insertion": insertion,
        "randomization": randomization,
    }
    checks = [name for name, wanted in asked.items() if wanted] or list(asked)
    with ProgressLine() as progress:
        from napari_mmsubtype.workflows import jobs, sanity

        job = sanity.sanity_job(store, checks=checks, seed=seed, out=out)
        record = jobs.run_job(job, progress)
    lines = [
        f"map by {record['method']} for {record['class']}, {record['patches']} patches "
        f"of {record['slide']}",
        *sanity.sanity_lines(record),
        record["files"]["json"],
        record["files"]["png"],
    ]
    typer.echo(to_json(record) if as_json else "\n".join(lines))
