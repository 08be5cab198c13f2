"""Pixel size and properties as TIFF flavors write them down."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.slides.pixel_size import MICRONS_PER_UNIT, measured
from napari_mmsubtype.slides.qptiff import page_fields

RESOLUTION_UNITS = {2: "inch", 3: "centimeter"}
"""Values of the TIFF ResolutionUnit tag that name a length."""

OME_PEOPLE = ("Experimenter", "ExperimenterGroup")
"""Elements of OME-XML that name someone."""

TEXT_LIMIT = 4000


def read_pixel_size(tif: Any, page: Any) -> tuple[PixelSize | None, MppSource]:
    """Find the pixel size: vendor's or OME description first, then resolution tags.

    Parameters
    ----------
    tif : TiffFile
        The open file.
    page : TiffPage
        The page of level 0.

    Returns
    -------
    tuple of (PixelSize or None, MppSource)
        Believable or not; None where nothing is said.
    """
    if tif.is_svs:
        mpp = _float(_aperio_fields(page.description).get("MPP"))
        if mpp is not None:
            return measured(mpp, mpp), MppSource.VENDOR
    if tif.is_ome:
        size = _ome_pixel_size(tif.ome_metadata, page)
        if size is not None:
            return size, MppSource.VENDOR
    size = _resolution_tags(tif, page)
    return size, MppSource.NONE if size is None else MppSource.RESOLUTION_TAG


def read_properties(tif: Any, page: Any) -> dict[str, str]:
    """Collect what the file says about itself.

    Parameters
    ----------
    tif : TiffFile
        The open file.
    page : TiffPage
        The page of level 0.

    Returns
    -------
    dict of str to str
        Aperio fields as ``aperio.<field>``, those of PerkinElmer as
        ``perkinelmer.<field>``, people and dates of OME as ``ome.<element>``, common
        tags as ``tiff.<Tag>``, and ``objective`` where a magnification is given.
    """
    properties = {}
    for name in ("ImageDescription", "Make", "Model", "Software", "DateTime"):
        tag = page.tags.get(name)
        if tag is not None and str(tag.value).strip():
            properties[f"tiff.{name}"] = str(tag.value)[:TEXT_LIMIT]
    objective = None
    if tif.is_svs:
        fields = _aperio_fields(page.description)
        properties.update({f"aperio.{key}": fields[key] for key in fields})
        objective = fields.get("AppMag")
    elif tif.is_qpi:
        fields = page_fields(page)
        properties.update({f"perkinelmer.{key}": fields[key] for key in fields})
        objective = fields.get("Objective")
    elif tif.is_ome:
        told = _ome_properties(tif.ome_metadata)
        objective = told.pop("objective", None)
        properties.update(told)
    if objective:
        properties["objective"] = objective
    return properties


def name_vendor(tif: Any) -> str:
    """Name the maker of the file.

    Parameters
    ----------
    tif : TiffFile
        The open file.

    Returns
    -------
    str
        ``aperio``, ``perkinelmer``, ``ome-tiff`` or ``generic-tiff``.
    """
    if tif.is_svs:
        return "aperio"
    if tif.is_qpi:
        return "perkinelmer"
    return "ome-tiff" if tif.is_ome else "generic-tiff"


def _aperio_fields(description: str) -> dict[str, str]:
    """Split ``header|key = value|key = value``."""
    pairs = (part.split("=", 1) for part in description.split("|")[1:] if "=" in part)
    return {key.strip(): value.strip() for key, value in pairs}


def _ome_properties(text: str | None) -> dict[str, str]:
    """Find the objective, and who made the image and when."""
    root = _parse(text)
    told: dict[str, str] = {}
    for element in () if root is None else root.iter():
        name = element.tag.rpartition("}")[2]
        if name == "Objective":
            told.setdefault("objective", element.get("NominalMagnification", ""))
        elif name == "AcquisitionDate":
            told.setdefault(f"ome.{name}", element.text or "")
        elif name in OME_PEOPLE and len(element.attrib) > ("ID" in element.attrib):
            told.setdefault(f"ome.{name}", "; ".join(element.attrib.values()))
    return told


def _ome_pixel_size(text: str | None, page: Any) -> PixelSize | None:
    """Read PhysicalSize of the OME image that has the size of the page."""
    root = _parse(text)
    for element in () if root is None else root.iter():
        size = (element.get("SizeY"), element.get("SizeX"))
        if size != (str(page.imagelength), str(page.imagewidth)):
            continue
        lengths = []
        for axis in "YX":
            value = _float(element.get(f"PhysicalSize{axis}"))
            # The OME schema makes the micron the unit where none is written.
            unit = element.get(f"PhysicalSize{axis}Unit", "µm").lower()
            factor = MICRONS_PER_UNIT.get(unit)
            known = value is not None and factor is not None
            lengths.append(value * factor if known else None)  # type: ignore[operator]
        return measured(*lengths)
    return None


def _resolution_tags(tif: Any, page: Any) -> PixelSize | None:
    """Read XResolution and YResolution with their unit."""
    unit = page.tags.get("ResolutionUnit")
    factor = MICRONS_PER_UNIT.get(RESOLUTION_UNITS.get(unit.value if unit else 2, ""))
    if tif.is_imagej and unit is not None and unit.value == 1:
        name = str((tif.imagej_metadata or {}).get("unit", "")).lower()
        factor = MICRONS_PER_UNIT.get(re.sub(r"^\\u00b5", "µ", name))
    lengths = []
    for axis in "YX":
        tag = page.tags.get(f"{axis}Resolution")
        if tag is None or factor is None:
            return None
        count, per = tag.value if isinstance(tag.value, tuple) else (tag.value, 1)
        lengths.append(factor * per / count if count else None)
    return measured(*lengths)


def _parse(text: str | None) -> ElementTree.Element | None:
    """Parse OME-XML, None where it is not well formed."""
    try:
        return ElementTree.fromstring(text) if text else None
    except ElementTree.ParseError:
        return None


def _float(text: str | None) -> float | None:
    """Read a number, None where there is none."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
