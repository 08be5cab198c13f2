"""Names and layout of a result store, one table for writers and readers."""

from __future__ import annotations

from enum import IntEnum

SCHEMA_VERSION = 1
SUFFIX = ".mmsubtype.zarr"
ATTRIBUTE = "mmsubtype"
"""Key of the store's root attributes that holds everything but arrays."""

PATCHES = "patches"
ORIGIN = "patches/origin"
CELL = "patches/cell"
TISSUE = "patches/tissue"
STATUS = "patches/status"
MAPPED = "patches/mapped"
EMBEDDING = "patches/embedding"
CELL_EVIDENCE = "patches/cell_evidence"
EVIDENCE = "patches/evidence"
WEIGHT = "patches/weight"
TISSUE_MASK = "tissue/mask"
EVIDENCE_MAP = "maps/evidence"
"""Group of the stitched map: arrays ``0``, ``1``, ... (class, y, x), finest first."""


class PatchStatus(IntEnum):
    """What became of a patch."""

    PENDING = 0
    DONE = 1
    UNREADABLE = 2
