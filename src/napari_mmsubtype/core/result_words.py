"""Say in words what a result holds: one place for panel, command line and report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_mmsubtype.core.cases import Modality, ordered, subset_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_mmsubtype.core.records import ModalityReport, Prediction

NAMES = {
    "image": "image",
    "rna": "RNA",
    "methylation": "methylation",
    "clinical": "clinical",
}
"""Modalities as people write them."""

RESEARCH_ONLY = "Research use only; not for diagnosis."
DEMO_CAUTION = (
    "This model was trained on synthetic tissue and made-up genes only. It knows "
    "nothing about real patients: do not read meaning into this call."
)
INTERRUPTED = "Interrupted: run the same request again to resume it."
RUNNING = "Running: the result is shown here when it is done."


@dataclass(frozen=True, slots=True)
class SubsetRow:
    """One line of the table of calls from less data.

    Attributes
    ----------
    text : str
        What the call was made from, for example ``"without RNA"``.
    probabilities : tuple of float
        One per class.
    label : str
        The class called.
    modalities : tuple of str
        What the call was made from.
    """

    text: str
    probabilities: tuple[float, ...]
    label: str
    modalities: tuple[str, ...]


def elsewhere_words(runs_at: str, store: str) -> str:
    """Tell what to do about an analysis on another machine that may have ended.

    Parameters
    ----------
    runs_at : str
        Its process and machine.
    store : str
        Path of its store.

    Returns
    -------
    str
        Two sentences.
    """
    return (
        f"The analysis belongs to {runs_at}. If it has ended there, free the result "
        f"with: napari-mmsubtype unlock {store!r}"
    )


def subset_rows(prediction: Prediction) -> list[SubsetRow]:
    """Choose the calls that tell what each modality does.

    Parameters
    ----------
    prediction : Prediction
        With a call for every subset of its modalities.

    Returns
    -------
    list of SubsetRow
        All modalities, then all but one, then one alone; no subset twice (with two
        modalities, "without RNA" is "image alone").
    """
    rows = []
    for text, subset in subsets_by_text(prediction).items():
        call = prediction.subsets.get(subset_key(subset))
        if call is not None:
            values = call.probabilities
            label = called(prediction, values)
            rows.append(SubsetRow(text, values, label, call.modalities))
    return rows


def subsets_by_text(prediction: Prediction) -> dict[str, tuple[Modality, ...]]:
    """Name the subsets of modalities that tell what each does.

    Parameters
    ----------
    prediction : Prediction
        Of one patient.

    Returns
    -------
    dict of str to tuple of Modality
        All of them first.
    """
    present = ordered(Modality(name) for name in prediction.call.modalities)
    wanted = {"all data": present}
    if len(present) > 2:
        for left in present:
            rest = tuple(m for m in present if m is not left)
            wanted[f"without {NAMES[left]}"] = rest
    if len(present) > 1:
        for only in present:
            wanted[f"{NAMES[only]} alone"] = (only,)
    if len(present) == 1:
        wanted = {f"{NAMES[present[0]]} alone": present}
    return wanted


def called(prediction: Prediction, probabilities: Sequence[float]) -> str:
    """Name the most probable class.

    Parameters
    ----------
    prediction : Prediction
        Knows the classes.
    probabilities : sequence of float
        One per class.

    Returns
    -------
    str
        Its name; of equal ones, the first.
    """
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    return prediction.classes[best]


def share_rows(prediction: Prediction) -> list[tuple[str, float]]:
    """Say how far each modality moves the call towards the class called.

    Parameters
    ----------
    prediction : Prediction
        With Shapley shares per modality and class.

    Returns
    -------
    list of (str, float)
        Modality and its share in logits, the class called against the mean of the
        others: probabilities depend on such differences only.
    """
    index = prediction.classes.index(prediction.label)
    return [
        (NAMES.get(name, name), _against_others(shares, index))
        for name, shares in prediction.shapley.items()
    ]


def _against_others(values: Sequence[float], index: int) -> float:
    others = [value for i, value in enumerate(values) if i != index]
    return values[index] - (sum(others) / len(others) if others else 0.0)


def use_words(report: ModalityReport) -> str:
    """Say whether a table entered the call.

    Parameters
    ----------
    report : ModalityReport
        What became of the table.

    Returns
    -------
    str
        ``"used"``, or ``"not used"`` and why.
    """
    if report.used:
        return "used"
    return f"not used: {report.reason}" if report.reason else "not used"


def coverage_words(report: ModalityReport) -> str:
    """Say how many of the model's features a table has.

    Parameters
    ----------
    report : ModalityReport
        What became of the table.

    Returns
    -------
    str
        For example ``"203 of 286 features (71.0%), 69.3% of the model's weight"``;
        empty where nothing was compared.
    """
    if not report.expected:
        return ""
    found = (
        f"{report.matched:,} of {report.expected:,} features ({report.coverage:.1%})"
    )
    if report.weight_coverage is None:
        return found
    return f"{found}, {report.weight_coverage:.1%} of the model's weight"


def missing_words(missing: Sequence[str], shown: int = 3) -> str:
    """Name the first of the features that a table lacks.

    Parameters
    ----------
    missing : sequence of str
        Features.
    shown : int, default: 3
        How many are named.

    Returns
    -------
    str
        For example ``"ESR1, PGR, FOXA1 and 80 more"``; empty where none is missing.
    """
    named, more = ", ".join(missing[:shown]), len(missing) - shown
    return f"{named} and {more:,} more" if more > 0 else named


def map_words(exact: bool) -> str:
    """Say what the evidence map is.

    Parameters
    ----------
    exact : bool
        Whether its cells, the tables' part and a constant add up to the logit.

    Returns
    -------
    str
        One or two sentences.
    """
    if exact:
        return (
            "The evidence adds up: its sum over the slide, the tables' own part and a "
            "constant make the logit. That sum is not the image's Shapley share, which "
            "compares calls with and without the image."
        )
    return (
        "The evidence is a gradient map: it shows where the model looked and does not "
        "add up to the logit."
    )
