"""Preprocessing of tables: fitted on training patients, applied to everyone.

`fit_modality` and `fit_table` learn a `ModalitySpec` from training rows alone;
`align_sample`, `apply_modality` and `transform_table` apply it to one patient, to a
frame in the model's unit and to a whole table; `save_spec` and `load_spec` keep it as
Parquet and JSON.
"""

from __future__ import annotations

from napari_mmsubtype.omics.alignment import align_sample
from napari_mmsubtype.omics.coverage import AlignedSample
from napari_mmsubtype.omics.fit_options import FitOptions, standard_options
from napari_mmsubtype.omics.fitting import fit_modality, fit_table
from napari_mmsubtype.omics.modality_spec import ModalitySpec
from napari_mmsubtype.omics.spec_files import load_spec, save_spec
from napari_mmsubtype.omics.table_transform import apply_modality, transform_table

__all__ = [
    "AlignedSample",
    "FitOptions",
    "ModalitySpec",
    "align_sample",
    "apply_modality",
    "fit_modality",
    "fit_table",
    "load_spec",
    "save_spec",
    "standard_options",
    "transform_table",
]
