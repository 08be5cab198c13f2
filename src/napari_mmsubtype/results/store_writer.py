"""Write a result store, so that a kill at any moment leaves one that opens."""

from __future__ import annotations

import glob
import os
import shutil
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.attribution_arrays import write_attributions
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.slides.quality_measures import MEASURES
from napari_mmsubtype.slides.slide_name import file_stem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_mmsubtype.core.attributions import Attributions
    from napari_mmsubtype.core.patch_grid import PatchGrid
    from napari_mmsubtype.core.records import Prediction

_CHUNK = 256


def existing_stores(folder: Path, slide_name: str) -> list[Path]:
    """List the stores of a slide in a folder, the unnumbered one first.

    Parameters
    ----------
    folder : Path
        Where results are kept.
    slide_name : str
        Name of the slide without its suffix.

    Returns
    -------
    list of Path
        Store folders that exist.
    """
    found = []
    number = 1
    while (path := store_path(folder, slide_name, number)).exists():
        found.append(path)
        number += 1
    return found


def store_path(folder: Path, slide_name: str, number: int = 1) -> Path:
    """Give the path of a slide's store.

    Parameters
    ----------
    folder : Path
        Where results are kept.
    slide_name : str
        Name of the slide without its suffix.
    number : int, default: 1
        Later requests for the same slide are numbered so that nothing is overwritten.

    Returns
    -------
    Path
        ``<folder>/<slide>.mmsubtype.zarr``, or ``<slide>-2...`` and so on; characters
        that some file systems refuse become ``_``, and a very long name is cut.
    """
    tail = "" if number == 1 else f"-{number}"
    return folder / f"{file_stem(slide_name)}{tail}{schema.SUFFIX}"


def remove_drafts(path: Path) -> None:
    """Remove what killed processes left of a store they were laying out.

    Parameters
    ----------
    path : Path
        The store; the caller holds its lock, so nobody is laying it out now.
    """
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        shutil.rmtree(draft, ignore_errors=True)


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
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            root = zarr.open_group(draft, mode="w-")
            n = len(grid)
            for name, data in (
                (schema.ORIGIN, grid.origin),
                (schema.CELL, grid.cell),
                (schema.TISSUE, grid.tissue),
            ):
                root.create_array(name, data=data)
            root.create_array(schema.TISSUE_MASK, data=tissue)
            for name, shape, dtype in (
                (schema.STATUS, (n,), "uint8"),
                (schema.PROCESSOR, (n,), "uint8"),
                (schema.MAPPED, (n,), "uint8"),
                (schema.QUALITY, (n, len(MEASURES)), "float32"),
                (schema.FLAGS, (n,), "uint8"),
                (schema.EMBEDDING, (n, embedding_size), "float16"),
                (schema.CELL_EVIDENCE, (n, classes, *cells), "float32"),
                (schema.EVIDENCE, (n, classes), "float32"),
                (schema.WEIGHT, (n,), "float32"),
            ):
                chunks = (_CHUNK, *shape[1:])
                root.create_array(name, shape=shape, chunks=chunks, dtype=dtype)
            body = dict(attributes)
            body["schema_version"] = schema.SCHEMA_VERSION
            body["status"] = "partial"
            body["grid"] = grid.to_attributes()
            root.attrs[schema.ATTRIBUTE] = body
            draft.rename(path)
        except OSError as err:
            shutil.rmtree(draft, ignore_errors=True)
            msg = (
                f"cannot write the result to {str(path)!r}: {err.strerror or err}; "
                "choose another folder with --out (the Results folder field of the "
                "panel), or free some space"
            )
            raise StoreError(msg) from err
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
        return np.asarray(self._root[name][...])  # type: ignore[index]

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
        if quality is not None:
            self._put(schema.QUALITY, part, quality)
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
        self._put(schema.MAPPED, part, np.ones(len(cell_evidence), np.uint8))

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

    def write_map(self, levels: list[NDArray[np.float32]]) -> None:
        """Write the stitched evidence map.

        Parameters
        ----------
        levels : list of ndarray of float32, shape (c, y, x)
            Finest first.
        """
        try:
            for number, level in enumerate(levels):
                self._root.create_array(
                    f"{schema.EVIDENCE_MAP}/{number}",
                    data=level,
                    chunks=(1, min(512, level.shape[1]), min(512, level.shape[2])),
                    overwrite=True,
                )
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

    def _put(self, name: str, part: slice, data: NDArray[Any]) -> None:
        try:
            self._root[name][part] = data  # type: ignore[index]
        except OSError as err:
            raise self._refused(err) from err

    def _refused(self, err: OSError) -> StoreError:
        reason = os.strerror(err.errno) if err.errno else str(err)
        return StoreError(
            f"writing to {str(self.path)!r} failed: {reason}; what was written so far "
            "is kept, and the same request resumes there once there is room and "
            "permission"
        )


__all__ = [
    "PatchStatus",
    "StoreWriter",
    "existing_stores",
    "remove_drafts",
    "store_path",
]
