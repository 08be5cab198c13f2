"""Write a result as a record for programs and as text for people."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.cli.report_features import features_lines, features_record
from napari_mmsubtype.core.answer_words import answer_caution, answer_words
from napari_mmsubtype.core.cases import Modality, subset_key
from napari_mmsubtype.core.patch_words import patch_words
from napari_mmsubtype.core.records import format_probability
from napari_mmsubtype.core.result_words import (
    DEMO_CAUTION,
    RESEARCH_ONLY,
    coverage_words,
    missing_words,
    use_words,
)
from napari_mmsubtype.core.trust_words import conformal_words, guard_words
from napari_mmsubtype.results.run_state import unfinished_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_mmsubtype.core.answers import Answer
    from napari_mmsubtype.core.records import Call, ModalityReport, Prediction
    from napari_mmsubtype.results.store import Result
    from napari_mmsubtype.results.store_lock import LockOwner

_SHARED = ("status", "store", "slide", "bundle", "cam_method", "color")


def result_record(result: Result) -> dict[str, Any]:
    """Describe a result in plain JSON types.

    Parameters
    ----------
    result : Result
        Complete or interrupted.

    Returns
    -------
    dict
        ``status``, ``store``, ``slide``, ``mpp`` ``[y, x]`` in microns per pixel,
        ``mpp_source``, ``bundle``, ``cam_method`` and ``color`` (state of the color
        profile, record of the stain fit); where complete also ``label`` and
        ``classes``, lists in the order of ``classes`` (``probabilities``, ``logits``,
        those of every subset, the ``shapley`` shares), ``answers`` (what other heads
        say, by name: numbers by subset, what they are, and ``words``),
        ``attributions`` (what features of the tables add, see `report_features`),
        ``modalities``, ``patches``, ``warnings``, ``conformal`` (prediction set) and
        ``guard`` (likeness to the training patients), null if not recorded.
    """
    record: dict[str, Any] = {
        "status": result.status,
        "store": str(result.path.absolute()),
        "slide": result.slide_path,
        "mpp": [result.pixel_size.y, result.pixel_size.x],
        "mpp_source": str(result.mpp_source),
        "bundle": result.bundle_name,
        "cam_method": result.cam_method,
        "color": {"icc": result.icc, "stain": result.stain},
        "classes": [subtype.name for subtype in result.classes],
    }
    prediction = result.prediction
    if prediction is None:
        return record
    return {
        "label": prediction.label,
        "classes": list(prediction.classes),
        "probabilities": list(prediction.call.probabilities),
        "logits": list(prediction.call.logits),
        "subsets": {
            key: {
                "modalities": list(call.modalities),
                "probabilities": list(call.probabilities),
                "logits": list(call.logits),
            }
            for key, call in prediction.subsets.items()
        },
        "shapley": {key: list(share) for key, share in prediction.shapley.items()},
        "bias": list(prediction.bias),
        "answers": {
            name: {**_plain(answer), "words": answer_words(answer, _whole(prediction))}
            for name, answer in prediction.answers.items()
        },
        "attributions": features_record(result),
        "modalities": [asdict(report) for report in prediction.modalities],
        "patches": asdict(prediction.patches),
        "warnings": list(prediction.warnings),
        "conformal": _conformal_record(prediction),
        "guard": _guard_record(prediction),
        **{key: record[key] for key in _SHARED},
    }


def to_json(record: Mapping[str, Any] | Sequence[Any]) -> str:
    """Write a record as JSON that every reader takes.

    Parameters
    ----------
    record : mapping or sequence
        Plain JSON types.

    Returns
    -------
    str
        Indented; numbers that JSON lacks (NaN, infinity) are refused.
    """
    return json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False)


def result_text(result: Result, owner: LockOwner | None = None) -> str:
    """Describe a result for a terminal.

    Parameters
    ----------
    result : Result
        Complete or not.
    owner : LockOwner or None, default: None
        Who is making it, of `run_state.live_owner`; None where it was interrupted.

    Returns
    -------
    str
        The call, the same call from every subset of the modalities, what became of
        tables and patches, and where the store is.
    """
    prediction = result.prediction
    store = f"store        {result.path.absolute()}"
    if prediction is None:
        return f"{result.slide_name}: {unfinished_words(result.path, owner)}\n{store}"
    best = max(prediction.call.probabilities)
    lines = [
        f"{result.slide_name}: {prediction.label} ({format_probability(best)}), model "
        f"{result.bundle_name}",
        "",
        *_calls(prediction),
        "",
        *_trust_lines(prediction),
        *(
            f"{name:<12} {answer_words(answer, _whole(prediction))}"
            for name, answer in prediction.answers.items()
        ),
        *filter(None, [answer_caution(prediction.answers)]),
        *features_lines(result),
        *(_table_line(report) for report in prediction.modalities),
        _patch_line(prediction),
        *(f"warning      {text}" for text in prediction.warnings),
        f"pixel size   {result.pixel_size_text}",
        *([f"color        {result.color_text}"] if result.color_text else []),
        store,
        "",
        RESEARCH_ONLY,
    ]
    if result.is_demo and not result.slide_path.startswith("synthetic:"):
        lines.append(DEMO_CAUTION)
    return "\n".join(lines)


def _conformal_record(prediction: Prediction) -> dict[str, Any] | None:
    """Describe the prediction set, in numbers and in words."""
    found = prediction.conformal
    if found is None:
        return None
    record = {**asdict(found), "classes": list(found.classes)}
    return {**record, "words": conformal_words(found, prediction.guard)}


def _guard_record(prediction: Prediction) -> dict[str, Any] | None:
    """Describe the guard's findings, in numbers and in words."""
    report = prediction.guard
    if report is None:
        return None
    findings = [
        {**asdict(finding), "percentile": finding.percentile}
        for finding in report.findings
    ]
    return {
        "verdict": report.verdict or None,
        "problem": report.problem,
        "findings": findings,
        "words": guard_words(report),
    }


def _trust_lines(prediction: Prediction) -> list[str]:
    """Say which classes remain and whether the patient is like the training ones."""
    lines = []
    if prediction.conformal is not None:
        lines.append(
            f"classes left {conformal_words(prediction.conformal, prediction.guard)}"
        )
    if prediction.guard is not None:
        lines += [f"likeness     {words}" for words in guard_words(prediction.guard)]
    return lines


def _whole(prediction: Prediction) -> str:
    """Name the set of all modalities present."""
    return subset_key(Modality(name) for name in prediction.call.modalities)


def _plain(answer: Answer) -> dict[str, Any]:
    """Put an answer into plain JSON types."""
    values = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(answer).items()
    }
    return {**values, "subsets": {k: list(v) for k, v in answer.subsets.items()}}


def _calls(prediction: Prediction) -> list[str]:
    """Lay out the fused call and the call from each smaller set of modalities."""
    titles = ["made from", *prediction.classes]

    def row(call: Call) -> list[str]:
        name = " + ".join(call.modalities)
        return [name, *(f"{value:.3f}" for value in call.probabilities)]

    rows = [titles, *(row(call) for call in prediction.subsets.values())]
    widths = [max(len(line[i]) for line in rows) for i in range(len(titles))]
    return [
        "  ".join(
            word.ljust(width) if i == 0 else word.rjust(width)
            for i, (word, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in rows
    ]


def _table_line(report: ModalityReport) -> str:
    name = f"{report.modality:<12} "
    if not report.used:
        return name + use_words(report)
    parts = [coverage_words(report), report.unit]
    if report.sample:
        parts.insert(0, f"sample {report.sample}")
    if report.missing:
        parts.append(f"missing {missing_words(report.missing)}")
    return name + "; ".join([", ".join(filter(None, parts)), *report.notes])


def _patch_line(prediction: Prediction) -> str:
    counts = prediction.patches
    return f"patches      {patch_words(counts)}; {counts.total} grid positions"
