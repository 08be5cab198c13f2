"""Draw the map of a finished analysis by another method, without running it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_mmsubtype.core.cam_methods import checked_cam
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.inference.drawing import drawing_job
from napari_mmsubtype.results.cam_maps import CamWriter
from napari_mmsubtype.results.store import Result, open_result
from napari_mmsubtype.results.store_lock import StoreLock, clear_stale_lock
from napari_mmsubtype.workflows.jobs import run_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def draw_cam(
    store: str | Path,
    method: str,
    *,
    device: str = "auto",
    on_progress: Callable[[Progress], object] | None = None,
) -> Result:
    """Draw the map of a finished analysis by another method, and wait for it.

    Parameters
    ----------
    store : str or Path
        A ``*.mmsubtype.zarr`` folder.
    method : str
        ``grad-cam``, ``grad-cam++``, ``hires-cam`` or ``layer-cam`` where the map of
        the model is not exact; ``attention-rollout`` for vision transformers.
    device : str, default: "auto"
        ``auto``, ``cpu``, ``cuda``, ``cuda:<number>`` or ``mps``. The encoder runs in
        the precision of the analysis, if it can there.
    on_progress : callable, optional
        Receives every `Progress` event; may raise `JobCancelled`.

    Returns
    -------
    Result
        With the map among its ``cams``; its own map and call are as they were.

    Examples
    --------
    >>> result = draw_cam("slide.mmsubtype.zarr", "hires-cam")  # doctest: +SKIP
    >>> drawn = {cam.method: cam for cam in result.cams}  # doctest: +SKIP
    >>> drawn["hires-cam"].read(0).shape  # doctest: +SKIP
    (512, 640)
    """
    return run_job(draw_cam_job(store, method, device=device), on_progress)


def draw_cam_job(
    store: str | Path, method: str, *, device: str = "auto"
) -> Job[Result]:
    """Draw the map of a finished analysis by another method, step by step.

    Parameters
    ----------
    store : str or Path
        A ``*.mmsubtype.zarr`` folder.
    method : str
        One of `cam_methods.METHODS`.
    device : str, default: "auto"
        ``auto``, ``cpu``, ``cuda``, ``cuda:<number>`` or ``mps``. The encoder runs in
        the precision of the analysis, if it can there.

    Yields
    ------
    Progress
        Stages ``open``, ``tables`` and ``maps``. Closing the job loses at most one
        batch; the same request goes on there.

    Returns
    -------
    Result
        With the map among its ``cams``, or where the analysis was drawn by that method
        itself, as it is.
    """
    method = checked_cam(method)
    result = open_result(store)
    if method == result.cam_method or method in {cam.method for cam in result.cams}:
        # Its process may have been killed before it let go of what it finished.
        clear_stale_lock(result.path)
        yield Progress("maps", 1, 1, f"{method} is drawn already: nothing to do")
        return result
    drawing = yield from drawing_job(result, method, device)
    with drawing, StoreLock.acquire(result.path):
        writer = CamWriter(result.path, method, drawing.shape)
        yield from drawing.draw_job(writer, writer.mapped)
        yield Progress("maps", message="stitching the map")
        writer.finish(result.grid, drawing.factor, drawing.used)
    return open_result(result.path)


__all__ = ["draw_cam", "draw_cam_job"]
