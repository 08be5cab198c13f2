"""Pixels of a cohort's patches on disk, so that encoders can be trained on them."""

from __future__ import annotations

import hashlib
import logging
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import (
    JobCancelled,
    MMSubtypeError,
    OutOfMemoryError,
    SlideReadError,
    StoreError,
)
from napari_mmsubtype.inference.forward import reader_threads
from napari_mmsubtype.inference.plan import plan_job
from napari_mmsubtype.inference.stream import read_batches
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.quality import choose_excluded, judge_quality
from napari_mmsubtype.slides.quality_measures import MEASURES, PatchMeter
from napari_mmsubtype.slides.registry import open_quietly
from napari_mmsubtype.slides.slide_name import slide_name
from napari_mmsubtype.workflows.folder_files import write_array
from napari_mmsubtype.workflows.shared_work import SharedWork
from napari_mmsubtype.workflows.slide_files import (
    read_state,
    slide_file,
    write_state,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_mmsubtype.models.bundle_schema import Bundle
    from napari_mmsubtype.workflows.manifest import SlideEntry

logger = logging.getLogger(__name__)

PIXELS = "patches"
"""Folder of the pixels, beside the embeddings."""


@dataclass(frozen=True, slots=True)
class PatchPixels:
    """Patches of a cohort, as pixels.

    Attributes
    ----------
    files : mapping of str to Path
        By slide: uint8, shape (patches, y, x, 3).
    whole : frozenset of str
        Slides of which all usable patches are there.
    failures : mapping of str to str
        By slide: why it has none.
    """

    files: Mapping[str, Path]
    whole: frozenset[str]
    failures: Mapping[str, str]


class _Drawn:
    """Some patches of a slide."""

    def __init__(self, source: PatchSource, rows: NDArray[np.int64]) -> None:
        self._source, self._rows = source, rows

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, index: int) -> NDArray[np.uint8]:
        return self._source.read(int(self._rows[index]))


def pixels_job(
    slides: Sequence[SlideEntry],
    model: Bundle,
    out: Path,
    *,
    per_slide: int,
    work: SharedWork | None = None,
) -> Job[PatchPixels]:
    """Read patches of slides once, and keep their pixels.

    Parameters
    ----------
    slides : sequence of SlideEntry
        Of a manifest.
    model : Bundle
        As `embedding_model` makes them; its patches are read.
    out : Path
        Folder for the files; what is there and of the same slide is not read again.
    per_slide : int
        Patches that are drawn of a slide with more of them, always the same.
    work : SharedWork or None, default: None
        Processes that share out the slides; None for this one alone.

    Yields
    ------
    Progress
        Stage ``pixels`` for each slide.

    Returns
    -------
    PatchPixels
        Without the patches of poor quality; a slide that fails does not stop the
        others.
    """
    spec = model.patch
    asked = [spec.size_px, spec.mpp, spec.stride_px, spec.min_tissue, per_slide]
    places = {s.path: out / f"{slide_file(s, *asked)}.npy" for s in slides}
    units = (work or SharedWork()).units(slides, "pixels")
    whole: list[str] = []
    failures: dict[str, str] = {}
    for slide in units:
        yield units.step(slide_name(slide.path))
        file = places[slide.path]
        known = read_state(file, slide)
        try:
            if known is None:
                with closing(_keep_slide(slide, model, file, per_slide)) as job:
                    yield from job
                known = read_state(file, slide) or {}
        except (JobCancelled, OutOfMemoryError, StoreError):
            # The next slide would meet the same.
            raise
        except MMSubtypeError as err:
            failures[slide.path] = str(err)
            logger.warning("slide %r was left out: %s", slide.path, err)
            continue
        if known.get("whole"):
            whole.append(slide.path)
    everyone = yield from units.gather_job([whole, failures])
    why = {path: reason for _, own in everyone for path, reason in own.items()}
    failures = {s.path: why[s.path] for s in slides if s.path in why}
    files = {path: file for path, file in places.items() if path not in why}
    told = f"{len(files)} read" + (f", {len(failures)} failed" if failures else "")
    yield Progress("pixels", len(slides), len(slides), told)
    all_whole = frozenset(path for own, _ in everyone for path in own)
    return PatchPixels(files, all_whole, failures)


def _keep_slide(
    slide: SlideEntry, model: Bundle, file: Path, per_slide: int
) -> Job[None]:
    """Read the patches of one slide as an analysis does, and write the usable ones."""
    recipe = AnalyzeRecipe(slide=slide.path, bundle=model.name, mpp=slide.mpp)
    icc = bool(model.info.get("icc", False))
    with open_quietly(slide.path, mpp=slide.mpp, icc=icc) as opened:
        plan = yield from plan_job(recipe, opened, model)
        spec = plan.grid.spec
        rows = drawn_rows(len(plan.grid), per_slide, slide_name(slide.path))
        reading = read_batches(
            _Drawn(PatchSource(opened, plan.grid), rows),
            [range(len(rows))],
            spec.size_px,
            workers=reader_threads(),
            measure=PatchMeter(recipe.quality_spec, spec.size_px, spec.mpp),
            measures=len(MEASURES),
            transform=None if plan.stain is None else plan.stain.transform,
        )
        (batch,) = reading
    if not batch.readable.any():
        msg = (
            f"slide {opened.name!r}: none of {len(rows)} tissue patches could be "
            "decoded; the file seems damaged, copy it again from its source"
        )
        raise SlideReadError(msg)
    quality = judge_quality(batch.measures, recipe.quality_spec)
    excluded, _ = choose_excluded(quality, recipe.excluded_flags)
    write_array(file, np.asarray(batch.pixels)[batch.readable & ~excluded])
    # Last: pixels count only with what says which slide they are of.
    write_state(file, slide, whole=len(rows) == len(plan.grid))


def drawn_rows(count: int, wanted: int, name: str) -> NDArray[np.int64]:
    """Draw patches of a slide, the same in every run.

    Parameters
    ----------
    count : int
        Patches of the slide.
    wanted : int
        At most so many.
    name : str
        Of the slide; decides the draw.

    Returns
    -------
    ndarray of int64
        Ascending, without repeats.
    """
    if count <= wanted:
        return np.arange(count)
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    drawn = np.random.default_rng(seed).choice(count, wanted, replace=False)
    return np.sort(drawn).astype(np.int64)
