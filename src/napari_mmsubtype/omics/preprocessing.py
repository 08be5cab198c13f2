"""From a table's rows to a model's inputs: what was fitted, and how it is applied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError, UnmatchedFeaturesError
from napari_mmsubtype.omics.clinical import (
    Kind,
    encode_clinical,
    fit_clinical,
)
from napari_mmsubtype.omics.clinical_table import match_variables
from napari_mmsubtype.omics.coverage import (
    add_notes,
    cautions,
    describe_mismatch,
    report_coverage,
)
from napari_mmsubtype.omics.feature_names import (
    describe_features,
    match_features,
)
from napari_mmsubtype.omics.feature_table import check_features
from napari_mmsubtype.omics.identifiers import SampleMatch, find_sample
from napari_mmsubtype.omics.unit_detection import WHOLE_TRANSCRIPTOME
from napari_mmsubtype.omics.units import Unit, parse_unit, to_linear, to_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata
    from numpy.typing import NDArray

    from napari_mmsubtype.core.records import ModalityReport

_STD_FLOOR = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class ModalitySpec:
    """The features of a model in one modality, as fitted on its training patients.

    Attributes
    ----------
    modality : Modality
        RNA, methylation or clinical.
    unit : str
        Unit of ``mean``, ``std`` and ``fill``, for example ``"log2(tpm+1)"``.
    clip : float
        Scaled values are clipped to ± this.
    min_coverage : float
        Least share of the model's weight that a sample must have values for.
    features : DataFrame
        One row per input of the model, in its order; identifiers as text (``aliases``
        joined by ``|``), ``fill`` in the model's unit. The columns are those of
        `feature_table`: text and float64 only, so it goes through Parquet unchanged.
    """

    modality: Modality
    unit: str
    clip: float
    min_coverage: float
    features: pd.DataFrame

    def __post_init__(self) -> None:
        object.__setattr__(self, "modality", Modality(str(self.modality)))
        if self.modality is not Modality.CLINICAL:
            object.__setattr__(self, "unit", parse_unit(self.unit, self.modality).name)
        object.__setattr__(
            self, "features", check_features(self.features, self.modality)
        )

    def __len__(self) -> int:
        return len(self.features)

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, in the model's order."""
        return tuple(self.features["feature"])

    def with_weights(self, weights: NDArray[np.floating]) -> ModalitySpec:
        """Say how much the model leans on each feature.

        Parameters
        ----------
        weights : ndarray of float, shape (feature,)
            Not negative; only their proportions matter.

        Returns
        -------
        ModalitySpec
            The same but for the weights.
        """
        return replace(self, features=self.features.assign(weight=weights))


@dataclass(frozen=True, slots=True, eq=False)
class AlignedSample:
    """One patient's row, ready for the model.

    Attributes
    ----------
    values : ndarray of float32, shape (feature,), or None
        In the model's order and scale, without NaN; None if and only if
        ``report.used`` is False.
    report : ModalityReport
        What became of the table.
    """

    values: NDArray[np.float32] | None
    report: ModalityReport


def fit_modality(
    frame: pd.DataFrame,
    *,
    modality: str | Modality,
    unit: str = "raw",
    clip: float = 6.0,
    min_coverage: float = 0.5,
    identifiers: pd.DataFrame | None = None,
    schema: Mapping[str, Kind] | None = None,
) -> ModalitySpec:
    """Learn scaling and fill from training patients.

    Features without values, or without spread, among the training patients are left
    out.

    Parameters
    ----------
    frame : DataFrame, shape (patient, feature)
        Training patients only, in the model's unit, NaN where missing; column labels
        are the features' names.
    modality : str or Modality
        ``rna``, ``methylation`` or ``clinical``.
    unit : str, default: "raw"
        Unit of the values; must be given but for clinical variables.
    clip : float, default: 6.0
        Scaled values are clipped to ± this.
    min_coverage : float, default: 0.5
        Least share of the weight that a later sample must cover.
    identifiers : DataFrame or None, default: None
        Index the features' names; any of the columns ``ensembl``, ``entrez``,
        ``aliases``.
    schema : mapping of str to {"numeric", "category"} or None, default: None
        Clinical variables and their kinds, as `clinical.fit_clinical`.

    Returns
    -------
    ModalitySpec
        Depends on the rows of `frame` alone.

    Raises
    ------
    ConfigurationError
        If the unit is unknown or nothing varies.
    """
    kind = Modality(str(modality))
    if kind is Modality.CLINICAL:
        return ModalitySpec(kind, unit, clip, min_coverage, fit_clinical(frame, schema))
    known = parse_unit(unit, kind)
    values = frame.to_numpy(dtype=np.float64)
    seen = np.isfinite(values)
    values = np.where(seen, values, np.nan)
    filled = seen.any(axis=0)
    mean, std, fill = (np.full(values.shape[1], np.nan) for _ in range(3))
    mean[filled] = np.nanmean(values[:, filled], axis=0)
    std[filled] = np.nanstd(values[:, filled], axis=0)
    fill[filled] = np.nanmedian(values[:, filled], axis=0)
    kept = filled & (np.nan_to_num(std) > _STD_FLOOR)
    if not kept.any():
        msg = (
            f"none of the {values.shape[1]} {kind.value} features varies among the "
            f"{values.shape[0]} training patients; check the table"
        )
        raise ConfigurationError(msg)
    names = [str(name) for name, keep in zip(frame.columns, kept, strict=True) if keep]
    features = pd.DataFrame({"feature": names, "ensembl": "", "entrez": ""})
    features["aliases"] = ""
    if identifiers is not None:
        for column in ("ensembl", "entrez", "aliases"):
            if column in identifiers:
                features[column] = identifiers[column].reindex(names).to_numpy()
    features = features.assign(mean=mean[kept], std=std[kept], fill=fill[kept])
    return ModalitySpec(kind, known.name, clip, min_coverage, features)


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
        Model-ready values, without NaN; equal to `align_sample` row by row.
    """
    if spec.modality is Modality.CLINICAL:
        rows = [
            encode_clinical(
                {str(name): value for name, value in row.items()},
                spec.features,
                clip=spec.clip,
            )[0]
            for row in frame.to_dict(orient="records")
        ]
        return np.stack(rows) if rows else np.empty((0, len(spec)), dtype=np.float32)
    values = frame.reindex(columns=list(spec.names)).to_numpy(dtype=np.float64)
    return _scaled(values, spec)[0]


def align_sample(
    table: anndata.AnnData, patient: str, spec: ModalitySpec
) -> AlignedSample:
    """Bring one patient's row into the model's features, unit and scale.

    Parameters
    ----------
    table : AnnData
        As `table.read_omics`.
    patient : str
        Patient, sample or slide identifier; see `identifiers.find_sample`.
    spec : ModalitySpec
        The model's features.

    Returns
    -------
    AlignedSample
        Values, or none and the reason, with a report.

    Raises
    ------
    UnmatchedSampleError
        If the patient is absent or ambiguous.
    UnmatchedFeaturesError
        If the table has none of the model's features.
    ConfigurationError
        If table and model are of different modalities.
    """
    record = table.uns["mmsubtype"]
    if str(record["modality"]) != spec.modality.value:
        msg = (
            f"the table holds {record['modality']}, the model expects "
            f"{spec.modality.value}; read it with modality={spec.modality.value!r}"
        )
        raise ConfigurationError(msg)
    match = find_sample([str(name) for name in table.obs["sample"]], patient)
    if spec.modality is Modality.CLINICAL:
        return _align_clinical(table, match, spec)
    return _align_values(table, match, spec)


def _align_values(
    table: anndata.AnnData, match: SampleMatch, spec: ModalitySpec
) -> AlignedSample:
    """Align a row of RNA or methylation."""
    record = table.uns["mmsubtype"]
    found = match_features(_identifiers(table), spec.features)
    here = found.columns >= 0
    if not here.any():
        names = [str(name) for name in table.var_names]
        msg = describe_mismatch(spec.modality.value, spec.names, names)
        raise UnmatchedFeaturesError(msg)
    row = np.asarray(table.X[match.index], dtype=np.float64).ravel()
    values = np.full(len(spec), np.nan)
    values[here] = row[found.columns[here]]
    seen = np.isfinite(values)
    weights = spec.features["weight"].to_numpy(np.float64)
    report, share = report_coverage(record, match, spec.names, seen, weights)
    report = add_notes(report, found.notes)
    source = parse_unit(str(record["unit"]), spec.modality)
    target = parse_unit(spec.unit, spec.modality)
    if reason := _refusal(source, target, share, report, spec):
        return AlignedSample(None, replace(report, used=False, reason=reason))
    as_it_is = source.quantity == "z-score"
    notes: tuple[str, ...] = (
        "values are z-scores within the table's own cohort: used as they are, not "
        "comparable across cohorts",
    )
    if not as_it_is:
        values, notes = to_unit(
            values,
            source,
            target,
            reference=spec.features["mean"].to_numpy(np.float64),
            total=_total(row, source),
        )
    as_it_is = as_it_is and target.quantity != "z-score"
    scaled, clipped = _scaled(values, spec, as_it_is=as_it_is)
    notes += cautions(scaled[seen], int(clipped[seen].sum()), spec.clip)
    return AlignedSample(scaled, add_notes(report, notes))


def _align_clinical(
    table: anndata.AnnData, match: SampleMatch, spec: ModalitySpec
) -> AlignedSample:
    """Align a clinical row."""
    variables = list(dict.fromkeys(spec.features["variable"]))
    columns = [str(column) for column in table.obs.columns if column != "sample"]
    matched = match_variables(columns, variables)
    found = {name: column for name, column in matched.items() if column is not None}
    if not found:
        msg = describe_mismatch(spec.modality.value, variables, columns)
        raise UnmatchedFeaturesError(msg)
    row = {name: table.obs[column].iloc[match.index] for name, column in found.items()}
    encoded, missing, notes = encode_clinical(row, spec.features, clip=spec.clip)
    seen = np.array([name not in missing for name in variables])
    report, share = report_coverage(
        table.uns["mmsubtype"], match, variables, seen, np.ones(len(variables))
    )
    renamed = [
        f"{name} read from column {column!r}"
        for name, column in found.items()
        if name != column
    ]
    report = add_notes(report, [*renamed, *notes])
    if share < spec.min_coverage:
        reason = (
            f"{report.matched} of {report.expected} clinical variables have an answer; "
            f"the model needs {spec.min_coverage:.0%}"
        )
        return AlignedSample(None, replace(report, used=False, reason=reason))
    return AlignedSample(encoded, report)


def _refusal(
    source: Unit, target: Unit, share: float, report: ModalityReport, spec: ModalitySpec
) -> str:
    """Say why a row cannot be used; empty where it can."""
    if target.quantity == "z-score" != source.quantity:
        return (
            f"the model is made for z-scores within a cohort and the table holds "
            f"{source.name}; give a z-scored table"
        )
    if not report.matched:
        return f"sample {report.sample!r} has no value for any of the model's features"
    if share < spec.min_coverage:
        return (
            f"coverage {share:.0%} of the model's weight ({report.matched} of "
            f"{report.expected} features) is below the {spec.min_coverage:.0%} that "
            "the model needs"
        )
    return ""


def _scaled(
    values: NDArray[np.floating], spec: ModalitySpec, *, as_it_is: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Fill, scale (unless scaled already) and clip; tell what was clipped."""
    mean, std, fill = (
        spec.features[name].to_numpy(np.float64) for name in ("mean", "std", "fill")
    )
    scaled = values if as_it_is else (values - mean) / std
    scaled = np.where(np.isfinite(values), scaled, (fill - mean) / std)
    limited = np.clip(scaled, -spec.clip, spec.clip).astype(np.float32)
    return limited, np.abs(scaled) > spec.clip


def _total(row: NDArray[np.float64], unit: Unit) -> float | None:
    """Sum a sample in linear units where the table holds a whole transcriptome."""
    if unit.quantity != "fpkm" or row.size < WHOLE_TRANSCRIPTOME:
        return None
    return float(np.nansum(to_linear(row, unit))) or None


def _identifiers(table: anndata.AnnData) -> pd.DataFrame:
    """Take the features' identifiers from the table, or from their names."""
    if {"symbol", "ensembl", "entrez"} <= set(table.var.columns):
        return pd.DataFrame(table.var)
    return describe_features([str(name) for name in table.var_names])
