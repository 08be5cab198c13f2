"""Rows of RNA and methylation: matched to a model, converted, scaled, reported."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import UnmatchedFeaturesError
from napari_mmsubtype.omics.coverage import (
    AlignedSample,
    add_notes,
    cautions,
    describe_mismatch,
    report_coverage,
)
from napari_mmsubtype.omics.feature_names import (
    describe_features,
    match_features,
)
from napari_mmsubtype.omics.impossible_values import contradiction, settle_values
from napari_mmsubtype.omics.library_size import library_total
from napari_mmsubtype.omics.methylation_probes import plain_probe, recognize_platform
from napari_mmsubtype.omics.probe_annotation import average_columns, pair_columns
from napari_mmsubtype.omics.scaling import scale_values
from napari_mmsubtype.omics.table_facts import identifier_words
from napari_mmsubtype.omics.unit_conversion import m_to_beta, to_unit
from napari_mmsubtype.omics.units import (
    COHORT_NOTE,
    EXPRESSION,
    UNITS,
    Unit,
    parse_unit,
)

if TYPE_CHECKING:
    import anndata
    from numpy.typing import NDArray

    from napari_mmsubtype.core.records import ModalityReport
    from napari_mmsubtype.omics.identifiers import SampleMatch
    from napari_mmsubtype.omics.modality_spec import ModalitySpec

_DEPTHS = EXPRESSION | {"expression"}


class ValuesAligner:
    """Aligns rows of RNA or methylation.

    Parameters
    ----------
    table : AnnData
        Of the model's modality.
    spec : ModalitySpec
        The model's features.

    Raises
    ------
    UnmatchedFeaturesError
        If the table has none of the model's features.
    """

    def __init__(self, table: anndata.AnnData, spec: ModalitySpec) -> None:
        self.table = table
        self.spec = spec
        self.record: dict[str, Any] = table.uns["mmsubtype"]
        self.source = parse_unit(str(self.record["unit"]), spec.modality)
        self.target = parse_unit(spec.unit, spec.modality)
        self.names = [str(name) for name in table.var_names]
        identifiers = self._identifiers()
        self.identifiers = identifier_words(identifiers, self.names)
        found = match_features(identifiers, spec.features)
        self.columns, self.notes = found.columns, found.notes
        self.pairs = self._probe_pairs()
        if self.pairs is not None:
            held, known = len(set(self.pairs[0])), len(set(self._model_probes()))
            self.notes = (
                f"mean beta of the probes of each gene: {held} of the model's {known} "
                "are in the table",
            )
        elif not (self.columns >= 0).any():
            msg = describe_mismatch(spec.modality.value, spec.names, self.names)
            raise UnmatchedFeaturesError(msg)
        if spec.modality is Modality.METHYLATION:
            platform = recognize_platform(self.names)
            if platform.platform:
                self.notes += (f"{platform.platform} array ({platform.evidence})",)

    def align(self, match: SampleMatch) -> AlignedSample:
        """Align one row.

        Parameters
        ----------
        match : SampleMatch
            The row.

        Returns
        -------
        AlignedSample
            Values, or none and the reason, with a report.
        """
        spec = self.spec
        row = _dense_row(self.table, match.index)
        values, source = self._gather(row)
        as_it_is = source.quantity == "z-score" != self.target.quantity
        settled: tuple[str, ...] = ()
        if not as_it_is:
            values, settled = settle_values(values, source, spec.clip)
        seen = np.isfinite(values)
        weights = spec.features["weight"].to_numpy(np.float64)
        report, share = report_coverage(
            self.record, match, spec.names, seen, weights, self.identifiers
        )
        report = add_notes(report, (*self.notes, *settled))
        if reason := self._refusal(row, source, share, report):
            return AlignedSample(None, replace(report, used=False, reason=reason))
        notes: tuple[str, ...] = (COHORT_NOTE, "z-scores are used as they are")
        ranked = spec.rank_normal and {source.quantity, self.target.quantity} <= _DEPTHS
        if ranked and source.quantity != self.target.quantity:
            # The factor between two such units changes no rank within the sample.
            notes = (f"{source.name} ranked as they are; gene lengths do matter",)
        elif not as_it_is:
            try:
                values, notes = to_unit(
                    values,
                    source,
                    self.target,
                    reference=spec.features["mean"].to_numpy(np.float64),
                    total=library_total(row, source),
                )
            except UnmatchedFeaturesError as err:
                refused = replace(report, used=False, reason=str(err))
                return AlignedSample(None, refused)
        scaled, clipped = scale_values(values[None], spec, as_it_is=as_it_is)
        count = int(clipped[0][seen].sum())
        largest = float(np.nanmax(np.abs(values))) if as_it_is else 0.0
        notes += cautions(scaled[0][seen], count, spec.clip, largest)
        if not seen.all():
            how = (
                f"the {spec.neighbors} nearest training patients"
                if spec.neighbors
                else "the training median"
            )
            notes += (f"{int((~seen).sum())} missing features filled by {how}",)
        other = as_it_is or (ranked and source.quantity != self.target.quantity)
        return AlignedSample(
            scaled[0], add_notes(report, notes), None if other else values
        )

    def describe(self) -> str:
        """Say what becomes of every row.

        Returns
        -------
        str
            Conversion and scaling in words.
        """
        spec = self.spec
        ranks = ", ranked within the sample" if spec.rank_normal else ""
        return (
            f"{self.source.name} to {self.target.name}{ranks}, z-scored by training, "
            f"clipped to ±{spec.clip:g}"
        )

    def _identifiers(self) -> pd.DataFrame:
        """Take the features' identifiers from the table, or from their names."""
        var = self.table.var
        if {"symbol", "ensembl", "entrez"} <= set(var.columns):
            found = pd.DataFrame(var)
        else:
            found = describe_features(self.names)
        if self.spec.modality is Modality.METHYLATION:
            found = found.assign(symbol=[plain_probe(str(s)) for s in found["symbol"]])
        return found

    def _probe_pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Find the probes to average, where the table has them and not the genes."""
        if self.spec.probes is None or (self.columns >= 0).any():
            return None
        pairs = pair_columns(self.names, self.spec.probes, self.spec.names)
        return pairs if pairs[0].size else None

    def _model_probes(self) -> list[str]:
        """List the probes that the model knows, a probe of two genes twice."""
        return [] if self.spec.probes is None else list(self.spec.probes["probe"])

    def _gather(self, row: NDArray[np.float64]) -> tuple[NDArray[np.float64], Unit]:
        """Take the model's features from a row of the table."""
        if self.pairs is not None:
            # The mean of z-scores is none; it is refused further on.
            unit = self.source if self.source.quantity == "z-score" else UNITS["beta"]
            if self.source.name == "m-value":
                row = m_to_beta(row)
            elif unit.name == "beta":
                row = np.clip(row, 0.0, 1.0)
            return average_columns(row[None], *self.pairs, len(self.spec))[0], unit
        here = self.columns >= 0
        values = np.full(len(self.spec), np.nan)
        values[here] = row[self.columns[here]]
        return values, self.source

    def _refusal(
        self,
        row: NDArray[np.float64],
        source: Unit,
        share: float,
        report: ModalityReport,
    ) -> str:
        """Say why a row cannot be used; empty where it can."""
        spec, target = self.spec, self.target
        if target.quantity == "z-score" != source.quantity:
            return (
                f"the model is made for z-scores within a cohort and the table holds "
                f"{source.name}; give a z-scored table"
            )
        if spec.rank_normal and source.quantity == "z-score" != target.quantity:
            return (
                "the model ranks the features of a sample, which z-scores within a "
                f"cohort do not allow; give a table in {target.name}, TPM or counts"
            )
        if reason := contradiction(row, self.source):
            return reason
        if self.pairs is not None and source.quantity == "z-score":
            return "z-scores of probes cannot be averaged by gene; give beta values"
        if not report.matched:
            return (
                f"sample {report.sample!r} has no value for any of the model's features"
            )
        if share < spec.min_coverage:
            return (
                f"coverage {share:.0%} of the model's weight ({report.matched} of "
                f"{report.expected} features) is below the {spec.min_coverage:.0%} "
                "that the model needs"
            )
        return ""


def _dense_row(table: anndata.AnnData, index: int) -> NDArray[np.float64]:
    """Take a row of a dense or sparse table."""
    row = table.X[index]
    if not isinstance(row, np.ndarray):
        row = row.toarray()
    return np.asarray(row, dtype=np.float64).ravel()
