"""Settings that the environment gives."""

from __future__ import annotations

import os

from napari_mmsubtype.errors import ConfigurationError


def read_mebibytes(variable: str, default_bytes: int) -> int:
    """Read an amount of memory or disk space.

    Parameters
    ----------
    variable : str
        Name of an environment variable that holds a whole number of MiB.
    default_bytes : int
        What holds where it is not set.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ConfigurationError
        If the variable is no whole number.
    """
    text = os.environ.get(variable, "").strip()
    if not text:
        return default_bytes
    if not (text.isascii() and text.isdecimal()):
        msg = (
            f"the environment variable {variable} is {text!r}; expected a whole number "
            f"of MiB such as {default_bytes // 1024**2}; correct or unset it"
        )
        raise ConfigurationError(msg)
    return int(text) * 1024**2
