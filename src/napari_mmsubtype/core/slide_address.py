"""Paths and addresses of slides, in a form that can be compared."""

from __future__ import annotations

from pathlib import Path

SYNTHETIC = "synthetic:"
"""Begins the address of a slide that is made as it is read."""


def is_address(place: str) -> bool:
    """Tell an address from a path.

    Parameters
    ----------
    place : str
        Where a slide or a table is.

    Returns
    -------
    bool
        Whether it is no path of a file system.
    """
    return place.startswith(SYNTHETIC) or "://" in place


def in_full(place: str) -> str:
    """Make a path independent of the current folder.

    Parameters
    ----------
    place : str
        Path or address.

    Returns
    -------
    str
        The absolute path; an address stays as it is.
    """
    return place if is_address(place) else str(Path(place).expanduser().absolute())
