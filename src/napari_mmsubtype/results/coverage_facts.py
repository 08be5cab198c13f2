"""What a report says about one table, as plain records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.result_words import NAMES
from napari_mmsubtype.omics.table_facts import evidence_for, sample_words

if TYPE_CHECKING:
    from napari_mmsubtype.core.records import ModalityReport


@dataclass(frozen=True, slots=True)
class CoverageFacts:
    """What became of one table.

    Attributes
    ----------
    name : str
        Modality as people write it.
    file : str
        Path of the table; empty where it is not recorded.
    report : ModalityReport
        The record itself.
    sample : str
        The sample taken and its type; empty without one.
    evidence : tuple of (str, str, str)
        Each finding with its value and what spoke for it.
    least : float or None
        Share of the model's weight that the model needs, where it is known.
    """

    name: str
    file: str
    report: ModalityReport
    sample: str
    evidence: tuple[tuple[str, str, str], ...]
    least: float | None = None

    @property
    def title(self) -> str:
        """Name as a heading."""
        return self.name[:1].upper() + self.name[1:]

    @property
    def file_name(self) -> str:
        """Name of the file or folder."""
        return Path(self.file).name


def coverage_facts(
    report: ModalityReport, path: str = "", least: float | None = None
) -> CoverageFacts:
    """Gather what a report shows of one table.

    Parameters
    ----------
    report : ModalityReport
        What became of it.
    path : str, default: ""
        Its file, for records that do not name one.
    least : float or None, default: None
        Share of the model's weight that the model needs.

    Returns
    -------
    CoverageFacts
        With the evidence that its notes hold.
    """
    notes = report.notes
    axis = next((a for a in ("rows", "columns") if _says_axis(notes, a)), "")
    findings = [("modality", NAMES.get(report.modality, report.modality))]
    spoken = [evidence_for(notes, report.modality)]
    if report.unit and report.modality != Modality.CLINICAL:
        findings.append(("unit", report.unit))
        spoken.append(evidence_for(notes, f"unit {report.unit}"))
    if axis:
        findings.append(("samples in", axis))
        spoken.append(evidence_for(notes, f"samples in {axis}"))
    return CoverageFacts(
        name=findings[0][1],
        file=report.source or path,
        report=report,
        sample=sample_words(report.sample) if report.sample else "",
        evidence=tuple(
            (*found, why) for found, why in zip(findings, spoken, strict=True)
        ),
        least=least,
    )


def _says_axis(notes: tuple[str, ...], axis: str) -> bool:
    return bool(evidence_for(notes, f"samples in {axis}"))
