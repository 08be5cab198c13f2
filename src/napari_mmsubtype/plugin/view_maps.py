"""Maps by another method that fill in where one looks, as napari layers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.cam_methods import cam_unit
from napari_mmsubtype.core.partial_patches import PartialCells
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.plugin.map_layers import CAM, map_image
from napari_mmsubtype.plugin.placement import (
    METADATA_KEY,
    PATCH_FACTS,
    LayerTuple,
    map_placement,
)
from napari_mmsubtype.results.map_scale import MapRange
from napari_mmsubtype.results.overlay import Mosaic, cell_size
from napari_mmsubtype.results.patch_facts import gather_facts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.core.progress import Job
    from napari_mmsubtype.results.store import Result

MEMORY_BYTES = 256 * 2**20
"""Limit of the canvases of one method; above it pixels are joined."""

IN_VIEW = "in view"
"""Ends the name of a layer that fills in where one looks."""

_SAMPLES = 2**20


class ViewMaps:
    """Canvases that fill while patches are drawn, and the layers that show them.

    The layers use the canvases themselves: what `place` writes appears at their next
    refresh.

    Parameters
    ----------
    result : Result
        A complete analysis.
    method : str
        One of `cam_methods.METHODS`.
    shape : tuple of int
        Patches, channels, and rows and columns of cells.
    factor : ndarray of float32, shape (n,)
        What the cells of each patch are multiplied by.
    used : ndarray of bool, shape (n,)
        Patches that are drawn.
    memory_bytes : int, default: MEMORY_BYTES
        Limit of all canvases together; above it squares of pixels become one, their
        sum.

    Attributes
    ----------
    canvases : ndarray of float32, shape (channels, y, x)
        For each class against the mean of the others.
    measured : MapRange
        Of what is drawn by now.
    """

    def __init__(
        self,
        result: Result,
        method: str,
        shape: tuple[int, int, int, int],
        factor: NDArray[np.float32],
        used: NDArray[np.bool_],
        *,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self.result, self.method = result, method
        self.store = str(result.path)
        self._factor, self._used = factor, used
        count, channels, rows, cols = shape
        self._mosaic = Mosaic(result.grid, (rows, cols), used=used)
        self._join = _fitting_join(self._mosaic, channels, memory_bytes)
        height, width = cell_size(result.grid.spec, (rows, cols))
        self._side = (height * self._join, width * self._join)
        joined = self._mosaic.joined_shape(self._join)
        self.canvases = np.zeros((channels, *joined), np.float32)
        self._placed = np.zeros(count, bool)
        self.measured = MapRange(1.0, 1.0)

    def place(
        self,
        start: int,
        cells: NDArray[np.float32],
        mapped: NDArray[np.bool_] | None = None,
    ) -> None:
        """Draw patches; each counts once, however often it comes.

        Parameters
        ----------
        start : int
            Index of the first.
        cells : ndarray of float32, shape (k, channels, y, x)
            Their maps.
        mapped : ndarray of bool, shape (k,), optional
            Those that are drawn; all if left out.
        """
        index = np.arange(start, start + len(cells))
        new = self._used[index] & ~self._placed[index]
        if mapped is not None:
            new &= mapped
        index, cells = index[new], cells[new]
        self._placed[index] = True
        cells = cells * self._factor[index, None, None, None]
        channels = cells.shape[1]
        if channels > 1:
            mean = cells.mean(axis=1, keepdims=True)
            cells = (cells - mean) * (channels / (channels - 1))
        cells = cells.astype(np.float32)
        self._mosaic.place(self.canvases, index, cells, join=self._join)

    def measure(self) -> None:
        """Measure what is drawn by now, on a sample where that is much."""
        step = max(1, round((self.canvases[0].size / _SAMPLES) ** 0.5))
        self.measured = MapRange.measure(list(self.canvases[:, ::step, ::step]))

    def layers(self) -> list[LayerTuple]:
        """Show the canvases.

        Returns
        -------
        list of tuple
            One image per class, of which that of the class called is visible, or one
            where the method knows no class.
        """
        result = self.result
        mpp = result.grid.spec.mpp
        size = PixelSize(self._side[0] * mpp, self._side[1] * mpp)
        prediction = result.prediction
        called = prediction.label if prediction else ""
        subtypes = result.classes if len(self.canvases) > 1 else (None,)
        facts = {
            "method": self.method,
            "unit": cam_unit(self.method),
            IN_VIEW: True,
            PATCH_FACTS: gather_facts(result),
        }
        layers = []
        for subtype, canvas in zip(subtypes, self.canvases, strict=True):
            title = self.method.replace("-", " ") if subtype is None else self.method
            name = f": {subtype.name}" if subtype else ""
            layer = map_image(
                canvas,
                f"{title}{name} ({IN_VIEW})",
                subtype,
                self.measured,
                map_placement(result, CAM, size),
                facts,
            )
            layer[1]["visible"] = subtype is None or subtype.name == called
            layers.append(layer)
        layers.sort(key=lambda layer: bool(layer[1]["visible"]))
        return layers

    def box(self, corners: NDArray[Any]) -> tuple[float, float, float, float]:
        """Turn corners of a view into pixels of the slide.

        Parameters
        ----------
        corners : ndarray, shape (2, 2)
            First and last pixel of a canvas that is seen, as napari tells.

        Returns
        -------
        tuple of float
            Top, left, bottom and right in level-0 px.
        """
        mpp, pixel = self.result.grid.spec.mpp, self.result.pixel_size
        y, x = self._side[0] * mpp / pixel.y, self._side[1] * mpp / pixel.x
        (top, left), (bottom, right) = corners
        return top * y, left * x, (bottom + 1) * y, (right + 1) * x


def is_in_view(layer: Any) -> bool:
    """Tell whether a layer fills in where one looks.

    Parameters
    ----------
    layer : napari.layers.Layer
        Any.

    Returns
    -------
    bool
        By its metadata.
    """
    return bool(layer.metadata.get(METADATA_KEY, {}).get(IN_VIEW))


def follow_cells(job: Job[None], maps: ViewMaps) -> Job[None]:
    """Place what a job draws, in the thread that runs it.

    Parameters
    ----------
    job : generator
        Draws patches.
    maps : ViewMaps
        Receives them.

    Yields
    ------
    Progress
        The job's, without the cells.
    """
    try:
        for event in job:
            if isinstance(event.partial, PartialCells):
                maps.place(event.partial.start, event.partial.cells)
                maps.measure()
            yield replace(event, partial=None)
    finally:
        job.close()


def _fitting_join(mosaic: Mosaic, channels: int, limit: int) -> int:
    """Choose how many pixels along a side become one, so that memory suffices."""
    pixels = limit // (channels * np.dtype(np.float32).itemsize)
    coarsest = max(mosaic.shape)
    fitting = (
        join
        for join in range(1, coarsest)
        if math.prod(mosaic.joined_shape(join)) <= pixels
    )
    return next(fitting, coarsest)
