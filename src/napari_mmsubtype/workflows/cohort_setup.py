"""From a request to a cohort whose slides are embedded, for training of any kind."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_mmsubtype.core.cases import OMICS
from napari_mmsubtype.core.option_words import leave_out, pass_setting
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.results.out_folder import require_folder
from napari_mmsubtype.training.preset_build import (
    build_encoder,
    build_heads,
    check_networks,
)
from napari_mmsubtype.training.preset_files import load_preset
from napari_mmsubtype.workflows.cohort import fit_preset, make_cohort
from napari_mmsubtype.workflows.cohort_tables import read_tables_job
from napari_mmsubtype.workflows.cohort_targets import head_targets
from napari_mmsubtype.workflows.embed import EmbeddedSlides, embed_job
from napari_mmsubtype.workflows.embedding_model import (
    in_precision,
    model_of,
    preset_model,
)
from napari_mmsubtype.workflows.image_cases import divide_images
from napari_mmsubtype.workflows.manifest import read_manifest
from napari_mmsubtype.workflows.patch_pixels import PIXELS, pixels_job
from napari_mmsubtype.workflows.pixel_embeddings import embed_pixels_job
from napari_mmsubtype.workflows.shared_work import SharedWork

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_mmsubtype.models.bundle_schema import Bundle
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.training.bags import Bag
    from napari_mmsubtype.training.preset import Preset
    from napari_mmsubtype.workflows.cohort import Cohort
    from napari_mmsubtype.workflows.cohort_request import CohortRequest
    from napari_mmsubtype.workflows.manifest import Manifest, SlideEntry
    from napari_mmsubtype.workflows.patch_pixels import PatchPixels

logger = logging.getLogger(__name__)

EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True, eq=False)
class PresetInput:
    """A preset with the embeddings that it asks for.

    Attributes
    ----------
    preset : Preset
        With the tables that the cohort has.
    encoder : Encoder
        With its weights; random where the cohort has no slide.
    bags : sequence of ndarray, each of shape (patches, d)
        By patient of the cohort.
    digest : str
        Of encoder and patches, and of the slides that could not be embedded.
    failures : mapping of str to str
        By slide: why it has no embeddings.
    pixels : PatchPixels or None
        Patches on which each fold trains an encoder of its own; None where the encoder
        stays as its weights are.
    training : mapping of str to object
        What is known of the training of the encoder; empty before any.
    """

    preset: Preset
    encoder: Encoder
    bags: Sequence[Bag]
    digest: str
    failures: Mapping[str, str]
    pixels: PatchPixels | None = None
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class OpenedCohort:
    """A cohort and the presets that are trained on it.

    Attributes
    ----------
    cohort : Cohort
        The patients.
    inputs : tuple of PresetInput
        In the order of the request.
    heads : Heads
        All questions of all presets.
    unlabelled : int
        Patients left out, as they have no class and nothing else is asked.
    """

    cohort: Cohort
    inputs: tuple[PresetInput, ...]
    heads: Heads
    unlabelled: int


def open_cohort_job(
    request: CohortRequest, work: SharedWork | None = None
) -> Job[OpenedCohort]:
    """Check presets, manifest and tables, and embed the slides.

    Parameters
    ----------
    request : CohortRequest
        What is asked.
    work : SharedWork or None, default: None
        Processes that share out the slides; None for this one alone. The first of them
        lets the others go on when all is checked.

    Yields
    ------
    Progress
        Stages ``open``, ``tables``, ``pixels``, ``slides`` and ``patches``.

    Returns
    -------
    OpenedCohort
        Ready to be divided.

    Raises
    ------
    MMSubtypeError
        If presets, manifest, tables or encoders cannot serve.
    """
    work = work or SharedWork()
    yield Progress("open", message="checking presets and manifest")
    require_folder(request.out)
    presets = load_presets(request)
    heads = joint_heads(presets)
    manifest = read_manifest(
        request.manifest,
        labels=[subtype.name for subtype in presets[0].classes],
        questions=lambda columns: head_targets(heads, columns),
        mpp=request.mpp,
    )
    manifest, unlabelled = _labelled(manifest, heads)
    if presets[0].validation.group == "image":
        manifest = divide_images(manifest, request.tables)
    names = [patient.id for patient in manifest.patients]
    tables = yield from read_tables_job(request.tables, names, request.reading)
    classes = [subtype.name for subtype in presets[0].classes]
    cohort = make_cohort(manifest, classes, tables, heads)
    inputs = []
    known: dict[str, EmbeddedSlides] = {}
    folder = request.embeddings or request.out / EMBEDDINGS
    fitted = [fit_preset(preset, list(tables)) for preset in presets]
    models = [
        in_precision(_model(own, has_slides=bool(manifest.slides)), request.precision)
        for own in fitted
    ]
    work.lead()
    for own, model in zip(fitted, models, strict=True):
        pixels, config = None, own.patch_training
        if manifest.slides and config is not None:
            pixels = yield from pixels_job(
                manifest.slides,
                model,
                request.out / PIXELS,
                per_slide=config.patches_per_slide,
                work=work,
            )
        if manifest.slides and model.digest not in known:
            known[model.digest] = yield from _embed_job(
                manifest.slides, pixels, model, folder, request, work
            )
        embedded = known.get(model.digest)
        failures = {} if embedded is None else dict(embedded.failures)
        inputs.append(
            PresetInput(
                own,
                model.encoder,
                cohort.bags(embedded, model.encoder.dim),
                "+".join([model.digest, *sorted(failures)]),
                failures,
                pixels,
            )
        )
    _refuse_empty(cohort, inputs)
    return OpenedCohort(cohort, tuple(inputs), heads, unlabelled)


def load_presets(request: CohortRequest) -> list[Preset]:
    """Load and check the presets of a request.

    Parameters
    ----------
    request : CohortRequest
        What is asked.

    Returns
    -------
    list of Preset
        Of different names and the same classes.

    Raises
    ------
    ConfigurationError
        If there is none, two have one name or other classes, one asks for synthetic
        patches, or a table is given that none takes.
    """
    presets = [load_preset(name, request.overrides) for name in request.presets]
    if not presets:
        msg = "no preset was given; name one, such as evidence"
        raise ConfigurationError(msg)
    names = [preset.name for preset in presets]
    if len(set(names)) < len(names):
        msg = f"presets must have different names, found {', '.join(names)}"
        raise ConfigurationError(msg)
    first = [subtype.name for subtype in presets[0].classes]
    for preset in presets:
        check_networks(preset)
        own = [subtype.name for subtype in preset.classes]
        if own != first:
            msg = (
                f"presets must tell the same classes apart: {names[0]!r} has {first}, "
                f"{preset.name!r} has {own}; set classes in both"
            )
            raise ConfigurationError(msg)
        if preset.synthesis is not None:
            msg = (
                f"preset {preset.name!r} asks for synthetic training patches "
                "(synthesis), which this version does not make; "
                f"{pass_setting('synthesis=null')} to go on with real patches alone"
            )
            raise ConfigurationError(msg)
    for modality in OMICS:
        if modality in request.tables and not any(
            modality in preset.modalities for preset in presets
        ):
            msg = f"no preset of {', '.join(names)} takes a {modality} table"
            raise ConfigurationError(f"{msg}; {leave_out(modality)}")
    return presets


def joint_heads(presets: Sequence[Preset]) -> Heads:
    """Gather the questions of several presets.

    Parameters
    ----------
    presets : sequence of Preset
        Of the same classes.

    Returns
    -------
    Heads
        Each question once.

    Raises
    ------
    ConfigurationError
        If two presets ask different questions under one name.
    """
    joint = dict(build_heads(presets[0]).heads)
    for preset in presets[1:]:
        for name, head in build_heads(preset).others.items():
            if joint.setdefault(name, head) != head:
                msg = (
                    f"head {name!r} of preset {preset.name!r} differs from that of "
                    "another preset; rename one of them"
                )
                raise ConfigurationError(msg)
    return Heads(joint)


def _labelled(manifest: Manifest, heads: Heads) -> tuple[Manifest, int]:
    """Leave out patients who answer no question."""
    if heads.others:
        return manifest, 0
    kept = tuple(patient for patient in manifest.patients if patient.label)
    gone = len(manifest.patients) - len(kept)
    if gone:
        logger.warning("%d patients without a label were left out", gone)
    return replace(manifest, patients=kept), gone


def _model(preset: Preset, *, has_slides: bool) -> Bundle:
    """Make the encoder; its weights matter only where there are slides."""
    if has_slides:
        return preset_model(preset)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model_of(build_encoder(preset, pretrained=False), preset.patch)


def _embed_job(
    slides: Sequence[SlideEntry],
    pixels: PatchPixels | None,
    model: Bundle,
    folder: Path,
    request: CohortRequest,
    work: SharedWork,
) -> Job[EmbeddedSlides]:
    """Embed slides from their pixels, where these were read, or by the engine."""
    options: dict[str, Any] = {
        "device": request.device,
        "precision": request.precision,
        "batch_size": request.batch_size,
        "work": work,
    }
    if pixels is None:
        job = embed_job(slides, model, folder, **options)
    else:
        job = embed_pixels_job(slides, pixels, model, folder, **options)
    with closing(job):
        return (yield from job)


def _refuse_empty(cohort: Cohort, inputs: Sequence[PresetInput]) -> None:
    """Refuse a cohort of which a preset would see nothing."""
    for entry in inputs:
        image = np.array([len(bag) > 0 for bag in entry.bags])
        seen = image.copy()
        for modality in entry.preset.modalities:
            seen |= cohort.tables[modality].has
        if not seen.any():
            failed = next(iter(entry.failures.values()), "")
            msg = (
                f"no patient has anything that preset {entry.preset.name!r} looks at; "
                f"give slides or tables{': ' if failed else ''}{failed}"
            )
            raise ConfigurationError(msg)
