"""Colors of a scanner brought to sRGB by the ICC profile in its file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageCms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.slides.stain import StainNormalizer

LATTICE = np.linspace(0, 255, 18).astype(np.uint8)
"""Levels of red, green and blue at which a profile is held against sRGB itself."""

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

    @property
    def is_identity(self) -> bool:
        """Whether no color changes by more than one level of rounding."""
        colors = np.stack(np.meshgrid(LATTICE, LATTICE, LATTICE), axis=-1)
        colors = colors.reshape(1, -1, 3)
        change = self.apply(colors).astype(np.int16) - colors
        return bool(np.abs(change).max() <= 1)

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


def describe_profile(profile: bytes | None) -> dict[str, str]:
    """Read what an ICC profile says about itself.

    Parameters
    ----------
    profile : bytes or None
        Profile of a file, if it has one.

    Returns
    -------
    dict of str to str
        Of ``"description"``, ``"maker"``, ``"model"`` and ``"space"`` (such as
        ``"RGB"``) those that are told; empty where there is no profile or it cannot be
        read.
    """
    if not profile:
        return {}
    try:
        about = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return {}
    found = {
        "description": about.profile_description,
        "maker": about.manufacturer or about.header_manufacturer,
        "model": about.model or about.header_model,
        "space": about.xcolor_space,
    }
    told = {name: (value or "").strip(" \0\r\n\t") for name, value in found.items()}
    return {name: value for name, value in told.items() if value}


class SlideColor:
    """What is done to the colors of one slide: ICC profile first, then stain.

    Parameters
    ----------
    profile : bytes or None
        Profile of the file, if it has one.
    wanted : bool
        Whether to apply it.
    name : str
        Name of the slide, for the message.
    stain : StainNormalizer or None, default: None
        Change of stain to apply after the profile.

    Attributes
    ----------
    state : str
        ``"applied"``; ``"off"`` where a profile is there but not wanted; ``"none"``
        where the file has none; ``"unusable"`` where it has a damaged one.
    problem : str
        Why a profile that is wanted cannot be used; colors then stay as stored. Empty
        where there is no problem.
    """

    def __init__(
        self,
        profile: bytes | None,
        *,
        wanted: bool,
        name: str,
        stain: StainNormalizer | None = None,
    ) -> None:
        self.wanted = wanted
        self.stain = stain
        self.problem = ""
        self.state: IccState = "off" if profile else "none"
        self._transform: ColorTransform | None = None
        if not (profile and wanted):
            return
        try:
            transform = ColorTransform(profile)
            # Many scanners write the profile of sRGB itself, which changes nothing.
            self._transform = None if transform.is_identity else transform
            self.state = "applied"
        except ValueError as err:
            self.state = "unusable"
            self.problem = (
                f"slide {name!r}: its color profile cannot be used ({err}); colors are "
                "shown as stored"
            )

    @property
    def is_stored(self) -> bool:
        """Whether pixels are given as stored, since nothing is to be done to them."""
        return self._transform is None and self.stain is None

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a tile to sRGB and to the wanted stain, each where it is in use.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (y, x, 3)
            RGB as stored.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            A new array, or the same one where nothing is to be done.
        """
        if self._transform is not None:
            pixels = self._transform.apply(pixels)
        return pixels if self.stain is None else self.stain.transform(pixels)
