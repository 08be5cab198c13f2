"""Open slides to be looked at: in sRGB unless told otherwise, problems shown."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_mmsubtype.core.icc_choice import icc_by_default
from napari_mmsubtype.slides.registry import open_quietly

if TYPE_CHECKING:
    import os

    from napari_mmsubtype.slides.slide import Slide

Action = tuple[str, Callable[..., object]]

logger = logging.getLogger(__name__)


def open_for_view(path: str | os.PathLike[str], *, mpp: float | None = None) -> Slide:
    """Open a slide as the viewer shows it.

    A color profile that cannot be used is shown as a notification. May be called in
    any thread.

    Parameters
    ----------
    path : str or path-like
        As for `open_slide`.
    mpp : float or None, default: None
        Microns per pixel given by the user.

    Returns
    -------
    Slide
        The open slide.

    Raises
    ------
    SlideOpenError
        If it cannot be opened.
    ConfigurationError
        If `ICC_VARIABLE` or ``mpp`` cannot be meant.
    """
    slide = open_quietly(path, mpp=mpp, icc=icc_by_default())
    if slide.color_problem:
        show_problem(slide.color_problem)
    return slide


def show_problem(message: str, action: Action | None = None) -> None:
    """Show a notification in napari and log it.

    Parameters
    ----------
    message : str
        What is wrong and what to do.
    action : tuple of (str, callable), optional
        Text of a button and what it does.
    """
    # napari is not imported by whoever only asks which files can be read.
    from napari.utils.notifications import Notification, notification_manager

    class Notice(Notification):  # type: ignore[misc]
        """Names its source, beneath which napari would print an object of its own."""

        source = "napari-mmsubtype"

    logger.warning("%s", message)
    actions = [] if action is None else [action]
    notification_manager.dispatch(Notice(message, "warning", actions))
