"""Names and layout of a result store, one table for writers and readers."""

from __future__ import annotations

from enum import IntEnum

SCHEMA_VERSION = 2
READABLE_VERSIONS = (1, 2)
"""Version 1 knew no quality: its stores hold neither measures nor flags."""

SUFFIX = ".mmsubtype.zarr"
ATTRIBUTE = "mmsubtype"
"""Key of the store's root attributes that holds everything but arrays."""

EVERY_CHUNK = "every_chunk"
"""Attribute: chunks of zeros are on disk, too, so one that is absent was lost."""

PATCHES = "patches"
ORIGIN = "patches/origin"
CELL = "patches/cell"
TISSUE = "patches/tissue"
STATUS = "patches/status"
QUALITY = "patches/quality"
"""Measures of each patch, in the order of `slides.quality_measures.MEASURES`."""
FLAGS = "patches/flags"
"""Bits of each patch, in the order of `core.quality_spec.FLAGS`."""
PROCESSOR = "patches/processor"
"""Which processor each patch ran on: 1 + index into the attribute `PROCESSORS`, 0 where
that is not known."""
PROCESSORS = "processors"
MAPPED = "patches/mapped"
EMBEDDING = "patches/embedding"
CELL_EVIDENCE = "patches/cell_evidence"
EVIDENCE = "patches/evidence"
WEIGHT = "patches/weight"
PATCH_CALL = "patches/call"
"""Probabilities if the patch were the whole slide; NaN where it has no part in the
call. Absent in older stores and where the model does not look at the image."""
TISSUE_MASK = "tissue/mask"
ATTRIBUTIONS = "attributions"
"""Group of what each feature of a table adds: an array (feature, class) by modality."""
EVIDENCE_MAP = "maps/evidence"
"""Group of the stitched map: arrays ``0``, ``1``, ... (class, y, x), finest first."""

UMAP = "umap"
"""Group of the map of the patches, where one was made."""

CAMS = "cams"
"""Group of maps by other methods: of each, its cells and its stitched map."""


class PatchStatus(IntEnum):
    """What became of a patch."""

    PENDING = 0
    DONE = 1
    UNREADABLE = 2
    EXCLUDED = 3
