"""Names of the methods that map a logit onto a patch."""

from __future__ import annotations

from napari_mmsubtype.errors import ConfigurationError

EXACT = "cam"
"""Of models whose evidence is linear in the feature map; nothing to choose there."""
DEFAULT = "grad-cam"
CAM_METHODS = ("grad-cam", "grad-cam++", "hires-cam", "layer-cam")
"""Of the other models."""


def checked_cam(name: str) -> str:
    """Check the name of a method.

    Parameters
    ----------
    name : str
        As the user wrote it.

    Returns
    -------
    str
        One of `CAM_METHODS`.

    Raises
    ------
    ConfigurationError
        If there is no such method.
    """
    if name not in CAM_METHODS:
        msg = (
            f"unknown cam method {name!r}; use one of {', '.join(CAM_METHODS)}, or "
            f"leave it out for {DEFAULT}"
        )
        raise ConfigurationError(msg)
    return name


def chosen_cam(name: str | None, *, exact: bool) -> str:
    """Settle which method draws the map of a model.

    Parameters
    ----------
    name : str or None
        What was asked for.
    exact : bool
        Whether the model's evidence is linear in its feature map.

    Returns
    -------
    str
        `EXACT`, or one of `CAM_METHODS`.

    Raises
    ------
    ConfigurationError
        If a method is asked for where the map is exact.
    """
    if not exact:
        return DEFAULT if name is None else checked_cam(name)
    if name is not None:
        msg = (
            f"cam method {name!r} is for models whose evidence does not add up; the "
            "map of this model is exact without it: leave the method out"
        )
        raise ConfigurationError(msg)
    return EXACT
