"""Regions as GeoJSON, in the manner of QuPath."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides.regions import Region

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

ADVICE = "export the annotations as GeoJSON, for example from QuPath"


def read_regions(path: str | os.PathLike[str]) -> tuple[Region, ...]:
    """Read polygons from a GeoJSON file.

    Parameters
    ----------
    path : str or path-like
        A feature collection, a list of features or one feature; coordinates ``(x, y)``
        in level-0 px, the class in ``properties.classification.name``.

    Returns
    -------
    tuple of Region
        At least one; a multi-polygon gives one for each of its parts.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, is no GeoJSON, holds no polygons, or holds lines or
        points, which enclose nothing.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        data = json.loads(text)
    except OSError as err:
        msg = f"cannot read regions {str(path)!r}: {err.strerror}; give a GeoJSON file"
        raise ConfigurationError(msg) from err
    except (ValueError, RecursionError) as err:
        msg = f"regions {str(path)!r} are not valid JSON ({err}); {ADVICE}"
        raise ConfigurationError(msg) from err
    try:
        regions = regions_from_geojson(data)
    except ConfigurationError as err:
        msg = f"regions {str(path)!r}: {err}"
        raise ConfigurationError(msg) from err
    return regions


def regions_from_geojson(data: Any) -> tuple[Region, ...]:
    """Take the polygons out of parsed GeoJSON.

    Parameters
    ----------
    data : dict or list
        A feature collection, a list of features or one feature.

    Returns
    -------
    tuple of Region
        At least one.

    Raises
    ------
    ConfigurationError
        If anything but polygons is found, or nothing.
    """
    if isinstance(data, dict) and data.get("type") == "FeatureCollection":
        features = data.get("features")
    elif isinstance(data, dict) and data.get("type") == "Feature":
        features = [data]
    else:
        features = data
    if not isinstance(features, list):
        msg = f"no GeoJSON features were found; {ADVICE}"
        raise ConfigurationError(msg)
    regions: list[Region] = []
    for number, feature in enumerate(features, start=1):
        try:
            regions += _from_feature(feature)
        except ConfigurationError as err:
            msg = f"feature {number} of {len(features)}: {err}"
            raise ConfigurationError(msg) from err
    if not regions:
        msg = f"no polygons were found; {ADVICE}"
        raise ConfigurationError(msg)
    return tuple(regions)


def _from_feature(feature: Any) -> list[Region]:
    """Take the polygons out of one feature."""
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    if not isinstance(geometry, dict):
        msg = f"a feature with a geometry was expected; {ADVICE}"
        raise ConfigurationError(msg)
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        msg = (
            f"a region must be a Polygon or MultiPolygon, found {kind!r}; remove it or "
            "draw an area"
        )
        raise ConfigurationError(msg)
    polygons = coordinates if kind == "MultiPolygon" else [coordinates]
    if not isinstance(polygons, list) or not polygons:
        msg = f"the {kind} has no coordinates; {ADVICE}"
        raise ConfigurationError(msg)
    name = _name(feature.get("properties"))
    regions = []
    for rings in polygons:
        if not isinstance(rings, list) or not rings:
            msg = f"the {kind} has no coordinates; {ADVICE}"
            raise ConfigurationError(msg)
        outline, *holes = (_ring(ring) for ring in rings)
        regions.append(Region(outline, tuple(holes), name))
    return regions


def _ring(ring: Any) -> NDArray[np.float64]:
    """Turn (x, y) positions, which may have a height, to rows of (y, x)."""
    try:
        return np.array([(float(p[1]), float(p[0])) for p in ring], np.float64)
    except (TypeError, ValueError, IndexError, KeyError, OverflowError) as err:
        msg = f"coordinates must be pairs of numbers, found {str(ring)[:60]}"
        raise ConfigurationError(msg) from err


def _name(properties: Any) -> str:
    """Find the class of a feature; empty where it has none."""
    if not isinstance(properties, dict):
        return ""
    found = properties.get("classification")
    if isinstance(found, dict):
        # Some versions of QuPath list the parts of a derived class instead.
        parts = found.get("names")
        joined = ": ".join(map(str, parts)) if isinstance(parts, list) else ""
        return str(found.get("name") or joined)
    return found if isinstance(found, str) else ""


def regions_to_geojson(regions: Sequence[Region]) -> dict[str, Any]:
    """Give regions as a GeoJSON feature collection.

    Parameters
    ----------
    regions : sequence of Region
        The polygons.

    Returns
    -------
    dict
        Plain JSON types; coordinates ``(x, y)`` in level-0 px.
    """
    return {
        "type": "FeatureCollection",
        "features": [_to_feature(region) for region in regions],
    }


def _to_feature(region: Region) -> dict[str, Any]:
    """Give one region as a feature that QuPath reads as an annotation."""
    rings = [np.concatenate([ring, ring[:1]])[:, ::-1] for ring in region.rings]
    properties: dict[str, Any] = {"objectType": "annotation"}
    if region.name:
        properties["classification"] = {"name": region.name}
    return {
        "type": "Feature",
        "geometry": {
            "type": "Polygon",
            "coordinates": [[_short(point) for point in ring] for ring in rings],
        },
        "properties": properties,
    }


def _short(point: NDArray[np.float64]) -> list[float | int]:
    """Write whole numbers without a fraction."""
    return [
        int(v) if math.isfinite(v) and v == int(v) else float(v) for v in point.tolist()
    ]


def write_regions(path: str | os.PathLike[str], regions: Sequence[Region]) -> None:
    """Write polygons to a GeoJSON file.

    Parameters
    ----------
    path : str or path-like
        File to write; an existing one is replaced.
    regions : sequence of Region
        The polygons.

    Raises
    ------
    ConfigurationError
        If the file cannot be written.
    """
    text = json.dumps(regions_to_geojson(regions), allow_nan=False)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as err:
        msg = f"cannot write regions {str(path)!r}: {err.strerror}; choose another path"
        raise ConfigurationError(msg) from err


def keep_regions(folder: Path, stem: str, regions: Sequence[Region]) -> Path:
    """Write polygons to a file of their own, which no later ones overwrite.

    Parameters
    ----------
    folder : Path
        Where results are kept; it is made.
    stem : str
        Name of the slide, fit for a file.
    regions : sequence of Region
        The polygons.

    Returns
    -------
    Path
        ``<stem>.regions.geojson``; with a digest of the content in the name where that
        file holds other regions.

    Raises
    ------
    ConfigurationError
        If the file cannot be written.
    """
    text = json.dumps(regions_to_geojson(regions), allow_nan=False)
    path = folder / f"{stem}.regions.geojson"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() != text.encode():
            content = hashlib.sha256(text.encode()).hexdigest()[:8]
            path = folder / f"{stem}.regions-{content}.geojson"
        path.write_bytes(text.encode())
    except OSError as err:
        msg = (
            f"cannot write regions {str(path)!r}: {err.strerror}; choose another "
            "folder for the result"
        )
        raise ConfigurationError(msg) from err
    return path
