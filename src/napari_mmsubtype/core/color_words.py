"""Say in words what was done to the colors of a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

STAIN_NAMES = {
    "macenko": "Macenko",
    "reinhard": "Reinhard",
    "vahadane": "Vahadane",
}
"""Methods of stain normalization as people write them."""

_STATES = {
    "applied": "applied, colors are sRGB",
    "off": "not applied, colors are as stored",
    "none": "none in the file, colors are as stored",
    "unusable": "cannot be used, colors are as stored",
}


def profile_name(about: Mapping[str, str] | None) -> str:
    """Name a color profile.

    Parameters
    ----------
    about : mapping or None
        What the profile says of itself: ``description``, ``maker``, ``model``.

    Returns
    -------
    str
        For example ``"ScanScope v1 (APTS)"``; empty where nothing is known.
    """
    about = about or {}
    title = about.get("description") or about.get("model") or ""
    maker = about.get("maker", "")
    if not title or not maker or maker.lower() in title.lower():
        return title or maker
    return f"{title} ({maker})"


def profile_words(
    state: str, about: Mapping[str, str] | None = None, *, by_model: bool = False
) -> str:
    """Say what became of the color profile of a slide.

    Parameters
    ----------
    state : str
        ``"applied"``, ``"off"``, ``"none"`` or ``"unusable"``.
    about : mapping or None, default: None
        What the profile says of itself.
    by_model : bool, default: False
        Whether a model chose, and not a user.

    Returns
    -------
    str
        For example ``"sRGB IEC61966-2.1 (HP): applied, colors are sRGB"``.
    """
    words = _STATES[state]
    if by_model and state in ("applied", "off"):
        words = f"{words.split(',', maxsplit=1)[0]}, as the model was trained"
    name = profile_name(about)
    return f"{name}: {words}" if name else words


def stain_words(fit: Mapping[str, Any] | None) -> str:
    """Say what became of the stain of a slide.

    Parameters
    ----------
    fit : mapping or None
        Record of the fit; None where none was asked for.

    Returns
    -------
    str
        For example ``"normalized by Macenko, as the model was trained"``.
    """
    if fit is None:
        return "as it is"
    name = STAIN_NAMES[fit["method"]]
    if fit.get("problem"):
        return f"as it is: the fit by {name} failed"
    return f"normalized by {name}, as the model was trained"
