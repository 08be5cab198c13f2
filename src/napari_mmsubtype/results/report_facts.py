"""What a report says about a result, as plain records: no HTML, nothing read later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from napari_mmsubtype.core.answer_words import AnswerRow, answer_caution, answer_rows
from napari_mmsubtype.core.attributions import gap_words, top_features, top_groups
from napari_mmsubtype.core.patch_words import patch_words
from napari_mmsubtype.core.result_words import (
    NAMES,
    called,
    map_words,
    share_rows,
    subset_rows,
)
from napari_mmsubtype.core.trust import UNLIKE
from napari_mmsubtype.core.trust_words import (
    conformal_words,
    guard_words,
    promise_words,
)
from napari_mmsubtype.results.coverage_facts import CoverageFacts, coverage_facts
from napari_mmsubtype.results.schema import PatchStatus

if TYPE_CHECKING:
    from napari_mmsubtype.core.attributions import Attributions, NamedShare
    from napari_mmsubtype.core.records import Prediction
    from napari_mmsubtype.core.subtypes import Subtype
    from napari_mmsubtype.results.store import Result

_MOST = 15


@dataclass(frozen=True, slots=True)
class CallRow:
    """The call from one subset of the modalities.

    Attributes
    ----------
    modalities : str
        Joined by ``+``.
    text : str
        For example ``"without RNA"``; empty where the modalities say it all.
    label : str
        The class called.
    is_changed : bool
        Whether it is another than that from all data.
    probabilities, logits : tuple of float
        One per class.
    """

    modalities: str
    text: str
    label: str
    is_changed: bool
    probabilities: tuple[float, ...]
    logits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ShareRow:
    """The share of one modality in the logits.

    Attributes
    ----------
    name : str
        Modality as people write it.
    logits : tuple of float
        Shapley share for each class.
    towards : float
        Its move towards the class called, against the mean of the others.
    width : float
        Length of ``towards`` against the longest one, 0 to 1.
    """

    name: str
    logits: tuple[float, ...]
    towards: float
    width: float


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """What one feature of a table, or one gene group, adds.

    Attributes
    ----------
    name, table : str
        Of the feature or group; of its table, as people write it.
    value : float
        In logits, the class called against the mean of the others.
    width : float
        Length of ``value`` against the longest of its list, 0 to 1.
    """

    name: str
    table: str
    value: float
    width: float


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """Everything that a report shows but its picture.

    Attributes
    ----------
    title, patient, model : str
        Slide, identifier or empty, and name of the model.
    classes : tuple of Subtype
        In the order of all per-class values.
    prediction : Prediction or None
        None where the analysis was interrupted.
    is_demo : bool
        Whether the model knows synthetic tissue only.
    calls : tuple of CallRow
        Every subset of the modalities, the whole set first.
    shares : tuple of ShareRow
        One per modality.
    totals : tuple of float
        Logits of the call: shares and bias together.
    answers : tuple of AnswerRow
        What the other heads of the model say.
    answer_caution : str
        Which of them must not be read as rates; empty where none is.
    features : tuple of (str, tuple of FeatureRow)
        The features, and the gene groups, that matter most, under their titles.
    feature_words : str
        What they are counted from, and whether their sum is right.
    trust : tuple of str
        Which classes cannot be ruled out, and whether the patient resembles the
        training patients; empty where neither was recorded.
    is_unlike : bool
        Whether the patient is unlike the training patients.
    patches, evidence : str
        What became of the patches, and what the map is, in words.
    warnings : tuple of str
        What the user should know about slide and patches.
    tables : tuple of CoverageFacts
        One per table given.
    slide, origin : tuple of (str, str)
        Facts about slide and patches; about model, software and machine.
    recipe : str
        The request as YAML.
    """

    title: str
    patient: str
    model: str
    classes: tuple[Subtype, ...]
    prediction: Prediction | None
    is_demo: bool
    calls: tuple[CallRow, ...]
    shares: tuple[ShareRow, ...]
    totals: tuple[float, ...]
    answers: tuple[AnswerRow, ...]
    answer_caution: str
    features: tuple[tuple[str, tuple[FeatureRow, ...]], ...]
    feature_words: str
    trust: tuple[str, ...]
    is_unlike: bool
    patches: str
    evidence: str
    warnings: tuple[str, ...]
    tables: tuple[CoverageFacts, ...]
    slide: tuple[tuple[str, str], ...]
    origin: tuple[tuple[str, str], ...]
    recipe: str


def report_facts(result: Result) -> ReportFacts:
    """Gather what a report shows of a result.

    Parameters
    ----------
    result : Result
        Complete or interrupted.

    Returns
    -------
    ReportFacts
        Of an interrupted one, no calls and no tables.
    """
    prediction, recipe = result.prediction, result.recipe
    paths = {str(m): str(path) for m, path in recipe.tables.items()}
    reports = prediction.modalities if prediction else ()
    added = result.attributions
    return ReportFacts(
        title=result.slide_name,
        patient=recipe.patient or "",
        model=result.bundle_name,
        classes=result.classes,
        prediction=prediction,
        is_demo=result.is_demo,
        calls=_calls(prediction) if prediction else (),
        shares=_shares(prediction) if prediction else (),
        totals=prediction.call.logits if prediction else (),
        answers=tuple(answer_rows(prediction)) if prediction else (),
        answer_caution=answer_caution(prediction.answers) if prediction else "",
        features=_features(prediction, added) if prediction and added else (),
        feature_words=gap_words(added) if added else "",
        trust=_trust(prediction) if prediction else (),
        is_unlike=bool(
            prediction and prediction.guard and prediction.guard.verdict == UNLIKE
        ),
        patches=patch_words(prediction.patches) if prediction else _progress(result),
        evidence=map_words(result.exact),
        warnings=prediction.warnings if prediction else (),
        tables=tuple(coverage_facts(r, paths.get(r.modality, "")) for r in reports),
        slide=_slide_rows(result),
        origin=_origin_rows(result),
        recipe=yaml.safe_dump(recipe.to_dict(), sort_keys=False, allow_unicode=True),
    )


def _calls(prediction: Prediction) -> tuple[CallRow, ...]:
    named = {
        row.modalities: row.text
        for row in subset_rows(prediction)
        if len(row.modalities) > 1
    }
    rows = []
    for call in prediction.subsets.values():
        label = called(prediction, call.probabilities)
        rows.append(
            CallRow(
                modalities=" + ".join(NAMES.get(m, m) for m in call.modalities),
                text=named.get(call.modalities, ""),
                label=label,
                is_changed=label != prediction.label,
                probabilities=call.probabilities,
                logits=call.logits,
            )
        )
    return tuple(rows)


def _shares(prediction: Prediction) -> tuple[ShareRow, ...]:
    moves = share_rows(prediction)
    longest = max((abs(value) for _, value in moves), default=0.0) or 1.0
    return tuple(
        ShareRow(name, tuple(logits), value, abs(value) / longest)
        for (name, value), logits in zip(
            moves, prediction.shapley.values(), strict=True
        )
    )


def _trust(prediction: Prediction) -> tuple[str, ...]:
    found, report = prediction.conformal, prediction.guard
    words = [] if found is None else [conformal_words(found, report)]
    if found is not None and not found.problem:
        words.append(promise_words(found))
    return (*words, *(guard_words(report) if report else ()))


def _features(
    prediction: Prediction, added: Attributions
) -> tuple[tuple[str, tuple[FeatureRow, ...]], ...]:
    index = prediction.classes.index(prediction.label)
    lists = (
        ("Feature", top_features(added, index, _MOST)),
        ("Gene group", top_groups(added, index, _MOST)),
    )
    return tuple(
        (title, tuple(_feature(s, abs(shares[0].value)) for s in shares))
        for title, shares in lists
        if shares
    )


def _feature(share: NamedShare, longest: float) -> FeatureRow:
    table = NAMES.get(share.modality, share.modality)
    return FeatureRow(share.name, table, share.value, abs(share.value) / longest)


def _progress(result: Result) -> str:
    """Say how far an interrupted analysis came."""
    status = result.patch_status
    counts = {s: int(np.count_nonzero(status == s)) for s in PatchStatus}
    read = counts[PatchStatus.DONE] + counts[PatchStatus.EXCLUDED]
    parts = [f"{read:,} read", f"{counts[PatchStatus.PENDING]:,} to go"]
    if counts[PatchStatus.UNREADABLE]:
        parts.append(f"{counts[PatchStatus.UNREADABLE]:,} unreadable")
    return f"{len(status):,} tissue patches: {', '.join(parts)}"


def _slide_rows(result: Result) -> tuple[tuple[str, str], ...]:
    height, width = result.slide_shape
    spec = result.grid.spec
    return _filled(
        ("Slide", result.slide_path),
        ("Size", f"{width:,} × {height:,} px (width × height)"),
        ("Pixel size", result.pixel_size_text),
        ("Colors", result.color_text),
        ("Map", result.cam_method),
        (
            "Patches",
            f"{spec.size_px} px at {spec.mpp:g} µm/px, every {spec.stride_px} px, at "
            f"least {spec.min_tissue:.0%} tissue",
        ),
    )


def _origin_rows(result: Result) -> tuple[tuple[str, str], ...]:
    model, made = result.bundle_facts, result.provenance
    packages: dict[str, Any] = made.get("packages", {})
    where = (made.get("device", ""), made.get("precision", ""), made.get("platform"))
    return _filled(
        ("Model", f"{model['name']} {model.get('version', '')}".strip()),
        ("Model digest", str(model.get("digest", ""))),
        ("Request fingerprint", result.plan_digest),
        ("Analysed", str(made.get("created", ""))),
        ("Computed on", ", ".join(str(word) for word in where if word)),
        ("Python", str(made.get("python", ""))),
        ("Packages", ", ".join(f"{name} {text}" for name, text in packages.items())),
        ("Result store", str(result.path.absolute())),
    )


def _filled(*rows: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Leave out what is not recorded."""
    return tuple(row for row in rows if row[1])
