"""Write a result store, so that a kill at any moment leaves one that opens."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.attribution_arrays import write_attributions
from napari_mmsubtype.results.map_levels import write_levels
from napari_mmsubtype.results.overlay import Mosaic
from napari_mmsubtype.results.patch_rows import PatchRows
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.store_damage import find_array, read_array, unreadable
from napari_mmsubtype.results.store_layout import lay_out

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_mmsubtype.core.attributions import Attributions
    from napari_mmsubtype.core.patch_grid import PatchGrid
    from napari_mmsubtype.core.records import Prediction
    from napari_mmsubtype.results.overlay import ReadCells


class StoreWriter:
    """The one place that writes results.

    Every array is written chunk by chunk through atomic replacement, data before the
    status that declares them done; the folder appears under its name only when its
    grid and attributes are complete.

    Parameters
    ----------
    path : Path
        An existing store, as made by `create`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = zarr.open_group(path, mode="r+")
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._processor = 0

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        attributes: Mapping[str, Any],
        grid: PatchGrid,
        tissue: NDArray[np.bool_],
        embedding_size: int,
        classes: int,
        cells: tuple[int, int],
    ) -> StoreWriter:
        """Lay out a new store.

        Parameters
        ----------
        path : Path
            Must not exist; its parent is made.
        attributes : mapping
            Plain JSON types: slide, recipe, provenance, classes, bundle, plan.
        grid : PatchGrid
            The patches to be analysed.
        tissue : ndarray of bool, shape (y, x)
            Tissue mask over the whole slide.
        embedding_size : int
            Length of an embedding.
        classes : int
            Number of classes.
        cells : tuple of int
            Height and width of a patch's last feature map.

        Returns
        -------
        StoreWriter
            Ready to be written to.

        Raises
        ------
        StoreError
            If the folder cannot be written.
        """
        lay_out(
            path,
            attributes=attributes,
            grid=grid,
            tissue=tissue,
            embedding_size=embedding_size,
            classes=classes,
            cells=cells,
        )
        return cls(path)

    @property
    def attributes(self) -> dict[str, Any]:
        """Everything but the arrays."""
        return dict(self._root.attrs[schema.ATTRIBUTE])  # type: ignore[arg-type]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be done."""
        return bool(self.attributes["status"] == "complete")

    def read(self, name: str) -> NDArray[Any]:
        """Read one array whole.

        Parameters
        ----------
        name : str
            One of the names of `results.schema`.

        Returns
        -------
        ndarray
            As stored.
        """
        return read_array(self._root, name)

    def rows(self, name: str) -> PatchRows:
        """Give access to one array without reading it whole.

        Parameters
        ----------
        name : str
            One of the names of `results.schema` with one row per patch.

        Returns
        -------
        PatchRows
            Reads the rows of some patches.
        """
        return PatchRows(find_array(self._root, name))

    def write_patches(
        self,
        start: int,
        status: NDArray[np.uint8],
        embedding: NDArray[np.floating[Any]],
        cell_evidence: NDArray[np.float32] | None,
        quality: NDArray[np.float32] | None = None,
    ) -> None:
        """Write a run of patches: data first, then the status that declares them.

        Parameters
        ----------
        start : int
            Index of the first patch.
        status : ndarray of uint8, shape (k,)
            `PatchStatus` of each.
        embedding : ndarray, shape (k, d)
            Embeddings; stored as float16.
        cell_evidence : ndarray of float32, shape (k, c, y, x), or None
            Per-cell evidence per unit of patch weight; None where it follows later.
        quality : ndarray of float32, shape (k, measures), optional
            What the quality flags rest on; NaN where a patch could not be decoded.

        Raises
        ------
        StoreError
            If the disk refuses.
        """
        part = slice(start, start + len(status))
        self._put(schema.EMBEDDING, part, embedding.astype(np.float16))
        if cell_evidence is not None:
            self.write_cells(start, cell_evidence)
        if schema.QUALITY in self._root:
            # Zeros, too: of patches that are done no chunk may be absent.
            self._put(schema.QUALITY, part, 0 if quality is None else quality)
        if self._processor and schema.PROCESSOR in self._root:
            self._put(schema.PROCESSOR, part, np.full(len(status), self._processor))
        self._put(schema.STATUS, part, status)

    def use_processor(
        self, device: str, precision: str, facts: Mapping[str, Any] | None = None
    ) -> None:
        """Say where the patches run that are written from now on.

        Parameters
        ----------
        device : str
            For example ``"cuda:0"``.
        precision : str
            For example ``"float32"``.
        facts : mapping, optional
            Plain JSON types; replace facts of the same name in the provenance.
        """
        body = self.attributes
        entry = {"device": device, "precision": precision}
        known = list(body.get(schema.PROCESSORS, ()))
        if entry not in known or facts:
            known += [] if entry in known else [entry]
            body[schema.PROCESSORS] = known
            body["provenance"] = {**body.get("provenance", {}), **(facts or {})}
            self._declare(body)
        self._processor = 1 + known.index(entry)

    def write_flags(
        self, flags: NDArray[np.uint8], excluded: NDArray[np.bool_]
    ) -> None:
        """Write the flags of all patches and which of them stay out of the call.

        Parameters
        ----------
        flags : ndarray of uint8, shape (n,)
            Bits, in the order of `core.quality_spec.FLAGS`.
        excluded : ndarray of bool, shape (n,)
            Patches that were analysed but have no part in the call.
        """
        status = self.read(schema.STATUS)
        status[status == PatchStatus.EXCLUDED] = PatchStatus.DONE
        status[excluded] = PatchStatus.EXCLUDED
        self._put(schema.FLAGS, slice(None), flags)
        self._put(schema.STATUS, slice(None), status)

    def write_cells(self, start: int, cell_evidence: NDArray[np.float32]) -> None:
        """Write the per-cell evidence of a run of patches.

        Parameters
        ----------
        start : int
            Index of the first patch.
        cell_evidence : ndarray of float32, shape (k, c, y, x)
            Per-cell evidence per unit of patch weight.
        """
        part = slice(start, start + len(cell_evidence))
        self._put(schema.CELL_EVIDENCE, part, cell_evidence)
        mapped = np.full(len(cell_evidence), 1 + self._processor, np.uint8)
        self._put(schema.MAPPED, part, mapped)

    def write_fusion(
        self, weight: NDArray[np.float32], evidence: NDArray[np.float32]
    ) -> None:
        """Write what the fused model says of every patch.

        Parameters
        ----------
        weight : ndarray of float32, shape (n,)
            Patch weights.
        evidence : ndarray of float32, shape (n, c)
            Signed evidence of each patch for each class.
        """
        self._put(schema.WEIGHT, slice(None), weight)
        self._put(schema.EVIDENCE, slice(None), evidence)

    def write_map(
        self,
        grid: PatchGrid,
        read: ReadCells,
        used: NDArray[np.bool_] | None = None,
    ) -> None:
        """Stitch the evidence map and write it, part by part.

        Parameters
        ----------
        grid : PatchGrid
            Where the patches lie.
        read : callable
            Gives the evidence per cell of patches, float32, shape (k, c, y, x), for
            their indices, which are ascending.
        used : ndarray of bool, shape (n,), optional
            Patches that count; the others leave their place to their neighbors. All if
            left out.
        """
        _, classes, *cells = find_array(self._root, schema.CELL_EVIDENCE).shape
        mosaic = Mosaic(grid, (int(cells[0]), int(cells[1])), used=used)
        try:
            write_levels(self._root, mosaic, read, classes)
        except StoreError:
            raise
        except OSError as err:
            raise self._refused(err) from err

    def write_attributions(self, attributions: Attributions) -> None:
        """Write what each feature of the tables adds.

        Parameters
        ----------
        attributions : Attributions
            Of this patient.
        """
        try:
            write_attributions(self._root, attributions)
        except OSError as err:
            raise self._refused(err) from err

    def finish(self, prediction: Prediction, extra: Mapping[str, Any]) -> None:
        """Write the prediction and declare the store complete.

        Parameters
        ----------
        prediction : Prediction
            The outcome.
        extra : mapping
            Further plain attributes, for example the provenance of this run.
        """
        body = self.attributes
        body.update(extra)
        body["prediction"] = prediction.to_dict()
        body["status"] = "complete"
        self._declare(body)

    def _declare(self, body: dict[str, Any]) -> None:
        try:
            self._root.attrs[schema.ATTRIBUTE] = body
        except OSError as err:
            raise self._refused(err) from err

    def _put(self, name: str, part: slice, data: NDArray[Any] | int) -> None:
        try:
            # Opening an array takes as long as writing a small one.
            if name not in self._arrays:
                self._arrays[name] = find_array(self._root, name)
            self._arrays[name][part] = data
        except RuntimeError as err:
            # A chunk that is written in part is read before.
            raise unreadable(self.path, name, err) from err
        except StoreError:
            raise
        except OSError as err:
            raise self._refused(err) from err

    def _refused(self, err: OSError) -> StoreError:
        reason = os.strerror(err.errno) if err.errno else str(err)
        return StoreError(
            f"writing to {str(self.path)!r} failed: {reason}; what was written so far "
            "is kept, and the same request resumes there once there is room and "
            "permission"
        )


__all__ = ["PatchStatus", "StoreWriter"]
