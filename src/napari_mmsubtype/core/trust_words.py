"""Prediction sets and the guard's findings in plain words, the same at every door."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_mmsubtype.core.trust import FOLDS, TYPICAL, UNLIKE, VALIDATION

if TYPE_CHECKING:
    from napari_mmsubtype.core.trust import ConformalSet, GuardFinding, GuardReport

_NAMES = {"rna": "RNA"}

SOURCE_WORDS = {
    VALIDATION: "slightly fewer, as these patients also chose when training ended",
    FOLDS: "as single folds said of patients that they did not know",
}
"""Why sets keep about the share that they promise, by the source of their patients."""


def conformal_words(found: ConformalSet, report: GuardReport | None = None) -> str:
    """Say which classes cannot be ruled out.

    Parameters
    ----------
    found : ConformalSet
        Of one patient.
    report : GuardReport, optional
        Of the same patient: nothing is promised for one unlike the training patients.

    Returns
    -------
    str
        One line.
    """
    if found.problem:
        return f"no set of classes: {found.problem}"
    about = "about " if found.source else ""
    text = f"with {about}{100 * found.coverage:g} % coverage: "
    if len(found.classes) == 1:
        text += f"{found.classes[0]} alone"
    else:
        listed = " or ".join(found.classes)
        text += f"{listed} - the model cannot tell them apart here"
    if report is not None and report.verdict == UNLIKE:
        text += "; not promised for a patient unlike the training patients"
    return text


def promise_words(found: ConformalSet) -> str:
    """Say what the promise of a prediction set means.

    Parameters
    ----------
    found : ConformalSet
        Of one patient.

    Returns
    -------
    str
        One or two sentences.
    """
    whom = "patients of each class" if found.by_class else "patients"
    least = "about" if found.source else "at least"
    why = f", {SOURCE_WORDS[found.source]}" if found.source in SOURCE_WORDS else ""
    return (
        f"Of {whom} like the {found.n} of the calibration, {least} "
        f"{100 * found.coverage:g} % have their true class in such a set{why}. For "
        "patients of another kind nothing is promised."
    )


def finding_headline(finding: GuardFinding) -> str:
    """Say how one kind of data compares with the training patients', without reasons.

    Parameters
    ----------
    finding : GuardFinding
        Of one modality.

    Returns
    -------
    str
        One short line.
    """
    name = _NAMES.get(finding.modality, finding.modality)
    if finding.verdict == TYPICAL:
        return f"{name}: like the training patients"
    many = (
        f"all {finding.n} training patients"
        if finding.below == finding.n
        else f"{int(finding.percentile)} % of the {finding.n} training patients"
    )
    if finding.verdict == UNLIKE:
        return f"{name}: unlike {many}; the call may not hold"
    return f"{name}: odder than {many}"


def finding_words(finding: GuardFinding) -> str:
    """Say how one kind of data compares with the training patients', and why.

    Parameters
    ----------
    finding : GuardFinding
        Of one modality.

    Returns
    -------
    str
        One line.
    """
    reasons = () if finding.verdict == TYPICAL else finding.reasons
    return "; ".join([finding_headline(finding), *reasons])


def guard_words(report: GuardReport) -> list[str]:
    """Say whether a patient resembles those that the model was trained on.

    Parameters
    ----------
    report : GuardReport
        Of one patient.

    Returns
    -------
    list of str
        One line where all is well or nothing was judged; else one per modality that is
        not, and one that names the others.
    """
    if report.problem:
        return [report.problem]
    odd = [f for f in report.findings if f.verdict != TYPICAL]
    return [*map(finding_words, odd), *familiar_words(report)]


def familiar_words(report: GuardReport) -> list[str]:
    """Name the kinds of data that resemble the training patients'.

    Parameters
    ----------
    report : GuardReport
        Of one patient.

    Returns
    -------
    list of str
        One line, or none.
    """
    names = [
        _NAMES.get(found.modality, found.modality)
        for found in report.findings
        if found.verdict == TYPICAL
    ]
    if not names:
        return []
    *first, last = names
    listed = f"{', '.join(first)} and {last}" if first else last
    return [f"{listed}: like the training patients"]
