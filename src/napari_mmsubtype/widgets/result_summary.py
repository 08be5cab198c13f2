"""What the result panel says about an analysis, as plain text and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_mmsubtype.core.answer_words import answer_caution, answer_words
from napari_mmsubtype.core.attributions import (
    Attributions,
    NamedShare,
    top_features,
    top_groups,
)
from napari_mmsubtype.core.cases import Modality, ordered, subset_key
from napari_mmsubtype.core.patch_words import patch_words
from napari_mmsubtype.core.records import ModalityReport, Prediction
from napari_mmsubtype.core.subtypes import Subtype
from napari_mmsubtype.core.trust_words import conformal_words, guard_words

if TYPE_CHECKING:
    from napari_mmsubtype.results.store import Result

NAMES = {
    "image": "image",
    "rna": "RNA",
    "methylation": "methylation",
    "clinical": "clinical",
}
_NAMED = 3
RESEARCH_ONLY = "Research use only; not for diagnosis."
DEMO_CAUTION = (
    "This model was trained on synthetic tissue and made-up genes only. It knows "
    "nothing about real patients: do not read meaning into this call."
)


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
    """

    text: str
    probabilities: tuple[float, ...]
    label: str


@dataclass(frozen=True, slots=True)
class ResultSummary:
    """Everything the result panel shows; plain records, nothing is read later.

    Attributes
    ----------
    store : str
        Path of the store.
    slide_name, bundle_name : str
        What was analysed, with which model.
    patient : str
        Identifier, or empty.
    classes : tuple of Subtype
        In the order of all per-class values.
    prediction : Prediction or None
        None where the analysis was interrupted.
    pixel_size : str
        Microns per pixel and who gave them, in words.
    is_demo, exact : bool
        Whether the model knows synthetic tissue only; whether evidence adds up.
    colors : str
        What was done to the colors for the model; empty where nothing was asked.
    attributions : Attributions or None
        What each feature of the tables adds; None where there are none.
    """

    store: str
    slide_name: str
    bundle_name: str
    pixel_size: str
    patient: str
    classes: tuple[Subtype, ...]
    prediction: Prediction | None
    is_demo: bool
    exact: bool
    colors: str = ""
    attributions: Attributions | None = None


def summarize(result: Result) -> ResultSummary:
    """Read what the panel shows out of a store.

    Parameters
    ----------
    result : Result
        As opened by `open_result`.

    Returns
    -------
    ResultSummary
        No array is read but what the features of the tables add.
    """
    return ResultSummary(
        store=str(result.path),
        slide_name=result.slide_name,
        bundle_name=result.bundle_name,
        pixel_size=result.pixel_size_text,
        patient=result.recipe.patient or "",
        classes=tuple(result.classes),
        prediction=result.prediction,
        is_demo=result.is_demo,
        exact=result.exact,
        colors=result.color_text,
        attributions=result.attributions,
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
    for text, subset in _subsets_by_text(prediction).items():
        call = prediction.subsets.get(subset_key(subset))
        if call is not None:
            best = max(
                range(len(call.probabilities)), key=call.probabilities.__getitem__
            )
            rows.append(SubsetRow(text, call.probabilities, prediction.classes[best]))
    return rows


def _subsets_by_text(prediction: Prediction) -> dict[str, tuple[Modality, ...]]:
    """Name the subsets of modalities that tell what each does, all of them first."""
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


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """What one further head of the model says.

    Attributes
    ----------
    name : str
        Of the head.
    text : str
        From all data, in words.
    less : str
        The same from less data, a line for each; empty with one modality.
    """

    name: str
    text: str
    less: str


def answer_rows(prediction: Prediction) -> list[AnswerRow]:
    """Put what the further heads say into words.

    Parameters
    ----------
    prediction : Prediction
        With answers for every subset of its modalities.

    Returns
    -------
    list of AnswerRow
        In the order of the heads; none where the model has only classes.
    """
    whole, *less = _subsets_by_text(prediction).items()
    return [
        AnswerRow(
            name,
            answer_words(answer, subset_key(whole[1])),
            "\n".join(
                f"{text}: {answer_words(answer, subset_key(subset))}"
                for text, subset in less
            ),
        )
        for name, answer in prediction.answers.items()
    ]


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


def feature_rows(
    summary: ResultSummary, count: int = 8
) -> tuple[list[NamedShare], list[NamedShare]]:
    """Choose the features and gene groups that matter most for the class called.

    Parameters
    ----------
    summary : ResultSummary
        Of an analysis.
    count : int, default: 8
        Length of each list at most.

    Returns
    -------
    features, groups : list of NamedShare
        The largest first; empty where there is nothing to show.
    """
    prediction, found = summary.prediction, summary.attributions
    if prediction is None or found is None:
        return [], []
    index = prediction.classes.index(prediction.label)
    return (
        top_features(found, index, count),
        top_groups(found, index, count),
    )


def share_name(share: NamedShare) -> str:
    """Name a feature and its table.

    Parameters
    ----------
    share : NamedShare
        From `feature_rows`.

    Returns
    -------
    str
        For example ``"ESR1 (RNA)"``.
    """
    return f"{share.name} ({NAMES.get(share.modality, share.modality)})"


def _against_others(values: Sequence[float], index: int) -> float:
    others = [value for i, value in enumerate(values) if i != index]
    return values[index] - (sum(others) / len(others) if others else 0.0)


def report_text(report: ModalityReport) -> str:
    """Say in words what became of a table.

    Parameters
    ----------
    report : ModalityReport
        From the prediction.

    Returns
    -------
    str
        One line for sample and coverage, and one for every note.
    """
    if not report.used:
        text = f"not used: {report.reason}" if report.reason else "not used"
    else:
        text = f"sample {report.sample}" if report.sample else "used"
    parts = [text]
    if report.expected:
        parts.append(
            f"{report.matched:,} of {report.expected:,} features "
            f"({report.coverage:.0%})"
        )
    if report.unit:
        parts.append(report.unit)
    lines = [", ".join(parts)]
    if report.used and report.missing:
        first, more = report.missing[:_NAMED], len(report.missing) - _NAMED
        lines.append(
            "· missing: "
            + ", ".join(first)
            + (f" and {more:,} more" if more > 0 else "")
        )
    lines += [f"· {note}" for note in report.notes]
    return "\n".join(lines)


def patches_text(prediction: Prediction) -> str:
    """Account for every patch in words.

    Parameters
    ----------
    prediction : Prediction
        With the patch counts.

    Returns
    -------
    str
        One line, and one for every warning.
    """
    lines = [patch_words(prediction.patches), *prediction.warnings]
    return "\n".join(lines)


def summary_text(summary: ResultSummary) -> str:
    """Write the summary as plain text, to be pasted elsewhere.

    Parameters
    ----------
    summary : ResultSummary
        Of a complete or interrupted analysis.

    Returns
    -------
    str
        Several lines, the cautions included.
    """
    lines = [f"{summary.slide_name} {summary.patient}".strip()]
    prediction = summary.prediction
    if prediction is not None:
        lines.append(f"model {summary.bundle_name}: {prediction.label}")
        for row in subset_rows(prediction):
            values = zip(prediction.classes, row.probabilities, strict=True)
            shown = ", ".join(f"{name} {value:.3f}" for name, value in values)
            lines.append(f"{row.text}: {shown}")
        if prediction.conformal is not None:
            lines.append(conformal_words(prediction.conformal, prediction.guard))
        if prediction.guard is not None:
            lines += guard_words(prediction.guard)
        features, groups = feature_rows(summary)
        for title, shares in (("features", features), ("gene groups", groups)):
            if shares:
                named = ", ".join(f"{share_name(s)} {s.value:+.2f}" for s in shares)
                lines.append(f"{title} for {prediction.label}, in logits: {named}")
        lines += [f"{row.name}: {row.text}" for row in answer_rows(prediction)]
        lines += filter(None, [answer_caution(prediction.answers)])
        lines.append(patches_text(prediction))
    if summary.colors:
        lines.append(f"colors: {summary.colors}")
    if summary.is_demo:
        lines.append(DEMO_CAUTION)
    lines.append(RESEARCH_ONLY)
    return "\n".join(lines)
