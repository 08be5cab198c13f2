"""Training values on their way to what a model knows of a modality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.feature_names import is_probe
from napari_mmsubtype.omics.feature_selection import (
    expressed_share,
    keep_top,
    missing_share,
    spread,
)
from napari_mmsubtype.omics.impossible_values import contradiction, settle_values
from napari_mmsubtype.omics.library_size import library_total
from napari_mmsubtype.omics.methylation_probes import keep_probes, recognize_platform
from napari_mmsubtype.omics.modality_spec import ModalitySpec
from napari_mmsubtype.omics.scaling import rank_normal
from napari_mmsubtype.omics.training_conversion import convert_training
from napari_mmsubtype.omics.training_probes import average_by_gene, merge_replicates
from napari_mmsubtype.omics.units import TPM_TOTAL, UNITS, Unit, check_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.omics.fit_options import FitOptions

# Ranks hardly move: below this a feature would be blown up for the first new patient.
_RANK_STD_FLOOR = 0.05


class TrainingMatrix:
    """Training values, the features they belong to, and what was done to them.

    The methods are called in the order in which they stand.

    Parameters
    ----------
    values : ndarray of float, shape (patient, feature)
        NaN where missing; float32 stays float32 until the features are chosen.
    names : list of str
        Of the features, unique.
    kind : Modality
        RNA or methylation.
    clip : float
        Scaled values are clipped to ± this.
    """

    def __init__(
        self,
        values: NDArray[np.floating],
        names: list[str],
        kind: Modality,
        clip: float,
    ) -> None:
        self.values = values
        self.names = names
        self.kind = kind
        self.clip = clip
        self.probes: pd.DataFrame | None = None
        self.totals: NDArray[np.float64] | None = None
        self.steps = [
            f"fitted on {values.shape[0]} training patients and {len(names)} features"
        ]

    def check(self, unit: Unit) -> None:
        """Refuse what the unit cannot be, and settle the few values outside it.

        Parameters
        ----------
        unit : Unit
            Of the values.

        Raises
        ------
        TableReadError
            If values are impossible in the unit.
        """
        checked, notes = check_unit(self.values, unit)
        if reason := contradiction(checked, unit):
            raise TableReadError(reason)
        self.values, settled = settle_values(checked, unit, self.clip)
        self.steps += [*notes, *settled]
        # Of all genes: what is dropped later counts too.
        totals = [library_total(row, unit) for row in self.values]
        whole = [total for total in totals if total is not None]
        if whole and len(whole) == len(totals):
            self.totals = np.array(whole)

    def choose_probes(
        self, source: Unit, options: FitOptions, annotation: pd.DataFrame | None
    ) -> Unit:
        """Leave probes out, and average the others by gene where asked.

        Parameters
        ----------
        source : Unit
            Of the values.
        options : FitOptions
            What is kept and whether it is averaged.
        annotation : DataFrame or None
            As `probe_annotation.tidy_annotation`.

        Returns
        -------
        Unit
            Of the values from now on.

        Raises
        ------
        ConfigurationError
            If averages are asked for that cannot be made.
        """
        if any(map(is_probe, self.names)):
            finding = recognize_platform(self.names)
            array = finding.platform or "array not recognised"
            self.steps.append(f"{array} ({finding.evidence})")
        kept, notes = keep_probes(
            self.names, annotation, sex_chromosomes=options.keep_sex_chromosomes
        )
        self._keep(kept)
        self.steps += notes
        self.values, self.names, notes = merge_replicates(self.values, self.names)
        self.steps += notes
        if options.aggregate == "none":
            return source
        self._drop_missing(options)
        averaged = average_by_gene(
            self.values, self.names, source, annotation, options.aggregate
        )
        self.values, self.names, self.probes, note = averaged
        self.steps.append(note)
        return UNITS["beta"]

    def drop_unexpressed(self, unit: Unit, options: FitOptions) -> None:
        """Drop genes that too few patients express, and features too often missing.

        Parameters
        ----------
        unit : Unit
            Of the values.
        options : FitOptions
            The limits.

        Raises
        ------
        ConfigurationError
            If the unit does not tell, or nothing is left.
        """
        self._drop_missing(options)
        if options.min_expressed == 0 or options.min_expression == 0:
            return
        if self.kind is not Modality.RNA or unit.quantity == "z-score":
            msg = (
                f"{unit.name} values do not tell which features are expressed; leave "
                "out min_expression"
            )
            raise ConfigurationError(msg)
        # The threshold on the values' own scale: no second copy of a large table.
        least: float | NDArray[np.float64] = options.min_expression
        if unit.quantity == "counts" and self.totals is not None:
            least = least * self.totals[:, None] / TPM_TOTAL
        if unit.pseudocount is not None:
            least = np.log2(least + unit.pseudocount)
        share = expressed_share(self.values, least)
        self._keep(
            share >= options.min_expressed,
            f"expressed below {options.min_expression:g} in more than "
            f"{1 - options.min_expressed:.0%} of the patients",
        )

    def convert(self, source: Unit, target: Unit) -> None:
        """Bring the training values into the model's unit, where that is exact.

        Parameters
        ----------
        source, target : Unit
            Of the values, and of the model.

        Raises
        ------
        ConfigurationError
            If the conversion would need other patients.
        """
        self.values, notes = convert_training(
            self.values, source, target, totals=self.totals, kind=self.kind
        )
        self.steps += notes

    def select(self, options: FitOptions) -> None:
        """Keep what varies, and of it the most variable.

        Parameters
        ----------
        options : FitOptions
            How many are kept, and by what.

        Raises
        ------
        ConfigurationError
            If nothing varies.
        """
        varying = np.sqrt(spread(self.values, "variance")) > options.std_floor
        if not varying.any():
            msg = (
                f"none of the {len(self.names)} {self.kind.value} features varies "
                f"among the {len(self.values)} training patients; check the table"
            )
            raise ConfigurationError(msg)
        self._keep(varying, "without values or without spread")
        if options.select == "none":
            return
        scores = spread(self.values, options.select)
        self._keep(
            keep_top(scores, options.top),
            f"outside the {options.top} of greatest {options.select}",
        )

    def finish(
        self,
        target: Unit,
        options: FitOptions,
        min_coverage: float,
        identifiers: pd.DataFrame | None,
    ) -> ModalitySpec:
        """Learn scaling and fill of what was kept.

        Parameters
        ----------
        target : Unit
            Of the model.
        options : FitOptions
            Ranks, imputation and the least standard deviation.
        min_coverage : float
            Least share of the weight that a later sample must cover.
        identifiers : DataFrame or None
            Other names, by feature.

        Returns
        -------
        ModalitySpec
            What the model knows of the modality.
        """
        values = self.values.astype(np.float64)
        values[~np.isfinite(values)] = np.nan
        if options.rank_normal:
            values = rank_normal(values)
            self.steps.append("normal quantiles of the ranks within each sample")
        mean, fill = np.nanmean(values, axis=0), np.nanmedian(values, axis=0)
        floor = _RANK_STD_FLOOR if options.rank_normal else options.std_floor
        std = np.maximum(np.nanstd(values, axis=0), floor)
        features = pd.DataFrame({"feature": self.names, "ensembl": "", "entrez": ""})
        features["aliases"] = ""
        if identifiers is not None:
            for column in ("ensembl", "entrez", "aliases"):
                if column in identifiers:
                    known = identifiers[column].reindex(self.names)
                    features[column] = known.to_numpy()
        features = features.assign(mean=mean, std=std, fill=fill)
        probes = self.probes
        if probes is not None:
            probes = probes[probes["feature"].isin(set(self.names))]
        reference = None
        if options.imputation == "knn":
            scaled = np.clip((values - mean) / std, -self.clip, self.clip)
            reference = pd.DataFrame(scaled.astype(np.float32), columns=self.names)
            self.steps.append(
                f"gaps filled by the {options.neighbors} nearest of "
                f"{len(reference)} training patients"
            )
        self.steps.append(f"{len(self.names)} features, z-scored by training")
        return ModalitySpec(
            self.kind,
            target.name,
            self.clip,
            min_coverage,
            features,
            rank_normal=options.rank_normal,
            neighbors=0 if reference is None else options.neighbors,
            reference=reference,
            probes=probes,
            steps=tuple(self.steps),
        )

    def _drop_missing(self, options: FitOptions) -> None:
        """Drop features that too many patients lack."""
        self._keep(
            missing_share(self.values) <= options.max_missing,
            f"missing in more than {options.max_missing:.0%} of the patients",
        )

    def _keep(self, kept: NDArray[np.bool_], reason: str = "") -> None:
        """Keep some features; say how many were dropped, where there is a reason."""
        if kept.all():
            return
        if not kept.any():
            msg = (
                f"none of the {len(kept)} {self.kind.value} features is left: all are "
                f"{reason or 'probes that are left out'}"
            )
            raise ConfigurationError(msg)
        self.values = self.values[:, kept]
        self.names = [n for n, k in zip(self.names, kept, strict=True) if k]
        if reason:
            self.steps.append(f"{int((~kept).sum())} features {reason} dropped")
