"""Boxes on a pixel grid, always ``(y, x, height, width)``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels.

    Attributes
    ----------
    y, x : int
        Upper left corner; may lie outside the image.
    height, width : int
        Extent in pixels, not negative.
    """

    y: int
    x: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 0 or self.width < 0:
            msg = f"a box cannot be {self.height} x {self.width} px"
            raise ValueError(msg)

    @property
    def is_empty(self) -> bool:
        """Whether the box holds no pixel."""
        return self.height == 0 or self.width == 0

    def clipped(self, height: int, width: int) -> Box:
        """Cut the box to an image that starts at the origin.

        Parameters
        ----------
        height, width : int
            Size of the image in pixels.

        Returns
        -------
        Box
            The common part, empty where box and image do not meet.
        """
        top, left = max(self.y, 0), max(self.x, 0)
        bottom = min(self.y + self.height, height)
        right = min(self.x + self.width, width)
        return Box(top, left, max(bottom - top, 0), max(right - left, 0))
