"""From a table's row to a model's input, for one patient."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.errors import ConfigurationError, UnmatchedFeaturesError
from napari_mmsubtype.omics.clinical_columns import describe_place, locate_variables
from napari_mmsubtype.omics.clinical_encoding import encode_clinical, read_variables
from napari_mmsubtype.omics.coverage import (
    AlignedSample,
    add_notes,
    describe_mismatch,
    report_coverage,
)
from napari_mmsubtype.omics.sample_choice import find_row
from napari_mmsubtype.omics.value_alignment import ValuesAligner

if TYPE_CHECKING:
    import anndata

    from napari_mmsubtype.omics.identifiers import SampleMatch
    from napari_mmsubtype.omics.modality_spec import ModalitySpec


def align_sample(
    table: anndata.AnnData, patient: str, spec: ModalitySpec
) -> AlignedSample:
    """Bring one patient's row into the model's features, unit and scale.

    Parameters
    ----------
    table : AnnData
        As `table.read_omics`.
    patient : str
        Patient, sample or slide identifier; see `sample_choice.find_row`.
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
    check_modality(table, spec)
    return aligner(table, spec).align(find_row(table, patient))


def table_record(table: anndata.AnnData) -> dict[str, Any]:
    """Read what a table says about itself.

    Parameters
    ----------
    table : AnnData
        As `table.read_omics`.

    Returns
    -------
    dict
        ``modality``, ``unit``, ``source`` and ``steps``.

    Raises
    ------
    ConfigurationError
        If it does not say.
    """
    record = table.uns.get("mmsubtype")
    wanted = ("modality", "unit", "source", "steps")
    if record is None or not set(wanted) <= set(record):
        msg = (
            f"the table has no uns['mmsubtype'] with {', '.join(wanted)}; read it with "
            "read_omics, or set them"
        )
        raise ConfigurationError(msg)
    return dict(record)


def check_modality(table: anndata.AnnData, spec: ModalitySpec) -> None:
    """Check that a table is of the model's modality.

    Parameters
    ----------
    table : AnnData
        As `table.read_omics`.
    spec : ModalitySpec
        The model's features.

    Raises
    ------
    ConfigurationError
        If it is of another, or was not read by `read_omics`.
    """
    record = table_record(table)
    if str(record["modality"]) != spec.modality.value:
        msg = (
            f"the table holds {record['modality']}, the model expects "
            f"{spec.modality.value}; to read it so, "
            f"{pass_option('modality', spec.modality.value)}"
        )
        raise ConfigurationError(msg)


def aligner(
    table: anndata.AnnData, spec: ModalitySpec
) -> ValuesAligner | ClinicalAligner:
    """Match a table's columns to a model once, for any number of rows.

    Parameters
    ----------
    table : AnnData
        Of the model's modality.
    spec : ModalitySpec
        The model's features.

    Returns
    -------
    ValuesAligner or ClinicalAligner
        Its ``align`` takes a `SampleMatch`.

    Raises
    ------
    UnmatchedFeaturesError
        If the table has none of the model's features.
    """
    if spec.modality is Modality.CLINICAL:
        return ClinicalAligner(table, spec)
    return ValuesAligner(table, spec)


class ClinicalAligner:
    """Aligns clinical rows.

    Parameters
    ----------
    table : AnnData
        A clinical table.
    spec : ModalitySpec
        The model's variables.

    Raises
    ------
    UnmatchedFeaturesError
        If the table has none of them.
    """

    def __init__(self, table: anndata.AnnData, spec: ModalitySpec) -> None:
        self.table = table
        self.spec = spec
        self.variables = read_variables(spec.features)
        answers = table.obs.drop(columns="sample", errors="ignore")
        self.places = locate_variables(answers, self.variables)
        if not self.places:
            columns = [str(column) for column in answers.columns]
            msg = describe_mismatch(spec.modality.value, list(self.variables), columns)
            raise UnmatchedFeaturesError(msg)
        self.notes = tuple(
            f"{name} read {describe_place(place)}"
            for name, place in self.places.items()
            if name != place.column or place.source != place.target
        )

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
        spec, table = self.spec, self.table
        row = {
            name: place.read(table.obs[place.column].iloc[match.index])
            for name, place in self.places.items()
        }
        encoded, missing, notes = encode_clinical(row, spec.features, clip=spec.clip)
        expected = list(self.variables)
        seen = np.array([name not in missing for name in expected])
        report, share = report_coverage(
            table.uns["mmsubtype"], match, expected, seen, np.ones(len(expected))
        )
        report = add_notes(report, [*self.notes, *notes])
        if share < spec.min_coverage:
            reason = (
                f"{report.matched} of {report.expected} clinical variables have an "
                f"answer; the model needs {spec.min_coverage:.0%}"
            )
            return AlignedSample(None, replace(report, used=False, reason=reason))
        return AlignedSample(encoded, report)

    def describe(self) -> str:
        """Say what becomes of every row.

        Returns
        -------
        str
            Encoding in words.
        """
        return (
            "numbers and orders z-scored by training, categories one column per level, "
            f"clipped to ±{self.spec.clip:g}"
        )
