"""Names of the methods that map a logit onto a patch."""

from __future__ import annotations

from napari_mmsubtype.core.option_words import leave_out
from napari_mmsubtype.errors import ConfigurationError

EXACT = "cam"
"""Of models whose evidence is linear in the feature map; nothing to choose there."""
DEFAULT = "grad-cam"
CAM_METHODS = ("grad-cam", "grad-cam++", "hires-cam", "layer-cam")
"""Of the other models."""
ROLLOUT = "attention-rollout"
"""Of vision transformers, beside the map of evidence: it knows no class."""
METHODS = (*CAM_METHODS, ROLLOUT)

_UNITS = {"grad-cam++": "no unit", ROLLOUT: "share of the attention"}


def cam_unit(method: str) -> str:
    """Give the unit of a map.

    Parameters
    ----------
    method : str
        `EXACT` or one of `METHODS`.

    Returns
    -------
    str
        ``"logits"`` for all that are made of logits and their gradients.
    """
    return _UNITS.get(method, "logits")


def checked_cam(name: str, among: tuple[str, ...] = METHODS) -> str:
    """Check the name of a method.

    Parameters
    ----------
    name : str
        As the user wrote it; hyphens and capitals do not matter.
    among : tuple of str, default: METHODS
        The methods that may be meant.

    Returns
    -------
    str
        One of ``among``.

    Raises
    ------
    ConfigurationError
        If there is no such method.
    """
    known = {_plain(method): method for method in among}
    if _plain(name) not in known:
        msg = f"unknown cam method {name!r}; use one of {', '.join(among)}"
        raise ConfigurationError(msg)
    return known[_plain(name)]


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def other_methods(own: str, *, exact: bool, rollout: bool) -> tuple[str, ...]:
    """List the methods that can draw another map of a finished analysis.

    Parameters
    ----------
    own : str
        What its own map was drawn by: `EXACT` or one of `CAM_METHODS`.
    exact : bool
        Whether the model's evidence is linear in its feature map.
    rollout : bool
        Whether its attention can be rolled out.

    Returns
    -------
    tuple of str
        Of `METHODS`, in their order; never ``own``.
    """
    gradient = () if exact else CAM_METHODS
    found = (*gradient, ROLLOUT) if rollout else gradient
    return tuple(method for method in found if method != own)


def require_redrawable(method: str, own: str, *, exact: bool, rollout: bool) -> None:
    """Refuse a method that cannot draw a finished analysis.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    own : str
        What its own map was drawn by: `EXACT` or one of `CAM_METHODS`.
    exact : bool
        Whether the model's evidence is linear in its feature map.
    rollout : bool
        Whether its attention can be rolled out.

    Raises
    ------
    ConfigurationError
        If it is none of `other_methods`, nor the own one.
    """
    others = other_methods(own, exact=exact, rollout=rollout)
    if method in (own, *others):
        return
    msg = f"cam method {method!r} is for models whose evidence does not add up"
    if method == ROLLOUT:
        msg = f"{ROLLOUT} is for vision transformers, and the encoder here is none"
    if exact:
        msg += "; the map of this model is exact, and there is nothing to draw anew"
    else:
        msg += f"; use one of {', '.join(others)}"
    raise ConfigurationError(msg)


def chosen_cam(name: str | None, *, exact: bool) -> str:
    """Settle which method draws the map of evidence of a model.

    Parameters
    ----------
    name : str or None
        What was asked for; `ROLLOUT` is drawn beside the map of evidence.
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
    method = None if name is None else checked_cam(name)
    if method is None or method == ROLLOUT:
        return EXACT if exact else DEFAULT
    if exact:
        msg = (
            f"cam method {name!r} is for models whose evidence does not add up; the "
            f"map of this model is exact without it: {leave_out('cam_method', method)}"
        )
        raise ConfigurationError(msg)
    return method
