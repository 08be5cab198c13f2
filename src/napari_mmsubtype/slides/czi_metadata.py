"""What the metadata document of a Zeiss CZI says."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from napari_mmsubtype.slides.pixel_size import MICRONS_PER_UNIT, measured

if TYPE_CHECKING:
    from napari_mmsubtype.core.units import PixelSize

PARTS = ("Information", "Scaling")
"""Parts of the document that are told; the rest are settings of devices and screens."""

LARGEST_PROPERTIES = 500


class CziMetadata:
    """The metadata of a CZI, empty where the document is not well formed.

    Parameters
    ----------
    xml : str
        The document.

    Attributes
    ----------
    pixel_size : PixelSize or None
        Microns per pixel, believable or not.
    bits : int or None
        How many bits of a sample the camera fills.
    properties : dict of str to str
        Texts by their path, such as ``zeiss.Information.User.Name``, and
        ``objective`` where a magnification is given.
    """

    def __init__(self, xml: str) -> None:
        try:
            root = ElementTree.fromstring(xml)
        except (ElementTree.ParseError, ValueError):
            root = ElementTree.Element("ImageDocument")
        found = root.find("Metadata")
        self._top = ElementTree.Element("Metadata") if found is None else found
        self.pixel_size = self._read_pixel_size()
        told = self._text("Information/Image/ComponentBitCount")
        self.bits = int(told) if told.isdecimal() else None
        self.properties = self._read_properties()
        objective = self._read_objective()
        if objective:
            self.properties["objective"] = objective

    def _text(self, path: str) -> str:
        """Give the text at a path, empty where there is none."""
        return (self._top.findtext(path) or "").strip()

    def _read_pixel_size(self) -> PixelSize | None:
        """Read the scaling, which is in meters."""
        lengths: list[float | None] = []
        for axis in "YX":
            text = self._text(f"Scaling/Items/Distance[@Id='{axis}']/Value")
            try:
                lengths.append(float(text) * MICRONS_PER_UNIT["m"])
            except ValueError:
                lengths.append(None)
        return measured(*lengths)

    def _read_objective(self) -> str:
        """Read the magnification of the objective that the image refers to."""
        reference = self._top.find("Information/Image/ObjectiveSettings/ObjectiveRef")
        used = None if reference is None else reference.get("Id")
        objectives = self._top.findall("Information/Instrument/Objectives/Objective")
        for objective in objectives:
            if used is None or objective.get("Id") == used:
                return (objective.findtext("NominalMagnification") or "").strip()
        return ""

    def _read_properties(self) -> dict[str, str]:
        """Flatten the parts of the document that tell of the slide."""
        told: dict[str, str] = {}

        def walk(element: ElementTree.Element, path: str) -> None:
            text = (element.text or "").strip()
            if text and len(told) < LARGEST_PROPERTIES:
                told.setdefault(path, text)
            for child in element:
                walk(child, f"{path}.{child.get('Id') or child.tag}")

        for part in PARTS:
            element = self._top.find(part)
            if element is not None:
                walk(element, f"zeiss.{part}")
        return told
