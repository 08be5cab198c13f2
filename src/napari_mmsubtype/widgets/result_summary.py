"""What the result panel says about an analysis, as plain text and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_mmsubtype.core.answer_words import answer_caution, answer_rows
from napari_mmsubtype.core.attributions import (
    Attributions,
    NamedShare,
    top_features,
    top_groups,
)
from napari_mmsubtype.core.cam_methods import other_methods
from napari_mmsubtype.core.patch_words import patch_words
from napari_mmsubtype.core.records import ModalityReport, Prediction
from napari_mmsubtype.core.result_words import (
    DEMO_CAUTION,
    NAMES,
    RESEARCH_ONLY,
    coverage_words,
    missing_words,
    subset_rows,
    use_words,
)
from napari_mmsubtype.core.subtypes import Subtype
from napari_mmsubtype.core.trust_words import conformal_words, guard_words
from napari_mmsubtype.results.schema import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_mmsubtype.results.store import Result


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
        None where the analysis was interrupted, or runs.
    pixel_size : str
        Microns per pixel and who gave them, in words.
    is_demo : bool
        Whether the model knows synthetic tissue only.
    other_methods : tuple of str
        What another map can be drawn by.
    colors : str
        What was done to the colors for the model; empty where nothing was asked.
    attributions : Attributions or None
        What each feature of the tables adds; None where there are none.
    is_running : bool
        Whether a process is at work on the analysis.
    runs_at : str
        Process and machine where that is another machine, of which nothing can be
        known; else empty.
    """

    store: str
    slide_name: str
    bundle_name: str
    pixel_size: str
    patient: str
    classes: tuple[Subtype, ...]
    prediction: Prediction | None
    is_demo: bool
    other_methods: tuple[str, ...]
    colors: str = ""
    attributions: Attributions | None = None
    is_running: bool = False
    runs_at: str = ""


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
        other_methods=other_methods(
            result.cam_method, exact=result.exact, rollout=result.offers_rollout
        ),
        colors=result.color_text,
        attributions=result.attributions,
    )


def result_names(summaries: Iterable[ResultSummary]) -> dict[str, str]:
    """Name results so that each can be told from the others.

    Parameters
    ----------
    summaries : iterable of ResultSummary
        Of different stores.

    Returns
    -------
    dict of str to str
        By store: slide and model, and what the paths of stores differ in where these
        are the same.
    """
    names = {
        each.store: f"{each.slide_name} ({each.bundle_name})" for each in summaries
    }
    return {
        store: name + _difference(store, [x for x in names if names[x] == name])
        for store, name in names.items()
    }


def _difference(store: str, alike: list[str]) -> str:
    """Give the shortest end of a path that no other has, or nothing without others."""
    paths = [Path(other).parts for other in alike if other != store]
    own, count = Path(store).parts, 1
    while count < len(own) and any(path[-count:] == own[-count:] for path in paths):
        count += 1
    return f": {'/'.join(own[-count:]).removesuffix(SUFFIX)}" if paths else ""


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
    text = f"sample {report.sample}" if report.used and report.sample else ""
    parts = [text or use_words(report), coverage_words(report), report.unit]
    lines = [", ".join(filter(None, parts))]
    if report.used and report.missing:
        lines.append(f"· missing: {missing_words(report.missing)}")
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
        lines += [f"{row.name}: {row.text}" for row in answer_rows(prediction)]
        lines += filter(None, [answer_caution(prediction.answers)])
        features, groups = feature_rows(summary)
        for title, shares in (("features", features), ("gene groups", groups)):
            if shares:
                named = ", ".join(f"{share_name(s)} {s.value:+.2f}" for s in shares)
                lines.append(f"{title} for {prediction.label}, in logits: {named}")
        lines.append(patches_text(prediction))
    if summary.colors:
        lines.append(f"colors: {summary.colors}")
    if summary.is_demo:
        lines.append(DEMO_CAUTION)
    lines.append(RESEARCH_ONLY)
    return "\n".join(lines)
