"""Let napari open slides and results by name, by dialog and by drop."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.results.schema import SUFFIX
from napari_mmsubtype.slides.registry import can_open

if TYPE_CHECKING:
    from napari_mmsubtype.plugin.layers import LayerTuple

# napari asks every reader about every file that is opened, so what only ours need
# (pandas, zarr) is imported by the functions that read.

PIXEL_SIZE_COMMAND = "napari-mmsubtype.set_pixel_size"
"""The widgets lie above this layer: they are reached by the name of a command."""

Reader = Callable[[Any], "list[LayerTuple]"]


def get_reader(path: str | list[str]) -> Reader | None:
    """Offer to read a path if it is a slide or a result of this plugin.

    Parameters
    ----------
    path : str or list of str
        What the user opens; several paths to be stacked are not ours.

    Returns
    -------
    callable or None
        Takes the path and returns layers; None where another reader should try.
        Nothing is raised and no pixel is decoded.
    """
    try:
        name = os.fsdecode(path)  # type: ignore[arg-type]
    except TypeError:
        return None
    if is_result(name):
        return read_result
    return read_slide if can_open(name) else None


def is_result(path: str | Path) -> bool:
    """Tell a result store by its name.

    Parameters
    ----------
    path : str or Path
        Any path.

    Returns
    -------
    bool
        Whether it is a folder named ``*.mmsubtype.zarr``.
    """
    # A path that the system refuses to look at (too long, a null byte) is not ours.
    try:
        return str(path).rstrip("/\\").endswith(SUFFIX) and Path(path).is_dir()
    except (OSError, ValueError):
        return False


def read_slide(path: str) -> list[LayerTuple]:
    """Open a slide as a layer.

    Parameters
    ----------
    path : str
        A file, or a folder for OME-Zarr and DICOM.

    Returns
    -------
    list of tuple
        One multiscale image layer.
    """
    from napari_mmsubtype.plugin.layers import slide_layers
    from napari_mmsubtype.plugin.slide_opening import open_for_view

    slide = open_for_view(path)
    if slide.pixel_size is None:
        warn_missing_pixel_size(slide.name, slide.path)
    return slide_layers(slide)


def read_result(path: str) -> list[LayerTuple]:
    """Open a result store as layers: the slide and its overlays.

    Parameters
    ----------
    path : str
        A ``*.mmsubtype.zarr`` folder.

    Returns
    -------
    list of tuple
        As `to_layers` gives them.
    """
    from napari_mmsubtype.plugin.hover import watch_open_viewer
    from napari_mmsubtype.plugin.layers import to_layers
    from napari_mmsubtype.plugin.slide_opening import show_problem
    from napari_mmsubtype.plugin.window import keep_context
    from napari_mmsubtype.results.store import open_result

    watch_open_viewer()
    keep_context()
    result = open_result(path)
    if result.prediction is None:
        show_problem(
            f"The analysis of {result.slide_name} was interrupted; only its tissue is "
            "shown. Run it again to resume it."
        )
    return to_layers(result)


def warn_missing_pixel_size(name: str, path: str) -> None:
    """Tell the user that a slide is shown in pixels, and offer to mend it.

    Parameters
    ----------
    name : str
        Name of the slide.
    path : str
        Its path, handed to the command that sets the pixel size.
    """
    from npe2 import PluginManager

    from napari_mmsubtype.plugin.slide_opening import show_problem

    action, manager = None, PluginManager.instance()
    if PIXEL_SIZE_COMMAND.partition(".")[0] in manager:
        execute = manager.commands.execute
        # napari hands over the notification that was clicked in.
        action = "Set pixel size…", lambda *_: execute(PIXEL_SIZE_COMMAND, (path,))
    show_problem(
        f"Pixel size unknown: {name} is shown in pixels, as its file does not say how "
        "many microns one is. Set it to measure and analyze (0.25 at 40x, 0.5 at 20x).",
        action,
    )
