"""Shapes drawn over a slide and the regions they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.plugin.layers import METADATA_KEY, LayerTuple
from napari_mmsubtype.slides.regions import Region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer, Shapes
    from numpy.typing import NDArray

    Points = NDArray[np.float64]

KIND = "regions"
CLASS = "class"
"""Column of a layer's features that names the class of each shape."""

ANALYZE, EXCLUDE = "Analyze", "Exclude"
COLORS = {ANALYZE: "#1b9e77", EXCLUDE: "#5f5f5f"}
"""Neither is a color of stains or of evidence; gray for what does not count."""

_FACE_ALPHA = {ANALYZE: "0c", EXCLUDE: "a0"}
"""What is analyzed stays to be seen; what is excluded is veiled."""

_CLASS_COLUMNS = (CLASS, "classification", "Class", "Classification")
_EDGE_UM = 4.0
_ELLIPSE_CORNERS = 64


@dataclass(frozen=True, slots=True)
class DrawnShapes:
    """Shapes as they were at one moment, in pixels of a slide.

    Attributes
    ----------
    layer : str
        Name of their layer.
    kinds : tuple of str
        Napari's word for each: ``polygon``, ``rectangle``, ``ellipse``, ...
    corners : tuple of ndarray of float64, shape (n, 2)
        Corners ``(y, x)`` in level-0 px from the slide's upper left corner.
    classes : tuple of str
        Class of each; empty where it has none.
    """

    layer: str
    kinds: tuple[str, ...]
    corners: tuple[Points, ...]
    classes: tuple[str, ...]

    def to_regions(self) -> tuple[Region, ...]:
        """Turn the shapes into regions.

        Returns
        -------
        tuple of Region
            One per shape; ellipses become polygons.

        Raises
        ------
        ConfigurationError
            If there are none, or one encloses no area.
        """
        if not self.kinds:
            msg = (
                f"no regions are drawn in layer {self.layer!r} yet: draw one, or "
                "choose the whole slide"
            )
            raise ConfigurationError(msg)
        open_ended = sorted({k for k in self.kinds if k not in _OUTLINES})
        if open_ended:
            count = sum(kind in open_ended for kind in self.kinds)
            found = " and ".join(open_ended)
            msg = (
                f"layer {self.layer!r}: shapes of the kind {found} enclose no area "
                f"({count} found); delete them, or draw polygons, rectangles or "
                "ellipses instead"
            )
            raise ConfigurationError(msg)
        regions = []
        rows = zip(self.kinds, self.corners, self.classes, strict=True)
        for number, (kind, corners, name) in enumerate(rows, start=1):
            try:
                outline, *holes = _OUTLINES[kind](corners)
                regions.append(Region(outline, tuple(holes), name))
            except ConfigurationError as err:
                msg = f"shape {number} of layer {self.layer!r}: {err}"
                raise ConfigurationError(msg) from err
        return tuple(regions)


def drawn_shapes(layer: Shapes, slide: Layer) -> DrawnShapes:
    """Take down what is drawn in a layer, as it lies on a slide.

    Parameters
    ----------
    layer : napari.layers.Shapes
        Any layer of shapes, however it is scaled, moved or turned.
    slide : napari.layers.Layer
        The layer that shows the slide.

    Returns
    -------
    DrawnShapes
        A copy that later strokes do not change.

    Raises
    ------
    ConfigurationError
        If the layer has more axes than the slide.
    """
    if layer.ndim != 2:
        msg = (
            f"layer {layer.name!r} has {layer.ndim} axes; regions are drawn in a layer "
            "of two, as the button Draw makes it"
        )
        raise ConfigurationError(msg)
    unit = _unit_factor(layer, slide)

    def at(point: tuple[float, float]) -> Points:  # numpydoc ignore=GL08
        world = np.asarray(layer.data_to_world(point)) * unit
        return np.asarray(slide.world_to_data(world), np.float64)

    # The way from one to the other is affine: three points tell all of it.
    zero = at((0.0, 0.0))
    matrix = np.stack([at((1.0, 0.0)) - zero, at((0.0, 1.0)) - zero])
    corners = [
        np.asarray(data, np.float64) @ matrix + zero + 0.5 for data in layer.data
    ]
    column = next((name for name in _CLASS_COLUMNS if name in layer.features), None)
    names = [""] * len(corners) if column is None else list(layer.features[column])
    return DrawnShapes(
        layer=layer.name,
        kinds=tuple(str(kind) for kind in layer.shape_type),
        corners=tuple(corners),
        classes=tuple("" if pd.isna(name) else str(name) for name in names),
    )


def region_layer(
    slide: Layer, regions: Sequence[Region] = (), *, name: str = "regions"
) -> LayerTuple:
    """Make a layer to draw regions of a slide in.

    Parameters
    ----------
    slide : napari.layers.Layer
        The layer that shows the slide.
    regions : sequence of Region, default: ()
        What is drawn already.
    name : str, default: "regions"
        Name of the layer.

    Returns
    -------
    tuple
        Data, keyword arguments and type of a shapes layer in pixels of the slide, so
        that it stays on its tissue when the slide's pixel size changes.
    """
    classes = [region.name or ANALYZE for region in regions]
    kinds = [EXCLUDE if region.is_excluded else ANALYZE for region in regions]
    # napari takes one color for a layer without shapes, else a list.
    edges: Any = [_colors(kind)[0] for kind in kinds] or _colors(ANALYZE)[0]
    faces: Any = [_colors(kind)[1] for kind in kinds] or _colors(ANALYZE)[1]
    kwargs: dict[str, Any] = {
        "name": name,
        "ndim": 2,
        "shape_type": "polygon",
        "features": pd.DataFrame({CLASS: pd.Series(classes, dtype=object)}),
        "feature_defaults": {CLASS: ANALYZE},
        "edge_color": edges,
        "face_color": faces,
        "edge_width": max(_EDGE_UM / float(np.mean(slide.scale)), 1.0),
        "opacity": 1.0,
        "scale": tuple(slide.scale),
        "translate": tuple(slide.translate),
        "units": tuple(slide.units),
        "metadata": {
            METADATA_KEY: {"kind": KIND, "path": slide.metadata[METADATA_KEY]["path"]}
        },
    }
    return ([_keyhole(region) for region in regions], kwargs, "shapes")


def set_drawn_class(layer: Shapes, name: str) -> None:
    """Choose the class of what is drawn next, and of the shapes that are selected.

    Parameters
    ----------
    layer : napari.layers.Shapes
        Any layer of shapes; it gets the column of classes where it has none.
    name : str
        `ANALYZE` or `EXCLUDE`.
    """
    if CLASS not in layer.features:
        table = layer.features.copy()
        table[CLASS] = np.full(len(layer.data), ANALYZE, object)
        layer.features = table
        layer.feature_defaults = {CLASS: ANALYZE}
    if layer.mode not in ("select", "pan_zoom"):
        # The shape that was drawn last is still selected, but it is done with.
        layer.selected_data = set()
    layer.current_properties = {**layer.current_properties, CLASS: np.array([name])}
    layer.current_edge_color, layer.current_face_color = _colors(name)


def _colors(name: str) -> tuple[str, str]:
    """Give the colors of the edge and of the face of a class."""
    return COLORS[name], COLORS[name] + _FACE_ALPHA[name]


def _unit_factor(layer: Layer, slide: Layer) -> float:
    """Give the number that turns the units of one layer into those of another."""
    theirs, ours = layer.units[-1], slide.units[-1]
    if theirs.dimensionality != ours.dimensionality:
        # A layer in pixels over one in microns: the viewer shows both one to one.
        return 1.0
    return float((1 * theirs).to(ours).magnitude)


def _polygon(corners: Points) -> list[Points]:
    """Divide a polygon at the bridges to its holes, as `_keyhole` built them."""
    ends = np.flatnonzero((corners == corners[0]).all(axis=1))[1:]
    if len(ends) == 0:
        return [corners]
    parts = [corners[: ends[0]]]
    bounds = [*ends, len(corners)]
    for start, stop in pairwise(bounds):
        part = corners[start + 1 : stop]
        if len(part) == 0:
            continue
        if len(part) < 4 or (part[0] != part[-1]).any():
            return [corners]
        parts.append(part[:-1])
    return parts


def _rectangle(corners: Points) -> list[Points]:
    return [corners]


def _ellipse(corners: Points) -> list[Points]:
    """Walk along the ellipse in a box that may be turned."""
    center = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)[:, None]
    return [center + np.cos(angle) * first + np.sin(angle) * second]


_OUTLINES = {"polygon": _polygon, "rectangle": _rectangle, "ellipse": _ellipse}


def _keyhole(region: Region) -> Points:
    """Join the holes of a region to its outline by bridges, as a layer needs it.

    Corners are those of the image's pixels, whose centers lie at whole numbers.
    """
    first = region.outline[:1]
    parts = [region.outline]
    for hole in region.holes:
        parts += [first, hole, hole[:1]]
    if region.holes:
        parts.append(first)
    return np.concatenate(parts) - 0.5
