"""The model card of a bundle, written from facts and silent about what is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from napari_mmsubtype.models.bundle_license import hub_license
from napari_mmsubtype.models.foundation_table import FOUNDATION_MODELS
from napari_mmsubtype.models.pretraining import Pretraining, pretraining_of

if TYPE_CHECKING:
    from napari_mmsubtype.core.patch_grid import PatchSpec
    from napari_mmsubtype.core.subtypes import Subtype
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.models.training_facts import Metric, TrainingFacts
    from napari_mmsubtype.omics.modality_spec import ModalitySpec

LIBRARY = "napari-mmsubtype"
NOT_STATED = "Not stated."
_TAGS = ("napari", "pathology", "whole-slide-image", "multimodal", "omics")


def render_card(
    *,
    name: str,
    version: str,
    classes: Sequence[Subtype],
    heads: Heads,
    encoder: Encoder,
    fusion: FusionModel,
    patch: PatchSpec,
    modalities: Mapping[Any, ModalitySpec],
    calibration: Sequence[str],
    facts: TrainingFacts,
) -> str:
    """Write the model card, in the form that Hugging Face shows.

    Parameters
    ----------
    name, version : str
        Of the bundle.
    classes : sequence of Subtype
        In the order of the logits of the first head.
    heads : Heads
        The questions that the model answers.
    encoder : Encoder
        The image branch.
    fusion : FusionModel
        The joint model.
    patch : PatchSpec
        What a patch must be.
    modalities : mapping of Modality to ModalitySpec
        Tables that the model takes.
    calibration : sequence of str
        Items about calibration and guard, as `bundle_trust.trust_lines`.
    facts : TrainingFacts
        What is known of its training.

    Returns
    -------
    str
        YAML between two lines of dashes, then Markdown. Facts that are not given are
        said to be not stated.
    """
    sections = {
        "Model": _model(classes, heads, encoder, fusion, patch, modalities),
        "Intended use": _fact(facts.intended_use),
        "Limits": _fact(facts.limits),
        "Training data": _fact(facts.data),
        "Patients": _patients(facts, [subtype.name for subtype in classes]),
        "Sites": _fact(facts.sites),
        "Training": _fact(facts.training),
        "Performance": _performance(facts),
        "With modalities missing": _missing(facts),
        "Calibration": list(calibration),
        "License": _licenses(facts, encoder),
        "How to cite": _fact(facts.citation),
    }
    further = {**({"synthetic": True} if facts.synthetic else {}), **facts.further}
    if further:
        sections["Further facts"] = _fact(further)
    lines = [
        *_front_matter(facts, encoder.name, fusion.name),
        "",
        f"# {name} {version}",
        "",
        facts.description or f"A model of {LIBRARY}.",
        "",
        "**Research use only. Not for diagnosis or treatment.**",
    ]
    for title, body in sections.items():
        lines += ["", f"## {title}", "", *body]
    return "\n".join(lines) + "\n"


def card_body(card: str) -> str:
    """Give the part of a card that people read.

    Parameters
    ----------
    card : str
        As `render_card`, or of a bundle from before cards had a header.

    Returns
    -------
    str
        Markdown, without the YAML for model hubs.
    """
    header, line, body = card.partition("\n---\n")
    return body.lstrip("\n") if line and header.startswith("---\n") else card


def _front_matter(facts: TrainingFacts, encoder: str, fusion: str) -> list[str]:
    """Write what model hubs sort models by."""
    license_name = hub_license(facts.license)
    header: dict[str, Any] = {"license": license_name}
    if license_name == "other":
        header["license_name"] = facts.license
    header["library_name"] = LIBRARY
    header["pipeline_tag"] = "image-classification"
    synthetic = ["synthetic-data"] if facts.synthetic else []
    header["tags"] = [*_TAGS, encoder.replace(":", "-"), fusion, *synthetic]
    origin = FOUNDATION_MODELS.get(encoder)
    if origin is not None and "huggingface.co" in origin.url:
        header["base_model"] = origin.hub_id
    text = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    return ["---", *text.splitlines(), "---"]


def _model(
    classes: Sequence[Subtype],
    heads: Heads,
    encoder: Encoder,
    fusion: FusionModel,
    patch: PatchSpec,
    modalities: Mapping[Any, ModalitySpec],
) -> list[str]:
    """Describe the networks and what they take."""
    parameters = sum(p.numel() for part in (encoder, fusion) for p in part.parameters())
    exact = " (evidence adds up to the logits exactly)" if fusion.exact_cam else ""
    return [
        f"- Classes: {', '.join(subtype.name for subtype in classes)}",
        *(f"- Also answers {name}: {h.words}" for name, h in heads.others.items()),
        f"- Encoder: {encoder.name}, {encoder.dim} features, "
        f"{patch.size_px} px patches at {patch.mpp:g} µm/px",
        *([f"- Encoder began from: {encoder.origin}"] if encoder.origin else []),
        f"- Fusion: {fusion.name}{exact}",
        f"- Parameters: {parameters:,}",
        f"- Modalities: {_looked_at(fusion)}",
        *(_modality(str(name), spec) for name, spec in modalities.items()),
    ]


def _looked_at(fusion: FusionModel) -> str:
    """Name what moves the logits: a baseline takes more than it looks at."""
    names = ", ".join(fusion.uses)
    others = ", ".join(m for m in fusion.modalities if m not in fusion.uses)
    if others:
        return f"{names} alone (what is given of {others} is not looked at)"
    return names if len(fusion.uses) == 1 else f"{names} (any of them may be missing)"


def _modality(name: str, spec: ModalitySpec) -> str:
    """Describe a table that the model takes, on one line."""
    line = f"- Modality {name}: {len(spec.features)} features"
    if spec.unit:
        line += f", unit {spec.unit}"
    if spec.rank_normal:
        line += ", ranked within the sample"
    if spec.groups is not None:
        line += f", {spec.groups.tokens} groups of features"
    if spec.reference is not None:
        line += (
            f"; the bundle holds the scaled values of {len(spec.reference)} training "
            "patients, without their names, to fill gaps"
        )
    return line


def _patients(facts: TrainingFacts, classes: Sequence[str]) -> list[str]:
    """Count patients by split and class."""
    counted = {
        split: part
        for split, part in facts.patients.items()
        if isinstance(part, Mapping)
    }
    lines = [f"- {s}: {p}" for s, p in facts.patients.items() if isinstance(p, str)]
    if counted:
        seen = [name for part in counted.values() for name in part]
        names = list(dict.fromkeys([*(c for c in classes if c in seen), *seen]))
        rows = [
            [split, *(str(part.get(n, 0)) for n in names), str(sum(part.values()))]
            for split, part in counted.items()
        ]
        lines += [*([""] if lines else []), *_table(["split", *names, "all"], rows)]
    return lines or [NOT_STATED]


def _performance(facts: TrainingFacts) -> list[str]:
    """List the metrics with most modalities, and those of none in particular."""
    most = max((len(metric.modalities) for metric in facts.metrics), default=0)
    lines = [
        f"- {metric.key}: {_estimate(metric)}"
        for metric in facts.metrics
        if len(metric.modalities) in (0, most)
    ]
    lines += [f"- {key}: {words}" for key, words in facts.metric_notes.items()]
    return lines or [NOT_STATED]


def _missing(facts: TrainingFacts) -> list[str]:
    """Set the metrics of each subset of modalities below each other."""
    table: dict[tuple[str, ...], dict[str, Metric]] = {}
    for metric in facts.metrics:
        if metric.modalities:
            table.setdefault(metric.modalities, {})[metric.name] = metric
    if len(table) < 2:
        return [NOT_STATED]
    names = list(dict.fromkeys(name for row in table.values() for name in row))
    rows = [
        [
            "+".join(key),
            *(_estimate(row[n]) if n in row else "not stated" for n in names),
        ]
        for key, row in table.items()
    ]
    return _table(["given", *names], rows)


def _licenses(facts: TrainingFacts, encoder: Encoder) -> list[str]:
    """State the terms of the weights and of what they were made from."""
    origin = FOUNDATION_MODELS.get(encoder.name)
    terms = facts.encoder_license
    if origin is not None:
        terms = terms or f"{origin.licence} ({origin.url})"
    seen = pretraining_of(encoder.name, encoder.origin)
    if facts.pretraining:
        seen = Pretraining(facts.pretraining, "tcga" in facts.pretraining.lower())
    lines = [
        f"- Weights: {facts.license or NOT_STATED}",
        f"- Encoder {encoder.name}: {terms or NOT_STATED}",
        f"- Pretraining of the encoder: {seen.words or NOT_STATED}",
    ]
    if seen.saw_tcga:
        lines.append(f"- The encoder saw TCGA before this training: {seen.caution}.")
    elif seen.caution:
        lines.append(f"- Of the encoder's pretraining: {seen.caution}.")
    return lines


def _estimate(metric: Metric) -> str:
    """Write a metric with its interval."""
    words = f"{metric.value:.4g}"
    if metric.low is not None and metric.high is not None:
        percent = f"{100 * metric.level:g}"
        words += f" ({percent} % interval {metric.low:.4g} to {metric.high:.4g})"
    return words + (f", {metric.cases} cases" if metric.cases is not None else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a table of Markdown."""
    whole = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(c.replace('|', '/') for c in row)} |" for row in whole]


def _fact(value: Any) -> list[str]:
    """Write one fact as Markdown lines."""
    if value is None or value == () or value == {}:
        return [NOT_STATED]
    if isinstance(value, Mapping):
        return [f"- {key}: {_inline(entry)}" for key, entry in value.items()]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [f"- {_inline(entry)}" for entry in value]
    return [_inline(value)]


def _inline(value: Any) -> str:
    """Write a value within a line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_inline(entry)}" for key, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_inline(entry) for entry in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
