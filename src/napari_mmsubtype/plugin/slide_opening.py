"""Open slides to be looked at: in sRGB unless told otherwise, problems shown."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides.registry import open_quietly

if TYPE_CHECKING:
    from napari_mmsubtype.slides.slide import Slide

ICC_VARIABLE = "MMSUBTYPE_ICC"
"""Environment variable: ``0`` shows colors as stored, ``1`` (default) as sRGB."""

Action = tuple[str, Callable[..., object]]

_CHOICES = {"": True, "1": True, "0": False}

logger = logging.getLogger(__name__)


def icc_by_default() -> bool:
    """Say whether slides are shown through their color profile at first.

    Returns
    -------
    bool
        True unless `ICC_VARIABLE` says otherwise.

    Raises
    ------
    ConfigurationError
        If the variable is neither 0 nor 1.
    """
    text = os.environ.get(ICC_VARIABLE, "").strip()
    if text not in _CHOICES:
        msg = (
            f"the environment variable {ICC_VARIABLE} is {text!r}; expected 0 (colors "
            "as stored) or 1 (color profiles are applied); correct or unset it"
        )
        raise ConfigurationError(msg)
    return _CHOICES[text]


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
