"""A whole table in a model's features and scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.omics.alignment import aligner, check_modality
from napari_mmsubtype.omics.clinical_columns import locate_variables
from napari_mmsubtype.omics.clinical_encoding import encode_clinical, read_variables
from napari_mmsubtype.omics.identifiers import SampleMatch
from napari_mmsubtype.omics.impossible_values import settle_values
from napari_mmsubtype.omics.sample_choice import sample_names
from napari_mmsubtype.omics.scaling import scale_values
from napari_mmsubtype.omics.unit_conversion import m_to_beta
from napari_mmsubtype.omics.units import parse_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.omics.modality_spec import ModalitySpec

SCALED = "scaled "
"""What stands before the unit of a table that was scaled for a model."""


def apply_modality(frame: pd.DataFrame, spec: ModalitySpec) -> NDArray[np.float32]:
    """Scale many patients whose values are in the model's unit already.

    Parameters
    ----------
    frame : DataFrame, shape (patient, column)
        Columns named as the model's features (clinical: variables); others are left
        aside, absent ones take the fill.
    spec : ModalitySpec
        As fitted.

    Returns
    -------
    ndarray of float32, shape (patient, feature)
        Model-ready values, without NaN; equal to `alignment.align_sample` row by row.
    """
    if spec.modality is Modality.CLINICAL:
        places = locate_variables(frame, read_variables(spec.features))
        rows = [
            encode_clinical(
                {name: place.read(row[place.column]) for name, place in places.items()},
                spec.features,
                clip=spec.clip,
            )[0]
            for row in frame.to_dict(orient="records")
        ]
        return np.stack(rows) if rows else np.empty((0, len(spec)), dtype=np.float32)
    values = frame.reindex(columns=list(spec.names)).to_numpy(dtype=np.float64)
    unit = parse_unit(spec.unit, spec.modality)
    settled, _ = settle_values(values, unit, spec.clip)
    return scale_values(settled, spec)[0]


def transform_table(table: anndata.AnnData, spec: ModalitySpec) -> anndata.AnnData:
    """Bring every row of a table into the model's features, unit and scale.

    Parameters
    ----------
    table : AnnData
        As `table.read_omics`, of the model's modality.
    spec : ModalitySpec
        As fitted.

    Returns
    -------
    AnnData
        The same samples × the model's features. ``X`` float32 as `align_sample` gives
        it, NaN in rows that the model refuses; ``obs`` the table's columns with
        ``used``, ``reason``, ``matched``, ``coverage`` and ``notes``; ``var`` the
        model's feature table. For RNA and methylation ``layers["unscaled"]`` holds the
        values in the model's unit, NaN where missing, and for methylation
        ``layers["beta"]`` beta values to show. ``uns["mmsubtype"]`` keeps modality,
        source and steps; its unit begins with `SCALED`, so that no table is scaled
        twice.

    Raises
    ------
    UnmatchedFeaturesError
        If the table has none of the model's features.
    ConfigurationError
        If table and model are of different modalities, or the table is scaled already.
    """
    check_modality(table, spec)
    work = aligner(table, spec)
    samples = sample_names(table)
    shape = (len(samples), len(spec))
    values = np.full(shape, np.nan, dtype=np.float32)
    unscaled = np.full(shape, np.nan, dtype=np.float32)
    reports = []
    shared = len(table.uns["mmsubtype"]["steps"])
    for index, sample in enumerate(samples):
        aligned = work.align(SampleMatch(sample, index))
        reports.append(aligned.report)
        if aligned.values is not None:
            values[index] = aligned.values
        if aligned.unscaled is not None:
            unscaled[index] = aligned.unscaled
    obs = table.obs.drop(columns=["used", "reason", "matched", "coverage", "notes"],
                         errors="ignore")  # fmt: skip
    obs = obs.assign(
        used=[report.used for report in reports],
        reason=[report.reason for report in reports],
        matched=np.array([report.matched for report in reports], dtype=np.int64),
        coverage=[report.coverage for report in reports],
        # The table's own steps are the same for every row and stand in uns.
        notes=["; ".join(report.notes[shared:]) for report in reports],
    )
    layers = {}
    if spec.modality is not Modality.CLINICAL:
        layers["unscaled"] = unscaled
    if spec.modality is Modality.METHYLATION and spec.unit in {"beta", "m-value"}:
        beta = m_to_beta(unscaled) if spec.unit == "m-value" else unscaled
        layers["beta"] = np.asarray(beta, dtype=np.float32)
    record = table.uns["mmsubtype"]
    used = int(obs["used"].sum())
    return anndata.AnnData(
        X=values,
        obs=obs,
        var=spec.features.set_index(pd.Index(spec.names, dtype=object)),
        layers=layers,
        uns={
            "mmsubtype": {
                "modality": spec.modality.value,
                "unit": f"{SCALED}{spec.unit}",
                "source": str(record["source"]),
                "steps": [
                    *(str(step) for step in record["steps"]),
                    f"{len(spec)} features of the model taken, {work.describe()}",
                    f"{used} of {len(samples)} samples can be used",
                ],
            }
        },
    )
