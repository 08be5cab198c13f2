"""Fitting: from training patients to what a model knows of a modality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.alignment import table_record
from napari_mmsubtype.omics.clinical_fitting import fit_clinical
from napari_mmsubtype.omics.fit_options import FitOptions
from napari_mmsubtype.omics.modality_spec import ModalitySpec
from napari_mmsubtype.omics.sample_choice import standing_rows
from napari_mmsubtype.omics.training_matrix import TrainingMatrix
from napari_mmsubtype.omics.units import parse_unit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import anndata

    from napari_mmsubtype.omics.clinical_schema import Variable


def fit_modality(
    frame: pd.DataFrame,
    *,
    modality: str | Modality,
    unit: str = "raw",
    clip: float = 6.0,
    min_coverage: float = 0.5,
    identifiers: pd.DataFrame | None = None,
    schema: Mapping[str, str | Mapping[str, object] | Variable] | None = None,
    options: FitOptions | None = None,
    annotation: pd.DataFrame | None = None,
    labels: Sequence[object] | None = None,
    allow: Collection[str] = (),
) -> ModalitySpec:
    """Learn features, scaling and fill from training patients.

    Features without values, or without spread, among the training patients are left
    out; `FitOptions` say which others are.

    Parameters
    ----------
    frame : DataFrame, shape (patient, feature)
        Training patients only, NaN where missing; column labels are the features'
        names.
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
    schema : mapping or None, default: None
        Clinical variables and their kinds, as `clinical_fitting.fit_clinical`.
    options : FitOptions or None, default: None
        Filters, selection, model unit, ranks and imputation; None keeps every feature
        in its unit and fills by the median.
    annotation : DataFrame or None, default: None
        Methylation probes, as `probe_annotation.tidy_annotation`.
    labels : sequence or None, default: None
        Class of each patient: clinical columns that tell it are refused.
    allow : collection of str, default: ()
        Clinical columns to use although they may give the label away.

    Returns
    -------
    ModalitySpec
        Depends on the rows of `frame` alone.

    Raises
    ------
    ConfigurationError
        If the unit or an option does not suit the table, or nothing varies.
    TableReadError
        If values are impossible in the unit, for example logarithms called TPM.
    """
    kind = Modality(str(modality))
    _check_arguments(kind, schema=schema, options=options, annotation=annotation)
    if kind is Modality.CLINICAL:
        fit = fit_clinical(frame, schema, labels=labels, allow=allow)
        return ModalitySpec(
            kind, unit, clip, min_coverage, fit.features, steps=fit.steps
        )
    chosen = options or FitOptions()
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        msg = f"feature {repeated!r} stands more than once; merge its columns first"
        raise ConfigurationError(msg)
    values = frame.to_numpy()
    if values.dtype != np.float32:
        values = frame.to_numpy(dtype=np.float64)
    work = TrainingMatrix(values, names, kind, clip)
    source = parse_unit(unit, kind)
    target = parse_unit(chosen.model_unit or source.name, kind)
    if target.quantity == "counts" and not chosen.rank_normal:
        msg = (
            "counts grow with the depth of sequencing, and a model of counts would "
            "learn it; pass options with model_unit='log2(cpm+1)' (a table of all "
            "genes) or rank_normal=True, or give training patients in TPM"
        )
        raise ConfigurationError(msg)
    work.check(source)
    if kind is Modality.METHYLATION:
        source = work.choose_probes(source, chosen, annotation)
    work.drop_unexpressed(source, chosen)
    work.convert(source, target)
    work.select(chosen)
    return work.finish(target, chosen, min_coverage, identifiers)


def fit_table(
    table: anndata.AnnData,
    samples: Sequence[str] | None = None,
    *,
    clip: float = 6.0,
    min_coverage: float = 0.5,
    schema: Mapping[str, str | Mapping[str, object] | Variable] | None = None,
    options: FitOptions | None = None,
    annotation: pd.DataFrame | None = None,
    labels: Sequence[object] | None = None,
    allow: Collection[str] = (),
) -> ModalitySpec:
    """Learn features, scaling and fill from the training samples of a table.

    Parameters
    ----------
    table : AnnData
        As `table.read_omics`: samples by features, with unit and identifiers.
    samples : sequence of str or None, default: None
        Row names of the training samples; None takes every row but those that another
        aliquot of the same sample was preferred to.
    clip : float, default: 6.0
        Scaled values are clipped to ± this.
    min_coverage : float, default: 0.5
        Least share of the weight that a later sample must cover.
    schema : mapping or None, default: None
        Clinical variables and their kinds, as `clinical_fitting.fit_clinical`.
    options : FitOptions or None, default: None
        As `fit_modality`.
    annotation : DataFrame or None, default: None
        Methylation probes, as `probe_annotation.tidy_annotation`.
    labels : sequence or None, default: None
        Class of each training sample, in their order.
    allow : collection of str, default: ()
        Clinical columns to use although they may give the label away.

    Returns
    -------
    ModalitySpec
        Features carry the table's symbols, Ensembl and Entrez identifiers.

    Raises
    ------
    ConfigurationError
        As `fit_modality`, and if a sample is not in the table.
    """
    record = table_record(table)
    rows = list(standing_rows(table) if samples is None else samples)
    strange = [row for row in rows if row not in table.obs_names]
    if strange or not rows:
        msg = (
            f"{len(strange)} of {len(rows)} training samples are not among the "
            f"{table.n_obs} of the table, such as {(strange or ['(none given)'])[0]!r}"
        )
        raise ConfigurationError(msg)
    part = table[rows]
    modality = Modality(str(record["modality"]))
    if modality is Modality.CLINICAL:
        frame = part.obs.drop(columns="sample", errors="ignore")
        identifiers = None
    else:
        values = part.X if isinstance(part.X, np.ndarray) else part.X.toarray()
        names, identifiers = _best_names(table.var)
        frame = pd.DataFrame(values, index=rows, columns=names)
    return fit_modality(
        frame,
        modality=modality,
        unit=str(record["unit"]),
        clip=clip,
        min_coverage=min_coverage,
        identifiers=identifiers,
        schema=schema,
        options=options,
        annotation=annotation,
        labels=labels,
        allow=allow,
    )


def _check_arguments(
    kind: Modality,
    *,
    schema: object,
    options: FitOptions | None,
    annotation: object,
) -> None:
    """Refuse what would be passed over for this modality."""
    given = options or FitOptions()
    misplaced = {
        "a schema": schema is not None and kind is not Modality.CLINICAL,
        "options": given != FitOptions() and kind is Modality.CLINICAL,
        "an annotation": annotation is not None and kind is not Modality.METHYLATION,
        "aggregate": given.aggregate != "none" and kind is not Modality.METHYLATION,
    }
    if strange := [name for name, wrong in misplaced.items() if wrong]:
        msg = (
            f"{' and '.join(strange)} cannot be used for {kind.value}: a schema is for "
            "clinical tables, options for RNA and methylation, an annotation and "
            "aggregate for methylation"
        )
        raise ConfigurationError(msg)


def _best_names(var: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """Name features by their symbols where these are known and unique."""
    labels = [str(name) for name in var.index]
    symbols = [str(s) for s in var["symbol"]] if "symbol" in var else labels
    counts = pd.Series(symbols, dtype=object).value_counts()
    names = [
        s if s and counts[s] == 1 else label
        for s, label in zip(symbols, labels, strict=True)
    ]
    if len(set(names)) < len(names):
        names = labels
    known = [c for c in ("ensembl", "entrez") if c in var]
    identifiers = var[known].set_axis(pd.Index(names, dtype=object))
    return names, identifiers
