"""Maps by other methods than the analysis used, kept beside its own in the store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.map_levels import write_levels
from napari_mmsubtype.results.overlay import Mosaic, cell_size
from napari_mmsubtype.results.patch_rows import PatchRows
from napari_mmsubtype.results.store_chunks import STORED, require_stored, require_whole
from napari_mmsubtype.results.store_damage import (
    find_array,
    holds,
    place_of,
    read_array,
    read_part,
    telling_damage,
)
from napari_mmsubtype.results.store_names import remove_half_written

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.core.patch_grid import PatchGrid
    from napari_mmsubtype.results.store import Result

_CHUNK = 256
_CELLS, _MAPPED, _MAP = "cells", "mapped", "map"
_FACTS = "cam"
"""Attribute that is written once the arrays are there."""


@dataclass(frozen=True, slots=True, eq=False)
class CamMap:
    """A finished map of the whole slide.

    Attributes
    ----------
    method : str
        One of `cam_methods.METHODS`.
    levels : int
        How many times it can be read, each coarser than the one before.
    channels : int
        One per class, or a single one where the method knows no class.
    pixel_size : PixelSize
        Microns per pixel of the finest level.
    group : zarr.Group
        Where it lies.
    """

    method: str
    levels: int
    channels: int
    pixel_size: PixelSize
    group: zarr.Group

    def read(
        self, index: int = 0, *, level: int = 0, against_others: bool = False
    ) -> NDArray[np.float32]:
        """Read one channel.

        Parameters
        ----------
        index : int, default: 0
            Of the class; 0 where there is none.
        level : int, default: 0
            0 is the finest.
        against_others : bool, default: False
            Subtract the mean of the other classes.

        Returns
        -------
        ndarray of float32, shape (y, x)
            Raw and signed; 0 where nothing was analysed.
        """
        maps = find_array(self.group, f"{_MAP}/{level}")
        own = read_part(maps, index)
        if not against_others or self.channels == 1:
            return own
        total = read_part(maps).sum(axis=0)
        others: NDArray[np.float32] = (total - own) / (self.channels - 1)
        return own - others


def read_cams(result: Result) -> tuple[CamMap, ...]:
    """Find the finished maps of other methods.

    Parameters
    ----------
    result : Result
        Of an analysis.

    Returns
    -------
    tuple of CamMap
        By name of the method; maps that were begun only, or lost a part, are left out:
        drawing them goes on from what is there.
    """
    root = zarr.open_group(result.path, mode="r")
    found = (_read_cam(result, root, name) for name in sorted(_group_names(root)))
    return tuple(cam for cam in found if cam is not None)


def _read_cam(result: Result, root: zarr.Group, name: str) -> CamMap | None:
    """Find a map of another method; None where it is not whole."""
    try:
        with telling_damage(result.path, f"{schema.CAMS}/{name}"):
            group: Any = root[f"{schema.CAMS}/{name}"]
            facts = group.attrs.get(_FACTS)
            if not facts or not facts["levels"]:
                return None
            for level in range(int(facts["levels"])):
                require_whole(group, f"{_MAP}/{level}")
            shape = group[_CELLS].shape
            spec = result.grid.spec
            side_y, side_x = cell_size(spec, (shape[2], shape[3]))
            return CamMap(
                method=str(facts["method"]),
                levels=int(facts["levels"]),
                channels=int(shape[1]),
                pixel_size=PixelSize(side_y * spec.mpp, side_x * spec.mpp),
                group=group,
            )
    except StoreError:
        return None


def _group_names(root: zarr.Group) -> list[str]:
    if not holds(root, schema.CAMS):
        return []
    # Not its `group_keys`: one that is damaged would hide the others.
    folder = Path(str(place_of(root)), schema.CAMS)
    return [found.name for found in folder.iterdir() if found.is_dir()]


def _has_cells(group: zarr.Group) -> bool:
    """Tell whether the cells are there of all patches that are declared drawn."""
    facts: Any = group.attrs.get(_FACTS)
    if not isinstance(facts, dict):
        return False
    try:
        mapped = read_array(group, _MAPPED) > 0
        if facts.get(schema.EVERY_CHUNK):
            require_stored(group, _CELLS, mapped)
    except StoreError:
        return False
    return True


class CamWriter:
    """Writes a map patch by patch; what was drawn before is kept.

    A kill at any moment leaves what was drawn, to be gone on with, and the analysis
    itself as it was: nothing of that is written to.

    Parameters
    ----------
    store : Path
        Of the analysis; its lock is held by the caller.
    method : str
        One of `cam_methods.METHODS`.
    shape : tuple of int
        Patches, channels, and rows and columns of cells.

    Raises
    ------
    StoreError
        If the disk refuses.
    """

    def __init__(
        self, store: Path, method: str, shape: tuple[int, int, int, int]
    ) -> None:
        self._store = store
        # Of the whole store: to add a group, zarr writes to its parents as well.
        remove_half_written(store)
        try:
            root = zarr.open_group(store, mode="r+")
            holds(root, f"{schema.CAMS}/{method}")
            self._group = root.require_group(f"{schema.CAMS}/{method}")
            if not _has_cells(self._group):
                # Not there, cut short while it was laid out, or lost in part since.
                for name, size, kind in (
                    (_CELLS, shape, "float32"),
                    (_MAPPED, shape[:1], "uint8"),
                ):
                    chunks = (_CHUNK, *size[1:])
                    self._group.create_array(
                        name,
                        shape=size,
                        chunks=chunks,
                        dtype=kind,
                        overwrite=True,
                        **STORED,
                    )
                self._group.attrs[_FACTS] = {
                    "method": method,
                    "levels": 0,
                    schema.EVERY_CHUNK: True,
                }
        except OSError as err:
            raise self._refused(err) from err

    @property
    def _facts(self) -> Any:
        return self._group.attrs.get(_FACTS)

    @property
    def mapped(self) -> NDArray[np.uint8]:
        """1 for each patch that is drawn, uint8, shape (n,)."""
        return read_array(self._group, _MAPPED)

    @property
    def cells(self) -> NDArray[np.float32]:
        """What is drawn of all patches, float32, shape (n, channels, y, x)."""
        return read_array(self._group, _CELLS)

    def read_cells(self, start: int, stop: int) -> NDArray[np.float32]:
        """Read some patches.

        Parameters
        ----------
        start, stop : int
            Indices of the first patch, and of the one after the last.

        Returns
        -------
        ndarray of float32, shape (stop - start, channels, y, x)
            0 where a patch is not drawn.
        """
        return read_array(self._group, _CELLS, slice(start, stop))

    def write_cells(self, start: int, cells: NDArray[np.float32]) -> None:
        """Write a run of patches, and then that they are drawn.

        Parameters
        ----------
        start : int
            Index of the first patch.
        cells : ndarray of float32, shape (k, channels, y, x)
            Their maps.
        """
        part = slice(start, start + len(cells))
        try:
            find_array(self._group, _CELLS)[part] = cells
            find_array(self._group, _MAPPED)[part] = 1
        except OSError as err:
            raise self._refused(err) from err

    def finish(
        self,
        grid: PatchGrid,
        factor: NDArray[np.float32] | None = None,
        used: NDArray[np.bool_] | None = None,
    ) -> None:
        """Stitch what is drawn into a map, part by part, and declare it.

        Parameters
        ----------
        grid : PatchGrid
            Where the patches lie.
        factor : ndarray of float32, shape (n,), optional
            What the cells of each patch are multiplied by; 1 if left out.
        used : ndarray of bool, shape (n,), optional
            Patches that count; all if left out.
        """
        drawn_cells = find_array(self._group, _CELLS)
        rows = PatchRows(drawn_cells)
        _, channels, *cells = drawn_cells.shape

        def _read(index: NDArray[np.int64]) -> NDArray[np.float32]:
            """Give what the map is made of."""
            drawn: NDArray[np.float32] = rows.read(index)
            return drawn if factor is None else drawn * factor[index, None, None, None]

        mosaic = Mosaic(grid, (int(cells[0]), int(cells[1])), used=used)
        try:
            levels = write_levels(self._group, mosaic, _read, channels, name=_MAP)
            self._group.attrs[_FACTS] = {**self._facts, "levels": levels}
        except StoreError:
            raise
        except OSError as err:
            raise self._refused(err) from err

    def _refused(self, err: OSError) -> StoreError:
        reason = os.strerror(err.errno) if err.errno else str(err)
        msg = (
            f"writing to {str(self._store)!r} failed: {reason}; the analysis is as it "
            "was, and what was drawn is kept: the same request goes on there once "
            "there is room and permission"
        )
        return StoreError(msg)
