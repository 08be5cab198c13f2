"""Whose word about microns per pixel is taken, and what is said where none is."""

from __future__ import annotations

import math

from napari_mmsubtype.core.units import PLAUSIBLE_MPP, MppSource, PixelSize
from napari_mmsubtype.errors import ConfigurationError

MICRONS_PER_UNIT = {
    "m": 1e6,
    "meter": 1e6,
    "cm": 1e4,
    "centimeter": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "pm": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "in": 25400.0,
    "inch": 25400.0,
}
"""Length units as spelt by OME-XML, OME-Zarr, TIFF and ImageJ, in lower case."""


def measured(y: float | None, x: float | None) -> PixelSize | None:
    """Make a pixel size out of numbers found in a file.

    Parameters
    ----------
    y, x : float or None
        Microns per pixel as found.

    Returns
    -------
    PixelSize or None
        None where a number is missing, not finite or not positive.
    """
    if y is None or x is None:
        return None
    if not all(math.isfinite(value) and value > 0 for value in (y, x)):
        return None
    return PixelSize(y, x)


MPP_BY_OBJECTIVE = {10.0: 1.0, 20.0: 0.5, 40.0: 0.25}
"""Microns per pixel that scanners commonly have at an objective's magnification."""


def guess_from_objective(objective: str | None) -> PixelSize | None:
    """Guess the pixel size from the magnification of the objective.

    Parameters
    ----------
    objective : str or None
        Magnification as the file tells it, such as ``"20"`` or ``"40x"``.

    Returns
    -------
    PixelSize or None
        None for a magnification that says nothing certain enough.
    """
    try:
        power = float((objective or "").strip().lower().rstrip("x"))
    except ValueError:
        return None
    mpp = MPP_BY_OBJECTIVE.get(power)
    return None if mpp is None else PixelSize.square(mpp)


def believe(
    found: PixelSize | None,
    source: MppSource,
    mpp: float | None,
    objective: str | None = None,
) -> tuple[PixelSize | None, MppSource]:
    """Choose between the user's pixel size, the file's, and none.

    Parameters
    ----------
    found : PixelSize or None
        What the file says.
    source : MppSource
        Which part of the file says it.
    mpp : float or None
        What the user says, in microns per pixel of level 0.
    objective : str or None, default: None
        Magnification of the objective as the file tells it.

    Returns
    -------
    tuple of (PixelSize or None, MppSource)
        The user's word first; the file's where it is believable; then a guess from the
        objective, with the source `MppSource.OBJECTIVE`.

    Raises
    ------
    ConfigurationError
        If the user's word is not believable.
    """
    if mpp is not None:
        size = measured(mpp, mpp)
        if size is None or not size.is_plausible:
            low, high = PLAUSIBLE_MPP
            msg = (
                f"a pixel size of {mpp!r} um/px is not believable for a slide; give a "
                f"value between {low:g} and {high:g} (0.25 at 40x, 0.5 at 20x)"
            )
            raise ConfigurationError(msg)
        return size, MppSource.USER
    if found is None or not found.is_plausible:
        guess = guess_from_objective(objective)
        return guess, MppSource.NONE if guess is None else MppSource.OBJECTIVE
    return found, source


def explain_missing(name: str, found: PixelSize | None) -> str:
    """Say that the pixel size is missing and how to set it.

    Parameters
    ----------
    name : str
        Name of the slide.
    found : PixelSize or None
        The value in the file that was not believed.

    Returns
    -------
    str
        One sentence.
    """
    low, high = PLAUSIBLE_MPP
    told = (
        "does not say how many microns a pixel is"
        if found is None
        else f"says {found.mean:.4g} microns per pixel, which is not believable for a "
        f"slide ({low:g} to {high:g} expected)"
    )
    return (
        f"slide {name!r} {told}; pass --mpp 0.25 (40x) or --mpp 0.5 (20x) on the "
        "command line, mpp=... in Python, or set it in the panel"
    )
