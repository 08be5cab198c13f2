"""Colors of a scanner brought to sRGB by the ICC profile in its file."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageCms

if TYPE_CHECKING:
    from numpy.typing import NDArray

IccState = Literal["applied", "off", "none", "unusable"]


class ColorWarning(UserWarning):
    """Colors are left as they are where a profile or stain fit cannot serve."""


class ColorTransform:
    """Scanner RGB to sRGB; built once, used by any number of threads.

    Parameters
    ----------
    profile : bytes
        ICC profile of an RGB device.

    Raises
    ------
    ValueError
        If the profile is damaged or not one of RGB colors.
    """

    def __init__(self, profile: bytes) -> None:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            self._transform = ImageCms.buildTransform(
                source,
                ImageCms.createProfile("sRGB"),
                "RGB",
                "RGB",
                ImageCms.Intent(ImageCms.getDefaultIntent(source)),
                # The cache of the last pixel is the one thing threads would share.
                ImageCms.Flags.NOCACHE,
            )
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as err:
            msg = f"no ICC profile of RGB colors: {err}"
            raise ValueError(msg) from err

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring pixels to sRGB.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (y, x, 3)
            RGB of the scanner.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            sRGB; a new array.
        """
        if not pixels.size:
            return pixels.copy()
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.array(self._transform.apply(image))


class SlideColor:
    """What is done about the ICC profile of one slide.

    Parameters
    ----------
    profile : bytes or None
        Profile of the file, if it has one.
    wanted : bool
        Whether to apply it.
    name : str
        Name of the slide, for the warning.

    Attributes
    ----------
    state : str
        ``"applied"``; ``"off"`` where a profile is there but not wanted; ``"none"``
        where the file has none; ``"unusable"`` where it has a damaged one.

    Warns
    -----
    ColorWarning
        If the profile is wanted but unusable; colors then stay as stored.
    """

    def __init__(self, profile: bytes | None, *, wanted: bool, name: str) -> None:
        self.wanted = wanted
        self.state: IccState = "off" if profile else "none"
        self._transform: ColorTransform | None = None
        if not (profile and wanted):
            return
        try:
            self._transform = ColorTransform(profile)
            self.state = "applied"
        except ValueError as err:
            self.state = "unusable"
            msg = (
                f"slide {name!r}: its color profile cannot be used ({err}); colors are "
                "shown as stored"
            )
            warnings.warn(msg, ColorWarning, stacklevel=2)

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a tile to sRGB where a profile is in use.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (y, x, 3)
            RGB as stored.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            sRGB, or the same array where no profile is in use.
        """
        return pixels if self._transform is None else self._transform.apply(pixels)
