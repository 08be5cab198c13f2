"""Read what an analysis left: the prediction, its evidence and how it came about."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.cam_methods import DEFAULT, EXACT
from napari_mmsubtype.core.patch_grid import PatchGrid, PatchSpec
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.core.records import Prediction
from napari_mmsubtype.core.subtypes import Subtype
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.attribution_arrays import read_attributions
from napari_mmsubtype.results.overlay import cell_size
from napari_mmsubtype.results.patch_calls import read_patch_calls
from napari_mmsubtype.results.patch_classes import patch_classes
from napari_mmsubtype.results.patch_map import PatchMap, read_patch_map
from napari_mmsubtype.results.patch_processors import count_mapped, count_patches
from napari_mmsubtype.results.patch_rows import PatchRows
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.store_chunks import count_levels, require_chunks
from napari_mmsubtype.results.store_damage import (
    damaged,
    find_array,
    holds,
    read_array,
    read_part,
    read_root,
    telling_damage,
)
from napari_mmsubtype.results.stored_slide import StoredSlide

if TYPE_CHECKING:
    import zarr
    from numpy.typing import NDArray

    from napari_mmsubtype.core.attributions import Attributions
    from napari_mmsubtype.results.cam_maps import CamMap

REQUIRED = (
    *("status", "recipe", "provenance", "plan_digest", "bundle_name", "exact"),
    *("classes", "prediction", "grid", "slide_path", "slide_name", "slide_shape"),
    *("pixel_size", "mpp_source"),
)
"""What no result can be without: read as it is opened."""


def open_result(path: str | Path) -> Result:
    """Open a result store for reading.

    Parameters
    ----------
    path : str or Path
        A ``*.mmsubtype.zarr`` folder.

    Returns
    -------
    Result
        Arrays are read when asked for.

    Raises
    ------
    StoreError
        If the folder is missing, is no store, comes from a newer version, or parts of
        it were lost.
    """
    folder = Path(path)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        msg = (
            f"no result at {str(path)!r}: found {found}, expected a folder whose name "
            f"ends in {schema.SUFFIX}; run an analysis to make one"
        )
        raise StoreError(msg)
    root, body = read_root(folder)
    result = Result(folder, root, body)
    with telling_damage(folder, "its attributes"):
        for name in REQUIRED:
            getattr(result, name)
    require_chunks(root, body)
    return result


class Result(StoredSlide):
    """One analysis of one patient, as stored.

    Parameters
    ----------
    path : Path
        The store's folder.
    root : zarr.Group
        The open group.
    body : dict
        Its attributes.
    """

    def __init__(self, path: Path, root: zarr.Group, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.path = path
        self._root = root

    def __repr__(self) -> str:
        call = self.prediction.label if self.prediction else self.status
        return f"<Result {self.slide_name!r}: {call}>"

    @property
    def status(self) -> str:
        """``"complete"``, or ``"partial"`` where the analysis was interrupted."""
        return str(self._body["status"])

    @property
    def recipe(self) -> AnalyzeRecipe:
        """The request that reproduces this result."""
        return AnalyzeRecipe.from_dict(self._body["recipe"])

    @property
    def provenance(self) -> dict[str, Any]:
        """Software, device, precision and time."""
        return dict(self._body["provenance"])

    @property
    def plan_digest(self) -> str:
        """Fingerprint of everything that decides the numbers."""
        return str(self._body["plan_digest"])

    @property
    def bundle_name(self) -> str:
        """Name of the model."""
        return str(self._body["bundle"]["name"])

    @property
    def bundle_facts(self) -> dict[str, Any]:
        """Name, version and digest of the model, and whether it is synthetic."""
        return dict(self._body["bundle"])

    @property
    def is_demo(self) -> bool:
        """Whether the model knows only synthetic tissue."""
        return bool(self._body["bundle"].get("synthetic", False))

    @property
    def exact(self) -> bool:
        """Whether the evidence adds up to the logits exactly."""
        return bool(self._body["exact"])

    @property
    def offers_rollout(self) -> bool:
        """Whether attention can be rolled out; True in stores that do not say."""
        return bool(self._body.get("rollout", True))

    @property
    def cam_method(self) -> str:
        """How the map was drawn: ``cam`` where it is exact."""
        kept = self._body.get("cam_method")
        return str(kept) if kept else (EXACT if self.exact else DEFAULT)

    @property
    def cams(self) -> tuple[CamMap, ...]:
        """What other methods drew after the analysis."""
        # That module knows results, too.
        from napari_mmsubtype.results.cam_maps import read_cams

        return read_cams(self)

    @property
    def map_levels(self) -> int:
        """How many times `evidence_map` can be read, each coarser than before."""
        return count_levels(self._root)

    @property
    def classes(self) -> tuple[Subtype, ...]:
        """The model's classes."""
        return tuple(Subtype(**entry) for entry in self._body["classes"])

    @property
    def prediction(self) -> Prediction | None:
        """The outcome, or None where the analysis was interrupted."""
        entry = self._body.get("prediction")
        return None if entry is None else Prediction.from_dict(entry)

    @property
    def attributions(self) -> Attributions | None:
        """What each feature of the tables adds to the logits.

        None where no table was used or the analysis was interrupted, and in stores of
        versions that did not record it.
        """
        return read_attributions(self._root) if self.prediction is not None else None

    @cached_property
    def grid(self) -> PatchGrid:
        """The tissue patches."""
        entry = self._body["grid"]
        return PatchGrid(
            spec=PatchSpec(
                size_px=entry["size_px"],
                mpp=entry["mpp"],
                stride_px=entry["stride_px"],
                min_tissue=entry["min_tissue"],
            ),
            shape=tuple(entry["shape"]),
            step=tuple(entry["step"]),
            extent=tuple(entry["extent"]),
            level=entry["level"],
            downsample=entry["downsample"],
            origin=self._read(schema.ORIGIN),
            cell=self._read_cells(),
            tissue=self._read(schema.TISSUE),
        )

    @property
    def patch_status(self) -> NDArray[np.uint8]:
        """`PatchStatus` of each patch, uint8, shape (n,)."""
        return self._read(schema.STATUS)

    @property
    def processors(self) -> dict[str, int]:
        """How many patches ran where, by device and precision.

        Empty in stores of versions that did not record it.
        """
        return count_patches(self._root, self._body)

    @property
    def map_processors(self) -> dict[str, int]:
        """For how many patches the map was drawn where, by device and precision.

        Empty in stores of versions that did not record it.
        """
        return count_mapped(self._root, self._body)

    @property
    def patch_flags(self) -> NDArray[np.uint8]:
        """Quality flags of each patch as bits, `core.quality_spec.FLAGS`, shape (n,).

        None is set in stores of version 1, whose patches were not judged.
        """
        if not holds(self._root, schema.FLAGS):
            return np.zeros(len(self.grid), np.uint8)
        return self._read(schema.FLAGS)

    @property
    def patch_measures(self) -> NDArray[np.float32]:
        """What the flags rest on, float32, shape (n, measures).

        In the order of `slides.quality_measures.MEASURES`; no columns in stores of
        version 1.
        """
        if not holds(self._root, schema.QUALITY):
            return np.zeros((len(self.grid), 0), np.float32)
        return self._read(schema.QUALITY)

    @property
    def patch_weights(self) -> NDArray[np.float32]:
        """Weight of each patch in the call, float32, shape (n,), summing to 1."""
        return self._read(schema.WEIGHT)

    @property
    def patch_evidence(self) -> NDArray[np.float32]:
        """Signed evidence in logits, float32, shape (n, c)."""
        return self._read(schema.EVIDENCE)

    @property
    def patch_calls(self) -> NDArray[np.float32] | None:
        """Class probabilities if a patch were the whole slide, float32, shape (n, c).

        NaN for patches without a part in the call; None in stores of earlier versions
        and where the model does not look at the image.
        """
        return read_patch_calls(self.path)

    @property
    def patch_map(self) -> PatchMap | None:
        """The map that ``umap`` made of the patches, or None."""
        return read_patch_map(self.path)

    @property
    def embeddings(self) -> NDArray[np.float16]:
        """Patch embeddings, float16, shape (n, d)."""
        return self._read(schema.EMBEDDING)

    @property
    def embedding_size(self) -> int:
        """Length of an embedding."""
        return int(find_array(self._root, schema.EMBEDDING).shape[1])

    @property
    def cell_evidence(self) -> NDArray[np.float32]:
        """The map by cell, float32, shape (n, c, y, x).

        Per unit of patch weight where it is exact.
        """
        return self._read(schema.CELL_EVIDENCE)

    @property
    def map_sums(self) -> NDArray[np.float64]:
        """What the map sums to over each patch, float64, shape (n, c).

        In the unit of the map; 0 for patches without a part in the call.
        """
        rows = PatchRows(find_array(self._root, schema.CELL_EVIDENCE))
        factor = (
            self.patch_weights if self.exact else self.patch_status == PatchStatus.DONE
        )
        sums = [cells.sum(axis=(2, 3), dtype=np.float64) for cells in rows.chunks()]
        return np.concatenate(sums) * factor[:, None]

    @property
    def tissue(self) -> tuple[NDArray[np.bool_], PixelSize]:
        """Tissue mask, bool, shape (y, x), and its microns per pixel."""
        mask = self._read(schema.TISSUE_MASK).astype(bool)
        height, width = self.slide_shape
        size = self.pixel_size
        return mask, PixelSize(
            size.y * height / mask.shape[0], size.x * width / mask.shape[1]
        )

    def class_map(self) -> NDArray[np.uint8]:
        """Give the class with the most evidence at each grid position.

        Returns
        -------
        ndarray of uint8, shape (row, column)
            0 where nothing was analysed and where a patch says as much for every
            class, else 1 + index of the class.
        """
        canvas = np.zeros(self.grid.shape, np.uint8)
        done = self.patch_status == PatchStatus.DONE
        if self.prediction is not None:
            row, col = self.grid.cell[done].T
            canvas[row, col] = patch_classes(self.patch_evidence[done])
        return canvas

    @property
    def map_pixel_size(self) -> PixelSize:
        """The size of a pixel of `evidence_map`, in microns."""
        cells = find_array(self._root, schema.CELL_EVIDENCE).shape[2:]
        side_y, side_x = cell_size(self.grid.spec, (int(cells[0]), int(cells[1])))
        return PixelSize(side_y * self.grid.spec.mpp, side_x * self.grid.spec.mpp)

    def evidence_map(
        self, index: int, *, level: int = 0, against_others: bool = False
    ) -> NDArray[np.float32]:
        """Give the stitched signed evidence for one class.

        Parameters
        ----------
        index : int
            Index of the class.
        level : int, default: 0
            0 is the finest; each further level averages 2 x 2 pixels.
        against_others : bool, default: False
            Subtract the mean evidence for the other classes. Probabilities depend on
            such differences only, so this is what to look at; without it the sum over
            level 0, the tables' own part and a constant make the class's own logit.

        Returns
        -------
        ndarray of float32, shape (y, x)
            Logits per pixel of the map; 0 where nothing was analysed.

        Raises
        ------
        StoreError
            If the analysis was interrupted before the map was made.
        """
        if self.prediction is None:
            msg = (
                f"{str(self.path)!r} is incomplete: run the same request again to "
                "resume it"
            )
            raise StoreError(msg)
        maps = find_array(self._root, f"{schema.EVIDENCE_MAP}/{level}")
        own = read_part(maps, index)
        if not against_others or len(self.classes) == 1:
            return own
        total = read_part(maps).sum(axis=0)
        others: NDArray[np.float32] = (total - own) / (len(self.classes) - 1)
        return own - others

    def _read_cells(self) -> NDArray[np.int32]:
        cell = self._read(schema.CELL)
        shape = self._body["grid"]["shape"]
        inside = (cell >= 0) & (cell < shape)
        if not inside.all():
            found = f"patch {int(np.argmin(inside.all(axis=1)))} lies outside the grid"
            raise damaged(self.path, schema.CELL, found)
        return cell

    def _read(self, name: str) -> NDArray[Any]:
        return read_array(self._root, name)
