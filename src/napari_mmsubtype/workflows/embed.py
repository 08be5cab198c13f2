"""Embed every slide of a cohort, and go on where it was stopped."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_mmsubtype.core.option_words import leave_out, pass_option
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.core.recipe import require_positive
from napari_mmsubtype.errors import (
    ConfigurationError,
    DeviceLostError,
    JobCancelled,
    MMSubtypeError,
    OutOfMemoryError,
    StoreError,
    StoreInUseError,
)
from napari_mmsubtype.results.out_folder import require_folder
from napari_mmsubtype.slides.slide_name import slide_name
from napari_mmsubtype.training.stored_bags import StoredBag
from napari_mmsubtype.workflows.embed_slide import CohortEngine, embed_slide_job
from napari_mmsubtype.workflows.embedding_model import (
    DEFAULT_MPP,
    bundle_model,
    in_precision,
    named_model,
    preset_model,
)
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.manifest import read_manifest
from napari_mmsubtype.workflows.shared_work import SharedWork
from napari_mmsubtype.workflows.slide_files import (
    read_state,
    slide_file,
)
from napari_mmsubtype.workflows.started_processes import join_work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from napari_mmsubtype.models.bundle_schema import Bundle
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
    precision: str = "auto",
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
    precision : {"auto", "float32", "bfloat16"}, default: "auto"
        Of the encoder, for all slides: ``auto`` is float32 on a CPU, and what suits a
        GPU. In bfloat16 a trial on each slide tells what it costs.
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
    require_positive("batch_size", batch_size)
    require_folder(out)
    make_model = partial(
        _model, encoder, weights, bundle, preset, overrides, patch_px, patch_mpp
    )
    job = _shared_job(
        manifest, make_model, Path(out), mpp, device, precision, batch_size
    )
    return run_job(job, on_progress)


def _shared_job(
    manifest: str | Path,
    make_model: Callable[[], Bundle],
    out: Path,
    mpp: float | None,
    device: str,
    precision: str,
    batch_size: int | None,
) -> Job[EmbeddedSlides]:
    """Do one process's share of the slides; the first one checks the request."""
    with join_work() as work:
        yield from work.follow_job()
        cohort = read_manifest(manifest, mpp=mpp)
        model = in_precision(make_model(), precision)
        device = work.device(device)
        work.lead()
        job = embed_job(
            cohort.slides,
            model,
            out,
            device=device,
            precision=precision,
            batch_size=batch_size,
            work=work,
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
        msg = (
            f"embeddings are of one encoder, found {len(given)}; "
            f"{pass_option('encoder')}, {pass_option('bundle')} or "
            f"{pass_option('preset')}, and no other"
        )
        raise ConfigurationError(msg)
    if encoder is not None:
        return named_model(
            encoder, weights=weights, patch_px=patch_px, patch_mpp=patch_mpp
        )
    if weights is not None or patch_px is not None:
        msg = (
            "a bundle or preset has its own weights and patches; "
            f"{leave_out('weights')} and {leave_out('patch_px')}, or "
            f"{pass_option('encoder')} instead"
        )
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
    precision: str = "auto",
    batch_size: int | None = None,
    work: SharedWork | None = None,
) -> Job[EmbeddedSlides]:
    """Embed slides one after another.

    Parameters
    ----------
    slides : sequence of SlideEntry
        Of a manifest.
    model : Bundle
        As `embedding_model` makes them, in the precision that is asked for.
    out : Path
        Folder for the stores and the bags.
    device : str, default: "auto"
        As `analyze`.
    precision : str, default: "auto"
        As `embed`.
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
    engine = CohortEngine.prepare(model, device, precision, batch_size)
    units = (work or SharedWork()).units(slides, "slides")
    failures: dict[str, str] = {}
    for slide in units:
        yield units.step(slide_name(slide.path))
        bag = bag_file(out, slide, model)
        try:
            if read_state(bag, slide) is None:
                job = embed_slide_job(slide, engine, out, bag)
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
