"""The classes that a model tells apart, with the colours they are drawn in."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEX_COLOR = re.compile(r"#[0-9a-fA-F]{6}")

UNKNOWN_CLASS = 255
"""Index that stands for a class which is not known."""


@dataclass(frozen=True, slots=True)
class Subtype:
    """One class of a model.

    Attributes
    ----------
    name : str
        As shown to the user, for example ``"Luminal"``.
    color : str
        ``"#rrggbb"``.
    """

    name: str
    color: str

    def __post_init__(self) -> None:
        if not self.name:
            msg = "a class needs a name"
            raise ValueError(msg)
        if not _HEX_COLOR.fullmatch(self.color):
            msg = f"class {self.name!r}: colour must be '#rrggbb', found {self.color!r}"
            raise ValueError(msg)

    @property
    def rgb(self) -> tuple[float, float, float]:
        """Red, green and blue, 0 to 1."""
        r, g, b = (int(self.color[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return r, g, b


LUMINAL = Subtype("Luminal", "#0072b2")  # Okabe-Ito blue: safe for the colour blind
BASAL_HER2 = Subtype("Basal/HER2", "#d55e00")  # Okabe-Ito vermilion
