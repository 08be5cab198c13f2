"""``napari-mmsubtype demo``: the main job on a synthetic patient."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from napari_mmsubtype.workflows.demo import DemoOutcome

PLUGIN = "napari-mmsubtype"


def demo_command(  # numpydoc ignore=PR01
    *,
    headless: Annotated[
        bool, typer.Option("--headless", help="Open no window, even with a display.")
    ] = False,
    out: Annotated[str, typer.Option(help="Folder for what the demo writes.")] = "demo",
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON; no window.")
    ] = False,
) -> None:
    """Analyse a synthetic patient with the demo model, then show it in napari."""
    from napari_mmsubtype.cli.progress_line import ProgressLine
    from napari_mmsubtype.cli.report import result_record, result_text, to_json

    folder = Path(out).expanduser().absolute()
    with ProgressLine() as progress:
        from napari_mmsubtype.workflows import demo, jobs

        outcome = jobs.run_job(demo.demo_job(folder, device=device), progress)
    if as_json:
        record = result_record(outcome.result)
        record |= {"picture": str(outcome.picture), "truth": outcome.truth}
        typer.echo(to_json(record))
        return
    typer.echo(result_text(outcome.result))
    typer.echo(f"picture      {outcome.picture}")
    typer.echo(f"The synthetic patient's true class is {outcome.truth}.")
    if not headless:
        _show_if_possible(outcome)


def _show_if_possible(outcome: DemoOutcome) -> None:
    """Open napari where there is a display and a napari, else say what is missing."""
    if not has_display():
        typer.echo("No display: open the picture, or the store in napari.", err=True)
    elif importlib.util.find_spec("napari") is None:
        hint = 'pip install "napari-mmsubtype[gui]"'
        typer.echo(f"napari is not installed: {hint} to see the overlays.", err=True)
    else:
        show_in_napari(outcome.result.path)


def has_display() -> bool:
    """Tell whether a window can be opened.

    Returns
    -------
    bool
        On Linux, whether an X or Wayland display is named; elsewhere True.
    """
    if not sys.platform.startswith("linux"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def show_in_napari(store: Path) -> None:
    """Open a result in a napari window and wait until it is closed.

    Parameters
    ----------
    store : Path
        A ``*.mmsubtype.zarr`` folder.
    """
    import napari

    viewer = napari.Viewer(title="napari-mmsubtype: synthetic patient")
    viewer.open(str(store), plugin=PLUGIN)
    for panel in ("Analyze slide", "Result"):
        viewer.window.add_plugin_dock_widget(PLUGIN, panel, tabify=True)
    napari.run()
