"""Embed every slide of a cohort, and go on where it was stopped."""

from __future__ import annotations

import copy
import logging
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import (
    ConfigurationError,
    DeviceLostError,
    JobCancelled,
    MMSubtypeError,
    OutOfMemoryError,
    StoreError,
    StoreInUseError,
)
from napari_mmsubtype.inference.batch_limit import choose_limit
from napari_mmsubtype.inference.decoding_choice import choose_source, record_decoding
from napari_mmsubtype.inference.device import Processor, choose_processor
from napari_mmsubtype.inference.encode import encode_job, prepare
from napari_mmsubtype.inference.plan import AnalysisPlan, plan_job
from napari_mmsubtype.results import schema
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.quality_measures import PatchMeter
from napari_mmsubtype.slides.registry import open_quietly
from napari_mmsubtype.slides.slide_name import slide_name
from napari_mmsubtype.training.stored_bags import StoredBag
from napari_mmsubtype.workflows.embedding_model import (
    DEFAULT_MPP,
    bundle_model,
    named_model,
    preset_model,
)
from napari_mmsubtype.workflows.folder_files import write_array
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.manifest import read_manifest
from napari_mmsubtype.workflows.outcome import choose_patches
from napari_mmsubtype.workflows.shared_work import SharedWork
from napari_mmsubtype.workflows.slide_files import (
    read_state,
    slide_file,
    write_state,
)
from napari_mmsubtype.workflows.started_processes import join_work
from napari_mmsubtype.workflows.store_opening import claim_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from napari_mmsubtype.models.bundle_schema import Bundle
    from napari_mmsubtype.results.store_writer import StoreWriter
    from napari_mmsubtype.workflows.manifest import SlideEntry

logger = logging.getLogger(__name__)

BAGS = "bags"
"""Folder of the embeddings that a model trains on, beside the stores."""


@dataclass(frozen=True, slots=True)
class EmbeddedSlides:
    """What became of the slides of a cohort.

    Attributes
    ----------
    folder : Path
        Of the stores.
    bags : mapping of str to Path
        By slide: its embeddings, float16, shape (patches, d).
    failures : mapping of str to str
        By slide: why it has none.
    """

    folder: Path
    bags: Mapping[str, Path]
    failures: Mapping[str, str]

    def load(self, slides: Iterable[str]) -> StoredBag | None:
        """Give the embeddings of some slides together.

        Parameters
        ----------
        slides : iterable of str
            Those of one patient.

        Returns
        -------
        StoredBag or None
            Float16, shape (patches, d), left on disk; None where none could be
            embedded.
        """
        paths = [self.bags[slide] for slide in slides if slide in self.bags]
        return StoredBag(*paths) if paths else None


def embed(
    manifest: str | Path,
    *,
    out: str | Path,
    encoder: str | None = None,
    weights: str | Path | None = None,
    bundle: str | Path | None = None,
    preset: str | Path | None = None,
    overrides: Iterable[str] = (),
    patch_px: int | None = None,
    patch_mpp: float = DEFAULT_MPP,
    mpp: float | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> EmbeddedSlides:
    """Embed every slide of a manifest and wait.

    Parameters
    ----------
    manifest : str or Path
        CSV with one row per slide, see `manifest.read_manifest`.
    out : str or Path
        Folder for the stores and the bags.
    encoder : str, optional
        Name of an encoder; or give ``bundle`` or ``preset``.
    weights : str or Path, optional
        Of the encoder.
    bundle : str or Path, optional
        Bundle whose encoder and patches to use.
    preset : str or Path, optional
        Preset whose encoder and patches to use.
    overrides : iterable of str, default: ()
        Settings of the preset to change.
    patch_px : int, optional
        Side of a patch, with ``encoder``.
    patch_mpp : float, default: 0.5
        Microns per pixel of a patch, with ``encoder``.
    mpp : float, optional
        Microns per pixel of the slides of which the manifest does not tell.
    device : str, default: "auto"
        As `analyze`.
    batch_size : int, optional
        Patches per forward pass.
    on_progress : callable, optional
        Receives every `Progress` event.

    Returns
    -------
    EmbeddedSlides
        Bags, and the slides that failed.

    Raises
    ------
    MMSubtypeError
        If the manifest or the encoder cannot serve.
    """
    make_model = partial(
        _model, encoder, weights, bundle, preset, overrides, patch_px, patch_mpp
    )
    job = _shared_job(manifest, make_model, Path(out), mpp, device, batch_size)
    return run_job(job, on_progress)


def _shared_job(
    manifest: str | Path,
    make_model: Callable[[], Bundle],
    out: Path,
    mpp: float | None,
    device: str,
    batch_size: int | None,
) -> Job[EmbeddedSlides]:
    """Do one process's share of the slides; the first one checks the request."""
    with join_work() as work:
        yield from work.follow_job()
        cohort = read_manifest(manifest, mpp=mpp)
        model = make_model()
        device = work.device(device)
        work.lead()
        job = embed_job(
            cohort.slides, model, out, device=device, batch_size=batch_size, work=work
        )
        with closing(job):
            return (yield from job)


def _model(
    encoder: str | None,
    weights: str | Path | None,
    bundle: str | Path | None,
    preset: str | Path | None,
    overrides: Iterable[str],
    patch_px: int | None,
    patch_mpp: float,
) -> Bundle:
    """Make the one model that was asked for."""
    given = [name for name in (encoder, bundle, preset) if name is not None]
    if len(given) != 1:
        msg = f"give one of encoder, bundle and preset, found {len(given)} of them"
        raise ConfigurationError(msg)
    if encoder is not None:
        return named_model(
            encoder, weights=weights, patch_px=patch_px, patch_mpp=patch_mpp
        )
    if weights is not None or patch_px is not None:
        msg = "weights and patch_px belong to encoder; a bundle or preset has its own"
        raise ConfigurationError(msg)
    if bundle is not None:
        return bundle_model(bundle)
    from napari_mmsubtype.training.preset_files import load_preset

    return preset_model(load_preset(str(preset), overrides))


def embed_job(
    slides: Sequence[SlideEntry],
    model: Bundle,
    out: Path,
    *,
    device: str = "auto",
    batch_size: int | None = None,
    work: SharedWork | None = None,
) -> Job[EmbeddedSlides]:
    """Embed slides one after another.

    Parameters
    ----------
    slides : sequence of SlideEntry
        Of a manifest.
    model : Bundle
        As `embedding_model` makes them.
    out : Path
        Folder for the stores and the bags.
    device : str, default: "auto"
        As `analyze`.
    batch_size : int or None, default: None
        Patches per forward pass; None takes what suits.
    work : SharedWork or None, default: None
        Processes that share out the slides; None for this one alone.

    Yields
    ------
    Progress
        Stage ``slides`` for each slide, stage ``patches`` within it.

    Returns
    -------
    EmbeddedSlides
        A slide that fails does not stop the others.

    Notes
    -----
    Each slide has a store, which is resumed patch by patch. A slide that is done and
    has not changed since is not opened again.
    """
    processor = choose_processor(device)
    # A copy: it is fused for speed and moved, and the caller's goes into bundles.
    encoder = prepare(copy.deepcopy(model.encoder), processor)
    model = replace(model, encoder=encoder)
    units = (work or SharedWork()).units(slides, "slides")
    failures: dict[str, str] = {}
    for slide in units:
        yield units.step(slide_name(slide.path))
        bag = bag_file(out, slide, model)
        try:
            if read_state(bag, slide) is None:
                job = _embed_slide(slide, model, out, processor, bag, batch_size)
                with closing(job):
                    yield from job
        except StoreInUseError as err:
            failures[slide.path] = str(err)
        except (JobCancelled, DeviceLostError, OutOfMemoryError, StoreError):
            # The next slide would meet the same.
            raise
        except MMSubtypeError as err:
            failures[slide.path] = str(err)
            logger.warning("slide %r was left out: %s", slide.path, err)
    everyone = yield from units.gather_job(failures)
    why = {path: reason for own in everyone for path, reason in own.items()}
    failures = {s.path: why[s.path] for s in slides if s.path in why}
    bags = {s.path: bag_file(out, s, model) for s in slides if s.path not in why}
    told = f"{len(bags)} embedded" + (f", {len(failures)} failed" if failures else "")
    yield Progress("slides", len(slides), len(slides), told)
    return EmbeddedSlides(out, bags, failures)


def bag_file(out: Path, slide: SlideEntry, model: Bundle) -> Path:
    """Say where the embeddings of a slide are kept.

    Parameters
    ----------
    out : Path
        Folder of the stores and the bags.
    slide : SlideEntry
        Of a manifest.
    model : Bundle
        Whose encoder makes them; another one has another file.

    Returns
    -------
    Path
        Ends in ``.npy``.
    """
    return out / BAGS / f"{slide_file(slide, model.digest)}.npy"


def _embed_slide(
    slide: SlideEntry,
    model: Bundle,
    out: Path,
    processor: Processor,
    bag: Path,
    batch_size: int | None,
) -> Job[None]:
    """Fill the store of one slide, and put its usable embeddings into a bag."""
    recipe = AnalyzeRecipe(
        slide=slide.path, bundle=model.name, mpp=slide.mpp, out=str(out)
    )
    icc = bool(model.info.get("icc", False))
    with open_quietly(slide.path, mpp=slide.mpp, icc=icc) as opened:
        plan = yield from plan_job(recipe, opened, model)
        with claim_store(plan, processor, exact=False) as writer:
            yield from _encode(plan, writer, processor, batch_size)
            used = choose_patches(writer, plan).used
            values = writer.read(schema.EMBEDDING)[used]
    write_array(bag, np.asarray(values, np.float16))
    # Last: a bag counts only with what says which slide it is of.
    write_state(bag, slide)


def _encode(
    plan: AnalysisPlan,
    writer: StoreWriter,
    processor: Processor,
    batch_size: int | None,
) -> Job[None]:
    """Run the encoder over the patches that the store lacks."""
    spec, encoder = plan.grid.spec, plan.bundle.encoder
    writer.use_processor(str(processor.device), processor.precision)
    shared: dict[str, Any] = {
        "size_px": spec.size_px,
        "batch_size": batch_size or processor.default_batch_size(spec.size_px),
        "transform": None if plan.stain is None else plan.stain.transform,
        "meter": PatchMeter(plan.recipe.quality_spec, spec.size_px, spec.mpp),
        "limit": choose_limit(processor, encoder, spec.size_px, batch_size),
    }
    source = PatchSource(plan.slide, plan.grid)
    reader = choose_source(source, encoder, writer, processor, **shared)
    yield from encode_job(encoder, reader, writer, processor, queries=None, **shared)
    record_decoding(reader, writer, processor)
