"""Whether slides are shown through their color profile, as the environment says."""

from __future__ import annotations

import os

from napari_mmsubtype.errors import ConfigurationError

ICC_VARIABLE = "MMSUBTYPE_ICC"
"""Environment variable: ``0`` shows colors as stored, ``1`` (default) as sRGB."""

_CHOICES = {"": True, "1": True, "0": False}


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


__all__ = ["ICC_VARIABLE", "icc_by_default"]
