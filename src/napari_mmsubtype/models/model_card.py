"""The model card of a bundle, written from facts and silent about what is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_mmsubtype.core.patch_grid import PatchSpec
    from napari_mmsubtype.core.subtypes import Subtype
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.omics.modality_spec import ModalitySpec

_SECTIONS = (
    ("intended_use", "Intended use"),
    ("limits", "Limits"),
    ("data", "Training data"),
    ("patients", "Patients"),
    ("sites", "Sites"),
    ("training", "Training"),
    ("metrics", "Performance"),
    ("license", "License"),
)


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
    trust: Sequence[str],
    info: Mapping[str, Any],
) -> str:
    """Write the model card.

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
    trust : sequence of str
        Items about calibration and guard, as `bundle_trust.trust_lines`.
    info : mapping of str to Any
        Facts: ``description``, ``intended_use``, ``limits``, ``data``, ``patients``,
        ``sites``, ``training``, ``metrics`` and ``license`` have their places, anything
        else is listed at the end. A metric is a number or a mapping with ``value``,
        ``low`` and ``high``.

    Returns
    -------
    str
        Markdown. Facts that are not given are said to be not stated.
    """
    lines = [f"# {name} {version}", ""]
    lines += [str(info.get("description", "A model of napari-mmsubtype.")), ""]
    lines += ["**Research use only. Not for diagnosis or treatment.**", "", "## Model"]
    parameters = sum(p.numel() for part in (encoder, fusion) for p in part.parameters())
    lines += [
        "",
        f"- Classes: {', '.join(subtype.name for subtype in classes)}",
        *(f"- Also answers {name}: {h.words}" for name, h in heads.others.items()),
        f"- Encoder: {encoder.name}, {encoder.dim} features, "
        f"{patch.size_px} px patches at {patch.mpp:g} µm/px",
        f"- Fusion: {fusion.name}"
        + (" (evidence adds up to the logits exactly)" if fusion.exact_cam else ""),
        f"- Parameters: {parameters:,}",
        *trust,
        "- Modalities: image (any of them may be missing)",
    ]
    lines += [_modality(str(name), spec) for name, spec in modalities.items()]
    for key, title in _SECTIONS:
        lines += ["", f"## {title}", "", *_fact(info.get(key))]
    placed = {"description", *(key for key, _ in _SECTIONS)}
    rest = {key: value for key, value in info.items() if key not in placed}
    if rest:
        lines += ["", "## Further facts", "", *_fact(rest)]
    return "\n".join(lines) + "\n"


def _modality(name: str, spec: ModalitySpec) -> str:
    """Describe a table that the model takes, on one line."""
    line = f"- Modality {name}: {len(spec.features)} features, unit {spec.unit}"
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


def _fact(value: Any) -> list[str]:
    """Write one fact as Markdown lines."""
    if value is None:
        return ["Not stated."]
    if isinstance(value, Mapping):
        return [f"- {key}: {_inline(entry)}" for key, entry in value.items()]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [f"- {_inline(entry)}" for entry in value]
    return [_inline(value)]


def _inline(value: Any) -> str:
    """Write a value within a line; a metric with its interval."""
    if isinstance(value, Mapping):
        if {"value", "low", "high"} <= set(value):
            numbers = (_inline(value[key]) for key in ("value", "low", "high"))
            return "{} (95 % interval {} to {})".format(*numbers)
        return ", ".join(f"{key} {_inline(entry)}" for key, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_inline(entry) for entry in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
