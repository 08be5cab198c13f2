"""Where the patches of a result lie on a map of what they look like."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store_chunks import WHOLE, read_whole
from napari_mmsubtype.results.store_damage import holds, telling_damage

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_CHUNK = 16_384
_PATCHES, _REFERENCE, _CLASS = "patches", "reference", "reference_class"


@dataclass(frozen=True, slots=True)
class MapSpec:
    """How a map is laid out.

    Attributes
    ----------
    seed : int
        The same seed gives the same map.
    neighbors : int
        Patches that each patch is compared with: few for detail, many for the whole.
    min_dist : float
        How close patches may lie, 0 to 1.
    components : int
        Principal components that are compared.
    fit_limit : int
        Patches that the map is laid out from at most; the others are placed on it.
    """

    seed: int = 0
    neighbors: int = 15
    min_dist: float = 0.1
    components: int = 50
    fit_limit: int = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class PatchMap:
    """A map of patches, by what they look like.

    Attributes
    ----------
    points : ndarray of float32, shape (n, 2)
        Place of each patch of the slide; NaN for those without a part in the call.
    spec : MapSpec
        How it was laid out.
    reference : ndarray of float32, shape (k, 2)
        Places of the training patches that the map was laid out from; none where it
        was laid out from the slide's own.
    reference_class : ndarray of uint8, shape (k,)
        Their classes; `subtypes.UNKNOWN_CLASS` where not known.
    """

    points: NDArray[np.float32]
    spec: MapSpec
    reference: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((0, 2), np.float32)
    )
    reference_class: NDArray[np.uint8] = field(
        default_factory=lambda: np.zeros(0, np.uint8)
    )

    @property
    def is_reference(self) -> bool:
        """Whether the patches were placed on a map of training patches."""
        return len(self.reference) > 0


def write_patch_map(path: Path, found: PatchMap) -> None:
    """Write a map into a store.

    Parameters
    ----------
    path : Path
        The store; the caller holds its lock. A map that is there is replaced: while
        that lasts the store has none.
    found : PatchMap
        Of its patches.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    arrays: dict[str, NDArray[Any]] = {
        _PATCHES: found.points,
        _REFERENCE: found.reference,
        _CLASS: found.reference_class,
    }
    try:
        group = zarr.open_group(path, mode="r+").require_group(schema.UMAP)
        group.attrs.put({})
        for name, data in arrays.items():
            chunks = (min(_CHUNK, max(len(data), 1)), *data.shape[1:])
            group.create_array(name, data=data, chunks=chunks, overwrite=True, **WHOLE)
        # Last: without it nothing is read, so a kill leaves no half of a map.
        group.attrs.put({"spec": asdict(found.spec)})
    except OSError as err:
        msg = (
            f"writing to {str(path)!r} failed: {err.strerror or err}; the result is as "
            "it was but for the map: make it again once there is room and permission"
        )
        raise StoreError(msg) from err


def read_patch_map(path: Path) -> PatchMap | None:
    """Read the map of a store.

    Parameters
    ----------
    path : Path
        The store.

    Returns
    -------
    PatchMap or None
        None where none was made, or its making was interrupted.
    """
    root: Any = zarr.open_group(path, mode="r")
    if not holds(root, schema.UMAP):
        return None
    with telling_damage(path, schema.UMAP):
        group = root[schema.UMAP]
        if "spec" not in group.attrs:
            return None
        spec = MapSpec(**group.attrs["spec"])
    return PatchMap(
        points=read_whole(group, _PATCHES),
        spec=spec,
        reference=read_whole(group, _REFERENCE),
        reference_class=read_whole(group, _CLASS),
    )
