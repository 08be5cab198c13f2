"""What a store says about its slide: name, size, pixel size, colors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.color_words import profile_words, stain_words
from napari_mmsubtype.core.slide_address import is_address
from napari_mmsubtype.core.units import MppSource, PixelSize

if TYPE_CHECKING:
    from napari_mmsubtype.results.store import Result


class StoredSlide:
    """The slide of an analysis, as stored.

    Parameters
    ----------
    body : dict
        Attributes of the store.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body

    @property
    def slide_path(self) -> str:
        """Path or address of the slide."""
        return str(self._body["slide"]["path"])

    @property
    def slide_name(self) -> str:
        """Name of the slide."""
        return str(self._body["slide"]["name"])

    @property
    def slide_content(self) -> str | None:
        """What `Slide.content` was; None where that or the version did not tell."""
        content = self._body["slide"].get("content")
        return None if content is None else str(content)

    @property
    def slide_shape(self) -> tuple[int, int]:
        """Height and width of level 0 in pixels."""
        height, width = self._body["slide"]["shape"]
        return int(height), int(width)

    @property
    def pixel_size(self) -> PixelSize:
        """The size of a level-0 pixel in microns, as analysed."""
        return PixelSize(*self._body["slide"]["mpp"])

    @property
    def mpp_source(self) -> MppSource:
        """Who gave the pixel size."""
        return MppSource(self._body["slide"]["mpp_source"])

    @property
    def pixel_size_text(self) -> str:
        """The pixel size and who gave it, in words; a guess is called one."""
        words = {
            MppSource.USER: "given by the user",
            MppSource.OBJECTIVE: "only guessed from the objective: check it",
        }
        size, source = self.pixel_size, self.mpp_source
        axes = f"{size.x:g}" if size.x == size.y else f"{size.y:g} x {size.x:g}"
        return f"{axes} µm/px, {words.get(source, f'from the file ({source})')}"

    @property
    def icc(self) -> str:
        """What became of the color profile, as `Slide.icc`; ``none`` if untold."""
        return str(self._body["slide"].get("icc") or "none")

    @property
    def stain(self) -> dict[str, Any] | None:
        """Record of the fitted change of stain, or None where the model asks for none.

        `slides.stain.StainNormalizer.from_dict` reads it.
        """
        record = self._body.get("stain")
        return None if record is None else dict(record)

    @property
    def color_text(self) -> str:
        """What was done to the colors for the model; empty where nothing was asked."""
        if self.icc == "none" and self.stain is None:
            return ""
        profile = profile_words(
            self.icc, self._body["slide"].get("icc_profile"), by_model=True
        )
        return f"profile {profile}; stain {stain_words(self.stain)}"


def slide_place(result: Result) -> str:
    """Find the slide of an analysis, where it was or beside the store.

    Parameters
    ----------
    result : Result
        The analysis.

    Returns
    -------
    str
        Path or address; where it was if it is in neither place.
    """
    beside = result.path.parent / Path(result.slide_path).name
    if is_address(result.slide_path) or Path(result.slide_path).exists():
        return result.slide_path
    return str(beside) if beside.exists() else result.slide_path
